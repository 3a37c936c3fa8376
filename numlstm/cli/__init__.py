"""The command line: the only package that prints, prompts and exits.

Each command has its own module, imported when the command is used. Dependencies beyond the standard library and Typer
are imported when it runs, so `--help` appears at once. Text goes to stdout, everything else to stderr.
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

# The commands in the order of `--help`. Each is the function of that name in the module of that name.
COMMANDS = ("train", "gen", "models", "eval", "score", "look", "info", "share", "corpus", "plot", "check", "serve")

_SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(typer.core.TyperGroup):
    """Imports and runs the commands, and turns errors into one line on stderr and an exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": dict.fromkeys(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        found = getattr(module, cmd_name)
        if not isinstance(found, typer.Typer):  # a Typer has subcommands
            function, found = found, typer.Typer(**_SETTINGS)
            found.command(cmd_name)(function)
        command = typer.main.get_command(found)
        command.name = cmd_name
        for each in [command, *getattr(command, "commands", {}).values()]:
            _name_values(each.params)
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # raises here if the disk is full
            return done
        except NumlstmError as error:
            from .shared.wording import as_options

            print(f"numlstm: {as_options(str(error))}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("numlstm: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None
        except OSError as error:
            # The reader closed the pipe, or the disk is full. Redirect stdout, or the interpreter would complain again
            # when it flushes at exit.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                raise typer.Exit(0) from None
            with contextlib.suppress(OSError):
                print(f"numlstm: could not write all output: {error}; make room or write elsewhere", file=sys.stderr)
            raise typer.Exit(1) from None
        except Exception as error:
            from .shared.device_errors import device_failure_message

            line = device_failure_message(error, ctx.invoked_subcommand)
            if not line:
                raise
            print(f"numlstm: {line}", file=sys.stderr)
            raise typer.Exit(1) from None


def _name_values(options: Any) -> None:
    """Name the values of options in the help: TEXT, or N for a number, instead of a Python type."""
    for each in options:
        if each.param_type_name == "option" and each.metavar is None and not each.is_flag:
            each.metavar = "TEXT" if each.type.name in ("text", "str") else "N"


app = typer.Typer(cls=_Commands, no_args_is_help=True, **_SETTINGS)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"numlstm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train an LSTM on your own text and write new text like it, on the machine you have.

    [bold]numlstm train corpus.txt --layers 128,128[/bold]

    [bold]numlstm gen weights.npz --temperature 0.6[/bold]
    """


def main() -> None:
    """Run the command line and exit: 0 success, 1 numlstm error, 2 wrong usage, 130 interrupted."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid Unicode
    app(prog_name="numlstm")
