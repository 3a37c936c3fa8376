"""`numlstm gen -i`, an interactive prompt: each line is continued; `/name value` changes a setting."""

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
from ..shared.work_progress import spinner
from .option_rules import unescaped
from .text_output import show

if TYPE_CHECKING:
    from ...model import Model

_HELP = r"""Type the beginning of a text, or nothing, and press Enter. \n is a line break, \\ a backslash.
Ctrl-C stops a text, Ctrl-D quits. Commands begin with a slash; type // for a text that does.
  /length N           tokens to write
  /temperature T      0 takes the likeliest token, 1 follows the model
  /top-k K, /top-p P, /min-p M, /repetition-penalty R, /penalty-window N
  /stop TEXT, /ban TEXT    add a text to stop at, or never to write; without TEXT: remove them all
  /initials LETTERS   letters that lines begin with, or words after /initials-of word; without LETTERS: any
  /seed N             the same text from the same prompt each time; without N: a new seed for each text
  /settings           show all settings
  /help, /quit"""


def interact(
    open_model: Callable[[], Model], config: SamplingSettings, *, fixed_seed: bool, drop_unknown: bool
) -> None:
    """Read prompts and commands from stdin until it ends, and continue each prompt."""
    with contextlib.suppress(ImportError):  # not on every system; without it there is no history
        import readline  # noqa: F401
    with spinner():
        model = open_model()
    if hasattr(sys.stdin, "reconfigure"):  # keep invalid UTF-8: a byte model reads it, others reject it
        sys.stdin.reconfigure(errors="surrogateescape", newline=None)
    session = _Session(model, config, fixed_seed, drop_unknown)
    terminal = sys.stdin.isatty()
    if terminal:
        print("Type a prompt; /help shows commands, Ctrl-D quits.", file=sys.stderr)
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
    """Read a line; show the prompt sign "> " on the terminal, never in redirected output."""
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
        """Run the command of a line that begins with a slash. Raises `ConfigError` if it is invalid."""
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
            raise ConfigError(f"/{name} is not a command; expected a setting such as /temperature, or /help")
        changed = _read(name, value, getattr(self.config, field), known[field])
        self.config = dataclasses.replace(self.config, **{field: changed})
        self.fixed_seed |= field == "seed"

    def tell(self) -> None:
        for field, value in self.config.to_dict().items():
            shown = "a new one each time" if field == "seed" and not self.fixed_seed else value
            print(f"/{field.replace('_', '-')} {shown}", file=sys.stderr)


def _read(name: str, value: str, now: Any, usual: Any) -> Any:
    """Return the new value of a setting: texts are added to the current ones; no value restores the default."""
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
        raise ConfigError(f"/{name} is {value!r}; expected {kind}") from None
