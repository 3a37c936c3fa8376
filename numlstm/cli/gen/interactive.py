"""`numlstm gen -i`: prompts are typed, each is gone on from, and lines that begin with a slash change the settings."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, NumlstmError
from ...generation.writing import Writing
from ...settings.sampling import SamplingSettings, new_seed
from ..shared.wording import as_options
from ..shared.work_progress import working
from .option_rules import unescaped
from .text_output import show

if TYPE_CHECKING:
    from ...model import Model

_HELP = r"""Type a prompt to go on from, or nothing at all. \n is a line's end, \\ a backslash.
Ctrl-C stops a text, Ctrl-D ends. Lines that begin with a slash (// for a prompt that does):
  /length N           tokens to write
  /temperature T      0 takes the likeliest, 1 follows the model
  /top-k K, /top-p P, /min-p M, /repetition-penalty R, /penalty-window N
  /stop TEXT, /ban TEXT    one more text to end at, or never to write; without TEXT: none any more
  /initials LETTERS   what lines begin with, or words after /initials-of word; without LETTERS: anything
  /seed N             the same text from the same prompt each time; without N: a new seed for each
  /settings           show them all
  /help, /quit"""


def interact(
    open_model: Callable[[], Model], config: SamplingSettings, *, fixed_seed: bool, drop_unknown: bool
) -> None:
    """Read lines from stdin until it ends, and write a text for each that is a prompt."""
    with contextlib.suppress(ImportError):  # not on every system: then without history
        import readline  # noqa: F401
    with working():
        model = open_model()
    if hasattr(sys.stdin, "reconfigure"):  # bytes that are no text make a prompt that is refused, or are bytes
        sys.stdin.reconfigure(errors="surrogateescape", newline=None)
    session = _Session(model, config, fixed_seed, drop_unknown)
    terminal = sys.stdin.isatty()
    if terminal:
        print("Type a prompt; /help says more, Ctrl-D ends.", file=sys.stderr)
    while not session.over:
        try:
            session.line(_typed(terminal))
        except KeyboardInterrupt:
            print(file=sys.stderr)
        except EOFError:
            if terminal:
                print(file=sys.stderr)
            return
        except NumlstmError as error:
            print(f"numlstm: {as_options(str(error), '/')}", file=sys.stderr)


def _typed(terminal: bool) -> str:
    """Return a line; the sign that asks for it goes where it is no part of the text."""
    if terminal and not sys.stdout.isatty():
        print("> ", end="", file=sys.stderr, flush=True)
    return input("> " if terminal and sys.stdout.isatty() else "")


class _Session:
    def __init__(self, model: Model, config: SamplingSettings, fixed_seed: bool, drop_unknown: bool) -> None:
        self.model, self.config = model, config
        self.fixed_seed, self.drop_unknown, self.over = fixed_seed, drop_unknown, False

    def line(self, line: str) -> None:
        if line.startswith("/") and not line.startswith("//"):
            name, _, value = line[1:].partition(" ")
            self.command(name.strip(), value.strip())
        else:
            self.write(unescaped(line[1:] if line.startswith("//") else line))

    def write(self, prompt: str) -> None:
        if not self.fixed_seed:
            self.config = dataclasses.replace(self.config, seed=new_seed())
        writing = Writing(self.model, [prompt], self.config, drop_unknown=self.drop_unknown)
        stopped = ""
        try:
            show([writing.texts[0].shown])
            show(piece for _, piece in writing.pieces())
        except KeyboardInterrupt:
            stopped = "stopped, "
        finally:
            print(flush=True)
        print(f"({stopped}seed {self.config.seed})", file=sys.stderr)

    def command(self, name: str, value: str) -> None:
        """Do what a line that begins with a slash says; raises `ConfigError` if it cannot be done."""
        if name in ("quit", "exit", "q"):
            self.over = True
        elif name == "help":
            print(_HELP, file=sys.stderr)
        elif name == "settings":
            self.tell()
        elif name == "seed" and not value:
            self.fixed_seed = False
        else:
            self.set(name, value)

    def set(self, name: str, value: str) -> None:
        field = name.replace("-", "_")
        known = {each.name: each.default for each in dataclasses.fields(SamplingSettings)}
        if field not in known:
            raise ConfigError(f"/{name} is no command; expected a setting such as /temperature, or /help")
        changed = _read(name, value, getattr(self.config, field), known[field])
        self.config = dataclasses.replace(self.config, **{field: changed})
        self.fixed_seed |= field == "seed"

    def tell(self) -> None:
        for field, value in self.config.to_dict().items():
            shown = "a new one each time" if field == "seed" and not self.fixed_seed else value
            print(f"/{field.replace('_', '-')} {shown}", file=sys.stderr)


def _read(name: str, value: str, now: Any, usual: Any) -> Any:
    """Return what a setting becomes: texts are added to those there are, and no value at all is the usual one."""
    if not value:
        return usual
    if isinstance(usual, tuple):
        return (*now, unescaped(value))
    if isinstance(usual, str):
        return value
    try:
        return type(usual)(value)
    except ValueError:
        kind = "a whole number" if isinstance(usual, int) else "a number"
        raise ConfigError(f"/{name} is given {value!r}; expected {kind}") from None
