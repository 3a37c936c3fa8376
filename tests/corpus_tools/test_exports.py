"""Chats and posts exported by services: small files in the same formats, written for these tests."""

from __future__ import annotations

import json

import pytest

from numlstm.corpus_tools.exports import FORMATS, export, format_of, order
from numlstm.corpus_tools.facebook import fix_encoding, messages_of_facebook
from numlstm.corpus_tools.mastodon import messages_of_mastodon
from numlstm.corpus_tools.messages import Message, format_messages
from numlstm.corpus_tools.telegram import messages_of_telegram
from numlstm.corpus_tools.whatsapp import messages_of_whatsapp
from numlstm.errors import ConfigError, CorpusError

ANDROID = """31/12/2020, 23:57 - Messages and calls are end-to-end encrypted. No one outside of this chat can read them.
31/12/2020, 23:58 - Anna created group "Trip: July"
31/12/2020, 23:58 - Anna changed the subject from "Trip: July" to "Trip"
31/12/2020, 23:59 - Anna: Are you there?
It is late.

Very late: past eleven.
01/01/2021, 00:00 - Béla Nagy: Yes: here.
01/01/2021, 00:01 - Béla Nagy: <Media omitted>
01/01/2021, 00:02 - Béla Nagy: IMG-20210101-WA0000.jpg (file attached)
The harbour
01/01/2021, 00:03 - Anna: This message was deleted
01/01/2021, 00:04 - Anna: Good night <This message was edited>
"""
SAID = [
    ("Anna", "Are you there?\nIt is late.\n\nVery late: past eleven."),
    ("Béla Nagy", "Yes: here."),
    ("Béla Nagy", "The harbour"),
    ("Anna", "Good night"),
]

IPHONE = (
    "[12/31/20, 11:57:01\u202fPM] Trip: \u200eMessages and calls are end-to-end encrypted.\n"
    "\u200e[12/31/20, 11:58:00\u202fPM] Anna: \u200eimage omitted\n"
    "[12/31/20, 11:59:59\u202fPM] Anna: Are you there?\nIt is late.\n"
    "[1/1/21, 12:00:00\u202fAM] ~\u202fBéla: Yes\n"
)


def pairs(messages):
    return [(message.sender, message.text) for message in messages]


def test_whatsapp_of_android():
    assert pairs(messages_of_whatsapp(ANDROID)) == SAID


def test_whatsapp_of_iphones():
    assert pairs(messages_of_whatsapp(IPHONE)) == [("Anna", "Are you there?\nIt is late."), ("Béla", "Yes")]


@pytest.mark.parametrize(
    "date",
    [
        "12/31/20, 11:59 PM - ",
        "12/31/20, 11:59\u202fPM - ",
        "31.12.20, 23:59 - ",
        "31.12.2020, 23:59 – ",
        "[31.12.20, 23:59:59] ",
        "[31/12/2020, 23.59.59] ",
        "2020-12-31, 23:59 - ",
        "2020/12/31 23:59 - ",
        "31/12/2020, 11:59 p. m. - ",
        "31/12/20, 11:59 pm - ",
        "2020. 12. 31. 오후 11:59 - ",
        "[2020. 12. 31. 오후 11:59:59] ",
        "2020/12/31, 下午11:59 - ",
        "31/12/2020 à 23:59 - ",
        "[31/12/2020 à 23:59:59] ",
        "31.12.2020 klo 23.59 - ",
        "31/12/20, 11:59 μ.μ. - ",
        "٣١/١٢/٢٠٢٠, ١١:٥٩ م - ",
        "31.12.20 г., 23:59 ч. - ",
    ],
)
def test_whatsapp_writes_dates_in_many_ways(date):
    assert pairs(messages_of_whatsapp(f"{date}Anna: Hello\nthere\n{date}Bo: Hi\n")) == [
        ("Anna", "Hello\nthere"),
        ("Bo", "Hi"),
    ]


@pytest.mark.parametrize(
    "media",
    [
        "<Medien ausgeschlossen>",
        "<미디어 파일을 제외한 대화내용>",
        "<Médias omis>",
        "PTT-1.opus (archivo adjunto)",
        "null",
    ],
)
def test_whatsapp_leaves_out_media_of_any_language(media):
    assert pairs(messages_of_whatsapp(f"31.12.20, 23:59 - A: {media}\n31.12.20, 23:59 - A: x\n")) == [("A", "x")]


def test_whatsapp_refuses_other_texts():
    with pytest.raises(CorpusError, match="no line begins with a date"):
        list(messages_of_whatsapp("Anna: hello\n"))


TELEGRAM = {
    "name": "Béla",
    "type": "personal_chat",
    "id": 1,
    "messages": [
        {"id": 1, "type": "service", "actor": "Anna", "action": "phone_call", "text": ""},
        {"id": 2, "type": "message", "date": "2021-01-01T00:00:00", "from": "Anna", "text": "Hello"},
        {
            "id": 3,
            "type": "message",
            "from": "Béla",
            "text": [
                "See ",
                {"type": "link", "text": "https://example.org"},
                " and ",
                {"type": "bold", "text": "come"},
            ],
        },
        {"id": 4, "type": "message", "from": "Béla", "forwarded_from": "News", "text": "Others' words"},
        {"id": 5, "type": "message", "from": "Béla", "photo": "p.jpg", "text": ""},
        {"id": 6, "type": "message", "from": None, "text": "gone"},
    ],
}
TOLD = [("Anna", "Hello"), ("Béla", "See https://example.org and come"), ("Béla", ""), ("Deleted Account", "gone")]


def test_telegram_of_one_chat_and_of_an_account():
    assert pairs(messages_of_telegram(json.dumps(TELEGRAM))) == TOLD
    account = {"about": "…", "chats": {"about": "…", "list": [TELEGRAM, {"name": "empty"}, TELEGRAM]}}
    assert pairs(messages_of_telegram(json.dumps(account))) == TOLD * 2


def broken(text):
    """Garble text as Facebook's exports do: UTF-8 bytes read as Latin-1."""
    return text.encode().decode("latin-1")


FACEBOOK = {
    "participants": [{"name": "Anna"}, {"name": broken("Béla")}],
    "messages": [
        {"sender_name": broken("Béla"), "timestamp_ms": 4000, "content": broken("Là-bas 👋")},
        {"sender_name": "Anna", "timestamp_ms": 3000, "content": "Anna sent an attachment.", "share": {}},
        {"sender_name": "Anna", "timestamp_ms": 2500, "photos": [{"uri": "x"}]},
        {"sender_name": "Anna", "timestamp_ms": 2400, "content": "taken back", "is_unsent": True},
        {"sender_name": "Anna", "timestamp_ms": 2300, "content": "You missed a call from Anna.", "type": "Call"},
        {"sender_name": broken("Béla"), "timestamp_ms": 2200, "content": broken("Reacted ❤ to your message ")},
        {"sender_name": "Anna", "timestamp_ms": 1000, "content": "Where?"},
    ],
}


def test_facebook_messages_are_in_order_and_mended():
    assert pairs(messages_of_facebook(json.dumps(FACEBOOK))) == [("Anna", "Where?"), ("Béla", "Là-bas 👋")]


def test_facebook_of_encrypted_chats():
    found = {
        "participants": ["Anna"],
        "threadName": "x",
        "messages": [
            {"senderName": "Anna", "text": "schön", "timestamp": 2, "type": "text", "isUnsent": False},
            {"senderName": "Anna", "text": "no", "timestamp": 3, "type": "text", "isUnsent": True},
            {"senderName": "Bo", "text": "hi", "timestamp": 1, "type": "text", "isUnsent": False},
        ],
    }
    assert pairs(messages_of_facebook(json.dumps(found))) == [("Bo", "hi"), ("Anna", "schön")]


def test_facebook_posts_and_comments():
    posts = [
        {"timestamp": 2, "data": [{"post": broken("Später")}, {"update_timestamp": 2}], "title": "Anna"},
        {"timestamp": 1, "data": [{"post": "First"}]},
        {"timestamp": 3, "attachments": []},
    ]
    assert pairs(messages_of_facebook(json.dumps(posts))) == [("", "First"), ("", "Später")]
    comments = {"comments_v2": [{"timestamp": 1, "data": [{"comment": {"comment": "Nice", "author": "Anna"}}]}]}
    assert pairs(messages_of_facebook(json.dumps(comments))) == [("Anna", "Nice")]


@pytest.mark.parametrize("text", ["plain", "schön", "", "한글", "Ã"])
def test_mending_leaves_what_is_whole(text):
    assert fix_encoding(text) == text
    assert fix_encoding(broken(text)) == text


MASTODON = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "id": "outbox.json",
    "type": "OrderedCollection",
    "totalItems": 3,
    "orderedItems": [
        {
            "type": "Create",
            "object": {
                "type": "Note",
                "summary": None,
                "attributedTo": "https://place.example/users/anna",
                "content": '<p>Rain on the <a href="https://x"><span class="invisible">https://</span><span>x.org</span>'
                "</a> quay.<br />Again &amp; again.</p><p>So it goes.</p>",
            },
        },
        {"type": "Announce", "object": "https://other.example/1"},
        {"type": "Create", "object": {"type": "Note", "summary": "late", "content": "<p>Second</p>"}},
    ],
}
POSTS = ["Rain on the https://x.org quay.\nAgain & again.\n\nSo it goes.", "late\n\nSecond"]


def test_mastodon_posts_become_plain_text():
    found = list(messages_of_mastodon(json.dumps(MASTODON)))
    assert [message.text for message in found] == POSTS
    assert [message.sender for message in found] == ["anna", ""]


@pytest.mark.parametrize("name", ["telegram", "facebook", "mastodon"])
@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", '{"messages": 3}', "[" * 100_000, '"a"', '{"chats": {"list": 1}}']
)
def test_files_of_another_kind_are_one_line(tmp_path, name, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(CorpusError) as caught:
        list(export(path, FORMATS[name], None, True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("telegram", {"messages": [3, {}, {"type": "message"}, {"type": "message", "from": 1, "text": [None, {}]}]}),
        ("facebook", {"messages": [3, {}, {"sender_name": 1, "content": "x"}, {"timestamp_ms": "x"}]}),
        ("facebook", [{"data": None}, {"data": [3, {"post": 1}, {"comment": 2}], "timestamp": None}]),
        ("mastodon", {"orderedItems": [3, {}, {"type": "Create"}, {"type": "Create", "object": {"content": 1}}]}),
    ],
)
def test_odd_entries_are_left_out(tmp_path, name, found):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(found))
    assert "".join(export(path, FORMATS[name], None, False)).strip() == ""


def test_half_characters_can_be_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"messages": [{"type": "message", "from": "A", "text": "a\\ud83d b"}]}')
    assert "".join(export(path, FORMATS["telegram"], None, False)) == "a? b\n"


def test_one_sender_and_names():
    said = [Message("Anna", "One\ntwo"), Message("Béla  Nagy", "Three"), Message("Anna", " "), Message("Anna", "Four")]
    assert "".join(format_messages(said, None, True)) == "Anna: One\ntwo\nBéla  Nagy: Three\nAnna: Four\n"
    assert "".join(format_messages(said, None, False)) == "One\ntwo\nThree\nFour\n"
    assert "".join(format_messages(said, "béla nagy", True)) == "Béla  Nagy: Three\n"
    posts = [Message("", "One", post=True), Message("", "Two", post=True)]
    assert "".join(format_messages(posts, None, True)) == "One\n\nTwo\n"


def test_formats_have_names_and_facebooks_parts_an_order():
    assert format_of("mastodon").suffixes == (".json",)
    with pytest.raises(ConfigError, match="--format is 'icq'; expected whatsapp, telegram, facebook, mastodon"):
        format_of("icq")
    names = ["b.txt", "x/message_1.json", "x/message_10.json", "x/message_2.json", "a.txt"]
    assert sorted(names, key=order) == ["a.txt", "b.txt", "x/message_10.json", "x/message_2.json", "x/message_1.json"]
