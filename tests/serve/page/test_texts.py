"""The page's strings are complete and in use, in English and Korean; its static files obey the security policy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from numlstm.serve.jobs.options import described, job_settings

PAGE = Path(__file__).parents[3] / "numlstm" / "serve" / "page" / "static"
SCRIPTS = sorted(PAGE.glob("*.js"))


def texts(name: str) -> dict[str, str]:
    """Return the strings of a module, which has one `"key": "text",` per line."""
    lines = (PAGE / name).read_text("utf-8").splitlines()
    pairs = [re.fullmatch(r'  ("[^"]+"): (".*"),', line) for line in lines]
    found = {json.loads(pair[1]): json.loads(pair[2]) for pair in pairs if pair}
    assert len(found) == sum(line.startswith('  "') for line in lines), (
        f"{name}: a key appears twice, or a line is malformed"
    )
    return found


ENGLISH, KOREAN, OPTIONS = texts("en.js"), texts("ko.js"), texts("ko-options.js")


def places(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}", text))


def test_both_languages_have_the_same_texts() -> None:
    assert list(ENGLISH) == list(KOREAN)
    for key, text in ENGLISH.items():
        assert places(text) == places(KOREAN[key]), key
        assert text.strip(), key


def test_korean_is_korean() -> None:
    names = {
        "drawing.top_p",
        "drawing.top_k",
        "drawing.min_p",
        "option.beta1",
        "option.beta2",
        "option.epsilon",
        "option.rho",
    }
    names |= {"option.l1", "option.l2", "sheet.caption"}
    for key, text in {**KOREAN, **OPTIONS}.items():
        if key not in names and not key.startswith("default."):
            assert re.search("[가-힣]", text), key
        assert not re.search(r"\((이|가|을|를|은|는|와|과|으)\)", text), f"{key}: unresolved pair of particles"


def test_every_option_of_training_is_explained_in_korean() -> None:
    known = {**KOREAN, **OPTIONS}
    for option in job_settings():
        for kind in ("option", "help"):
            assert f"{kind}.{option.name}" in known, option.name
        assert f"group.{option.group}" in known
        # The default is translated too, unless it is a number or a literal value of the option.
        default = described(option)["default"]
        assert f"default.{option.name}" in known or re.fullmatch(r"[\d.,-]*\w*", default), option.name


def test_what_is_explained_is_an_option() -> None:
    names = {option.name for option in job_settings()}
    for key in {**ENGLISH, **OPTIONS}:
        kind, _, name = key.partition(".")
        if kind in ("option", "help", "default") and name:
            assert name in names, key


def test_the_texts_that_are_used_are_there_and_no_others() -> None:
    code = "".join(
        path.read_text("utf-8")
        for path in [*SCRIPTS, PAGE / "index.html"]
        if path.stem not in ("en", "ko", "ko-options")
    )
    quoted = set(re.findall(r'"([a-z]+(?:\.[\w.]+)?)"', code))
    named = set(re.findall(r'(?:\bt\(|data-t(?:-[\w-]+)?=)"([\w.]+)"', code))
    assert named <= set(ENGLISH)
    made = ("option.", "help.", "default.", "state.", "sheet.", "vocabulary.", "drawing.", "voice.")  # with `${...}`
    assert [key for key in ENGLISH if key not in quoted and not key.startswith(made)] == []


@pytest.mark.parametrize("path", [PAGE / "index.html", PAGE / "icon.svg"], ids=lambda path: path.name)
def test_nothing_that_the_policy_would_refuse(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r'(?:src|href)="(?:/|\w+:)', text)  # only relative URLs work below a proxy's path


def test_scripts_are_small_and_ask_nobody_else() -> None:
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 300, path.name
        assert not re.search(r"""["'`](?:https?:)?//(?!www\.w3\.org)""", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", text), path.name
