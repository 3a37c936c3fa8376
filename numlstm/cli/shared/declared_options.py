"""Options of a command made from settings that are declared in `numlstm/settings`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from ...settings.declaration import Setting

_TYPES = {"flag": bool, "int": int, "float": float, "text": str, "sizes": str, "texts": list[str]}


def _show_all(context: typer.Context, wanted: bool) -> None:
    """Print the help with all options and exit, if it was asked for."""
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
    """Return a setting's name as it is written on the command line."""
    return "--" + name.replace("_", "-")


def with_settings(settings: Sequence[Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting; those that are not `common` show in `--help-all` alone.

    The command is handed the options that were given as a dict by name, `given`, after its own parameters.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in inspect.signature(command, eval_str=True).parameters.values() if each.name != "given"]

        @functools.wraps(command)
        def called(help_all: bool = False, **values: Any) -> None:
            arguments = {each.name: values.pop(each.name) for each in own}
            given = {name: value for name, value in values.items() if value is not None and value is not False}
            command(**arguments, given=given)

        options = [_parameter(each) for each in settings]
        help_all = inspect.Parameter("help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=HelpAll)
        positional = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        called.__signature__ = inspect.Signature([*positional, *options, help_all])  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in [*positional, *options, help_all]}
        del called.__wrapped__  # whose signature would be taken
        return called

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    """Return the option of a setting: None, or False for a flag, where it is not given."""
    is_flag = setting.kind == "flag"
    kind: Any = _TYPES[setting.kind]
    names = [setting.short, flag(setting.name)] if setting.short else [flag(setting.name)]
    option = typer.Option(
        *names,
        help=setting.help.replace("[", "\\[") + _default(setting),
        show_default=False,
        rich_help_panel=setting.group,
        hidden=not setting.common,
        metavar=setting.metavar or None,
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if is_flag else None,
        annotation=Annotated[kind if is_flag else kind | None, option],
    )


def _default(setting: Setting) -> str:
    """Return what the help says of a setting that is not given."""
    says = setting.says or ("" if setting.kind == "flag" or setting.required else _shown(setting.default))
    return f"  [dim]\\[default: {says}][/dim]" if says else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
