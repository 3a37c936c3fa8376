"""Check which options of `gen` can be combined, and read escapes in its text options."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError

_SHAPING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
# Options that an option excludes, and why.
_EXCLUDES: dict[str, tuple[tuple[str, ...], str]] = {
    "beam": ((*_SHAPING, "samples", "interactive"), "it looks for the likeliest text instead of sampling"),
    "interactive": (
        ("prompt", "prompt_file", "prompt_from", "samples", "output", "json_"),
        "it reads prompts from the terminal and shows one text at a time",
    ),
    "prompt": (("prompt_file", "prompt_from"), "a text has one prompt"),
    "prompt_file": (("prompt_from",), "a text has one prompt"),
}
_NEEDS = {
    "prompt_length": "prompt_from",
    "penalty_window": "repetition_penalty",
    "initials_of": "initials",
    "overwrite": "output",
}


def check_combination(ctx: Any) -> None:
    """Raise `ConfigError` if options were given that cannot be combined; `ctx` is Typer's context."""
    given = {name for name in ctx.params if ctx.get_parameter_source(name).name == "COMMANDLINE"}
    for name, (others, reason) in _EXCLUDES.items():
        for other in others:
            if {name, other} <= given:
                raise ConfigError(f"give either {_option(name)} or {_option(other)}, not both: {reason}")
    for name, needed in _NEEDS.items():
        if name in given and needed not in given:
            raise ConfigError(f"{_option(name)} was given without {_option(needed)}; expected both or neither")
    if ctx.params["temperature"] == 0:
        for name in ("top_k", "top_p", "min_p"):
            if name in given:
                raise ConfigError(
                    f"{_option(name)} has no effect with --temperature 0, which always takes the likeliest token; "
                    "leave one of them out"
                )
    if {"beam", "seed"} <= given and "prompt_from" not in given:
        raise ConfigError("--seed has no effect with --beam, which draws nothing at random; leave one of them out")


def _option(name: str) -> str:
    return "--" + name.strip("_").replace("_", "-")


def unescaped(text: str) -> str:
    r"""Replace the escapes \n, \t and \\, since line breaks and tabs are hard to type in a shell."""
    signs = {"n": "\n", "t": "\t", "\\": "\\"}
    out, escaped = [], False
    for char in text:
        if escaped:
            out.append(signs.get(char, "\\" + char))
        elif char != "\\":
            out.append(char)
        escaped = char == "\\" and not escaped
    return "".join(out) + "\\" * escaped
