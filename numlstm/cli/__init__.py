"""The command line: the only place that prints, asks and exits.

One file per command. What they need beyond the standard library and Typer is imported when a command runs,
so that `--help` comes at once. Text goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Any

import typer
import typer.core

from .. import __version__
from ..errors import NumlstmError
from .check import check
from .eval import evaluate
from .gen import gen
from .info import info
from .plot import plot
from .train import train


class _Commands(typer.core.TyperGroup):
    """Runs the commands and turns what goes wrong into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # what is not written yet may find no room
            return done
        except NumlstmError as error:
            print(f"numlstm: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except MemoryError:
            print("numlstm: out of memory; lower --batch-size, --seq-len or --layers", file=sys.stderr)
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


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


app.command()(train)
app.command()(gen)
app.command("eval")(evaluate)
app.command()(info)
app.command()(plot)
app.command()(check)


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error of ours, 2 usage, 130 interrupted."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    app(prog_name="numlstm")
