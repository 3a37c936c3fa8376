"""Build command-line options from the settings declared in `numlstm/settings`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from ...settings.declaration import Setting

_TYPES = {"flag": bool, "int": int, "float": float, "text": str, "sizes": str, "texts": list[str]}


def _show_all(context: typer.Context, wanted: bool) -> None:
    """Callback of `--help-all`: print the help with all options and exit."""
    if wanted:
        options: Any = context.command.params
        for each in options:
            each.hidden = False
        print(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool, typer.Option("--help-all", help="Show all options, in groups.", is_eager=True, callback=_show_all)
]


def flag(name: str) -> str:
    """Return the command-line option of a setting: "batch_size" becomes "--batch-size"."""
    return "--" + name.replace("_", "-")


def with_settings(settings: Sequence[Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: replace a command's parameter `options` by one option per setting.

    The command receives the options that the user typed as the dict `options`, by name. If any settings are `common`,
    the others are shown only by `--help-all`.
    """
    short = any(each.common for each in settings)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters

        @functools.wraps(command)
        def called(help_all: bool = False, **values: Any) -> None:
            arguments = {name: values.pop(name) for name in own if name != "options"}
            command(**arguments, options={name: value for name, value in values.items() if _is_given(value)})

        options: list[inspect.Parameter] = []
        for name, each in own.items():
            if name == "options":
                options += [_parameter(setting, short and not setting.common) for setting in settings]
            else:
                options.append(each.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        if short:
            options.append(inspect.Parameter("help_all", options[0].kind, default=False, annotation=HelpAll))
        called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in options}
        del called.__wrapped__  # Typer would read the signature of the wrapped function
        return called

    return decorate


def _is_given(value: Any) -> bool:
    return value is not None and value is not False and value != []


def help_of(setting: Setting) -> str:
    """Return the help text of a setting's option, with its default."""
    several = " May be given several times; [bold]\\n[/bold] is a line break." if setting.kind == "texts" else ""
    default = f"  [dim]\\[default: {setting.default_in_words}][/dim]" if setting.default_in_words else ""
    return setting.help.replace("[", "\\[") + several + default


def _parameter(setting: Setting, hidden: bool) -> inspect.Parameter:
    """Return the option of a setting. Its default is None, or False for a flag."""
    is_flag = setting.kind == "flag"
    kind: Any = _TYPES[setting.kind]
    names = [setting.short, flag(setting.name)] if setting.short else [flag(setting.name)]
    option = typer.Option(
        *names,
        help=help_of(setting),
        show_default=False,
        rich_help_panel=setting.group or None,
        hidden=hidden,
        metavar=setting.metavar or None,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_flag else None,
        annotation=Annotated[kind if is_flag else kind | None, option],
    )
