"""The command line: the only place that prints, asks and exits.

One file per command, imported when that command is asked for; what it needs beyond the standard library and
Typer is imported when it runs, so that `--help` comes at once. Text goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Annotated, Any

import typer
import typer.core

from .._version import __version__
from ..errors import NumlstmError

# The commands as `--help` lists them. Each is the function of its name in the module of its name.
COMMANDS = ("train", "gen", "models", "eval", "score", "look", "info", "share", "corpus", "plot", "check", "serve")

_SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(typer.core.TyperGroup):
    """Finds the commands, runs them and turns what goes wrong into one line and an exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": dict.fromkeys(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        found = getattr(module, cmd_name)
        if not isinstance(found, typer.Typer):  # a Typer has commands of its own
            function, found = found, typer.Typer(**_SETTINGS)
            found.command(cmd_name)(function)
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # what is not written yet may find no room
            return done
        except NumlstmError as error:
            from .shared.wording import as_options

            print(f"numlstm: {as_options(str(error))}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except OSError as error:
            # Whoever read the text has seen enough, or there is no room for it; the interpreter must not complain of it
            # at its end.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                raise typer.Exit(0) from None
            with contextlib.suppress(OSError):
                print(f"numlstm: not all could be written: {error}; make room, or write it elsewhere", file=sys.stderr)
            raise typer.Exit(1) from None
        except Exception as error:
            from .shared.device_errors import told

            line = told(error, ctx.invoked_subcommand)
            if not line:
                raise
            print(f"numlstm: {line}", file=sys.stderr)
            raise typer.Exit(1) from None


app = typer.Typer(cls=_Commands, no_args_is_help=True, **_SETTINGS)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"numlstm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train an LSTM on your own text and write new text like it, on the machine you have.

    [bold]numlstm train corpus.txt --layers 128,128[/bold]

    [bold]numlstm gen weights.npz --temperature 0.6[/bold]
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error of ours, 2 usage, 130 interrupted."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    app(prog_name="numlstm")
