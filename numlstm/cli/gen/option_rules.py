"""Which options of `gen` go together, and how its texts are typed on a command line."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError

_SHAPING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
# What an option leaves no room for, and why.
_EXCLUDES: dict[str, tuple[tuple[str, ...], str]] = {
    "beam": ((*_SHAPING, "samples", "interactive"), "it looks for the likeliest text, and nothing is drawn"),
    "interactive": (
        ("prompt", "prompt_file", "prompt_from", "samples", "output", "json_"),
        "prompts are typed and texts shown one by one",
    ),
    "prompt": (("prompt_file", "prompt_from"), "a text goes on from one prompt"),
    "prompt_file": (("prompt_from",), "a text goes on from one prompt"),
}
_NEEDS = {
    "prompt_length": "prompt_from",
    "penalty_window": "repetition_penalty",
    "initials_of": "initials",
    "overwrite": "output",
}


def check_combination(ctx: Any) -> None:
    """Raise `ConfigError` if options were given that mean nothing together; `ctx` is Typer's."""
    given = {name for name in ctx.params if ctx.get_parameter_source(name).name == "COMMANDLINE"}
    for name, (others, reason) in _EXCLUDES.items():
        for other in others:
            if {name, other} <= given:
                raise ConfigError(f"{_option(name)} and {_option(other)} are given; expected one of them: {reason}")
    for name, needed in _NEEDS.items():
        if name in given and needed not in given:
            raise ConfigError(f"{_option(name)} is given without {_option(needed)}; expected both or neither")
    if ctx.params["temperature"] == 0:
        for name in ("top_k", "top_p", "min_p"):
            if name in given:
                raise ConfigError(
                    f"{_option(name)} is given with --temperature 0, which takes the likeliest token in any case; "
                    "expected one of them"
                )
    if {"beam", "seed"} <= given and "prompt_from" not in given:
        raise ConfigError("--beam and --seed are given; expected no seed, since nothing is drawn")


def _option(name: str) -> str:
    return "--" + name.strip("_").replace("_", "-")


def unescaped(text: str) -> str:
    r"""Return a text with \n and \t as a line's end and a tab, hard to type in a shell, and \\ as a backslash."""
    signs = {"n": "\n", "t": "\t", "\\": "\\"}
    out, escaped = [], False
    for char in text:
        if escaped:
            out.append(signs.get(char, "\\" + char))
        elif char != "\\":
            out.append(char)
        escaped = char == "\\" and not escaped
    return "".join(out) + "\\" * escaped
