"""Command-line options generated from declared settings: which help lists them, and what the command receives."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.testing import CliRunner

from numlstm.cli.shared.declared_options import flag, with_settings
from numlstm.settings.commands import train_settings
from numlstm.settings.declaration import Setting

from ..conftest import Command

SETTINGS = (
    Setting("rate", "float", False, 0.5, "How fast.", "Steps", least=0, common=True, short="-r"),
    Setting("deep", "flag", False, False, "Whether deep.", "Network"),
    Setting("sizes", "sizes", False, (1, 2), "Of each layer [one each].", "Network", default_text="1,2"),
)


def command(*words: str) -> tuple[int, str, list[Any]]:
    """Run a command with `SETTINGS`; return its exit code, its output and the arguments of each call."""
    handed: list[Any] = []

    @with_settings(SETTINGS)
    def run(name: str = "nobody", *, options: dict[str, Any]) -> None:
        handed.append((name, options))

    app = typer.Typer(rich_markup_mode="rich")
    app.command()(run)
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": "200", "NO_COLOR": "1"})
    return done.exit_code, done.output, handed


def test_what_was_given_is_handed_over_and_nothing_else() -> None:
    assert command() == (0, "", [("nobody", {})])
    assert command("--name", "x", "-r", "0", "--deep", "--sizes", "3") == (
        0,
        "",
        [("x", {"rate": 0.0, "deep": True, "sizes": "3"})],
    )


def test_the_short_help_has_what_most_people_need_and_the_long_one_all() -> None:
    _, short, _ = command("--help")
    assert "--rate" in short
    assert "0.5" in short
    assert "--deep" not in short
    code, long, handed = command("--help-all")
    assert (code, handed) == (0, [])
    for words in ("--rate", "--deep", "--sizes", "Of each layer [one each].", "1,2", "Network"):
        assert words in long


def test_train_shows_about_a_dozen_and_all_if_asked(numlstm: Command) -> None:
    short, long = (numlstm("train", option).stdout for option in ("--help", "--help-all"))
    listed = re.findall(r"^│ +(--[a-z0-9-]+)", short, re.MULTILINE)
    shown = [each.name for each in train_settings() if flag(each.name) in listed]
    assert shown == [each.name for each in train_settings() if each.common]
    assert 10 <= len(shown) <= 15
    assert [each.name for each in train_settings() if flag(each.name) not in long] == []
