"""Read the text file of WhatsApp's "Export chat": one line per message, and more if the message has line breaks.

Phones write dates in their owner's format: `[31.12.20, 23:59:59] Name: text` on an iPhone, `12/31/20, 11:59 PM - Name:
text` on Android, with other orders, punctuation and words for AM and PM elsewhere. System messages are left out: who
joined, that the chat is encrypted, that a picture is not in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import CorpusError
from .messages import Message

_DATE = r"\d{1,4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,4}\.?"
_NOON = r"(?:[AaPp]\.?\s?[Mm]\.?|오전|오후|上午|下午|午前|午後|[πΠμΜ]\.?\s?[μΜ]\.?|[صم]|ÖÖ|ÖS)"
_TIME = rf"(?:{_NOON}\s?)?\d{{1,2}}[:.]\d{{2}}(?:[:.]\d{{2}})?(?:\s?{_NOON})?"
_COMMA = r"(?:\sг\.)?,?\s(?:(?:à|klo|kl\.|um)\s)?"  # between date and time
_BEGINS = re.compile(rf"^[\u200e\u200f]*(?:\[{_DATE}{_COMMA}{_TIME}\]\s|{_DATE}{_COMMA}{_TIME}(?:\sч\.)?\s[-–]\s)")
_SAID = re.compile(r"([^:\n]{1,80}?)\s?: ?(.*)", re.DOTALL)

# Marks that WhatsApp on an iPhone puts before its own text, and around names.
_OWN = "\u200e"
_MARKS = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MEDIA = re.compile(r"<[^<>\n]{3,60}>|\S[^\n]*\.\w{2,5} \([^()\n]{3,40}\)|null")
_EDITED = re.compile(r"\s?<[^<>\n]*(?:edited|bearbeitet|editado|modifié|수정)[^<>\n]*>$", re.IGNORECASE)
_DELETED = frozenset(
    {
        "this message was deleted",
        "you deleted this message",
        "diese nachricht wurde gelöscht",
        "du hast diese nachricht gelöscht",
        "se eliminó este mensaje",
        "eliminaste este mensaje",
        "ce message a été supprimé",
        "vous avez supprimé ce message",
        "삭제된 메시지입니다",
        "waiting for this message",
        "missed voice call",
        "missed video call",
    }
)


def messages_of_whatsapp(text: str) -> Iterator[Message]:
    """Yield the messages of an exported chat. Raises `CorpusError` if the text is not one."""
    found = False
    for raw in _raw_messages(text):
        found = True
        said = _SAID.match(raw)
        if said is None or _is_system(said[1]):
            continue
        message = _cleaned(said[2])
        if message:
            yield Message(_MARKS.sub("", said[1]).strip().removeprefix("~").strip(), message)
    if not found:
        raise CorpusError("it is not a WhatsApp chat: no line begins with a date and a time")


def _raw_messages(text: str) -> Iterator[str]:
    """Yield each message without its date, its lines joined."""
    lines: list[str] | None = None
    for line in text.replace("\u202f", " ").replace("\u00a0", " ").split("\n"):
        begins = _BEGINS.match(line)
        if begins:
            if lines is not None:
                yield "\n".join(lines)
            lines = [line[begins.end() :]]
        elif lines is not None:
            lines.append(line)
    if lines is not None:
        yield "\n".join(lines)


def _is_system(sender: str) -> bool:
    """Return True if `sender` is not a name but the start of `Anna changed the subject to "Trip: July"`, say."""
    return any(mark in sender for mark in '"“”„«»')


def _cleaned(text: str) -> str:
    """Return what the sender wrote, without WhatsApp's own text; "" if nothing is left."""
    if text.startswith(_OWN):
        # The mark also precedes a file with a caption, but only in the first line; the caption follows.
        text = text.partition("\n")[2]
    lines = [line for line in _MARKS.sub("", _EDITED.sub("", text)).split("\n") if not _MEDIA.fullmatch(line.strip())]
    message = "\n".join(lines).strip()
    return "" if message.rstrip(".").casefold() in _DELETED else message
