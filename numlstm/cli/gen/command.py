"""`numlstm gen`: write new text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ...settings.declaration import declared
from ...settings.sampling import SamplingSettings, new_seed
from ..shared.declared_options import with_settings
from ..shared.options import Device, DropUnknown, Json, Overwrite, Threads, Weights, open_backend
from .option_rules import check_combination, unescaped

if TYPE_CHECKING:
    from ...generation.sequence import Written
    from ...model import Model
    from ...settings.network import NetworkSettings
    from ...text.vocab.base import Ids, Vocab

# Measured on two cores at 2.5 GHz. NumPy needs so many seconds per token for each layer, besides those for each
# parameter and stream; importing Numba and loading the compiled kernels takes as long as it needs for the rest.
_LAYER_SECONDS = 90e-6
_PARAMETER_SECONDS = 0.4e-9
_KERNEL_SECONDS = 0.4

_PER_INITIAL = {"line": 120, "word": 40}  # tokens, at most, where only initials are given


@with_settings(declared(SamplingSettings))
def gen(
    ctx: typer.Context,
    weights: Weights,
    prompt: Annotated[str, typer.Option(help="Text to go on from; it is printed first.", show_default=False)] = "",
    prompt_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Go on from what is in a file, or in stdin for -.", show_default=False),
    ] = None,
    prompt_from: Annotated[
        str | None,
        typer.Option(
            metavar="CORPUS", help="Go on from a random slice of a text, which the seed chooses.", show_default=False
        ),
    ] = None,
    prompt_length: Annotated[int, typer.Option(min=1, help="Tokens of that slice.")] = 60,
    *,
    given: dict[str, Any],
    samples: Annotated[
        int, typer.Option(help="Texts to write, all from the same prompt; more than one come with a line above each.")
    ] = 1,
    beam: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="Draw nothing: look for the likeliest text, going on from the N likeliest beginnings.",
            show_default=False,
        ),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for prompts, again and again; /help there says more.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write into a file.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
    drop_unknown: DropUnknown = False,
    allow_unk: Annotated[
        bool, typer.Option("--allow-unk", help="Let a model of words write <unk> where it means an unknown one.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write new text with a trained model.

    The text appears on stdout as it is made; several are made side by side and appear together at the end.
    Where [bold]--device auto[/bold] has little to write, plain NumPy is done before the kernels are loaded, and
    is taken: the same text, apart from rounding. [bold]--json[/bold] also gives the tokens and their log-probabilities
    in nats under the model.

    Examples:

    [bold]numlstm gen weights.npz[/bold]

    [bold]numlstm gen weights.npz --prompt "ROMEO:" --length 1000 --temperature 0.8 --seed 7[/bold]

    [bold]numlstm gen weights.npz --top-p 0.9 --stop "\\n\\n" --samples 5 --json -o five.json[/bold]

    [bold]numlstm gen weights.npz --initials ROSE --ban thou[/bold]

    [bold]numlstm gen weights.npz -i[/bold]
    """
    # Read as NumPy is imported. Its products are small here: waking other cores for them would take longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, threads or 1)))
    from ...model import writer
    from ...network import weights_file as files
    from .text_output import Plan, write

    check_combination(ctx)
    if not 1 <= samples <= 2**16:
        raise ConfigError(f"--samples is {samples}; expected 1 to {2**16}")
    config = _settings(given)
    plan = Plan(samples, beam, json_, output, drop_unknown)
    if output is not None:
        from ...storage.atomic import check_output

        check_output(output, overwrite=overwrite)
    file = files.load(weights)
    if prompt_file is not None or prompt_from is not None:
        from . import prompts

        prompt = prompts.chosen(prompt_file, prompt_from, prompt_length, file.vocab, config.seed, drop_unknown)
    read = file.vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
    if device == "auto" and is_quick(file.config, len(read) + config.length, beam or samples):
        device = "reference"

    def open_model() -> Model:
        return writer(file, open_backend(device, threads), unknown=allow_unk)

    if interactive:
        from .interactive import interact

        interact(open_model, config, fixed_seed="seed" in given, drop_unknown=drop_unknown)
        return
    texts = write(open_model, prompt, config, plan)
    _tell_unknown(file.vocab, read)
    _tell_missing(texts, config)
    if sys.stdout is not None and sys.stdout.isatty() and plan.bare:
        print()
        if "seed" not in given and beam is None:
            print(f"(seed {config.seed})", file=sys.stderr)


def _settings(given: dict[str, Any]) -> SamplingSettings:
    """Return how the text is drawn: with a length that is enough for the initials, and a new seed, unless given."""
    found: dict[str, Any] = {"seed": new_seed()}
    found |= {name: tuple(map(unescaped, value)) if isinstance(value, list) else value for name, value in given.items()}
    initials, of = given.get("initials", ""), given.get("initials_of", SamplingSettings.initials_of)
    if "length" not in found and initials:
        found["length"] = len(initials) * _PER_INITIAL.get(of, 0) or SamplingSettings.length
    return SamplingSettings(**found)


def is_quick(config: NetworkSettings, tokens: int, streams: int) -> bool:
    """Whether NumPy reads and writes so many tokens in less time than the compiled kernels take to load.

    `streams` texts are written side by side: they share the overhead of each call, but not the arithmetic.
    """
    from ...network import parameters

    each = len(config.layers) * _LAYER_SECONDS + streams * parameters.count(config) * _PARAMETER_SECONDS
    return tokens * each < _KERNEL_SECONDS


def _tell_unknown(vocab: Vocab, ids: Ids) -> None:
    unknown = 0 if vocab.unknown_id is None else int((ids == vocab.unknown_id).sum())
    if unknown:
        tokens = "1 token" if unknown == 1 else f"{unknown} tokens"
        print(f"({tokens} of the prompt unknown to the model)", file=sys.stderr)


def _tell_missing(texts: Sequence[Written], config: SamplingSettings) -> None:
    missing = max(text.missing for text in texts)
    if missing:
        letters = "the last initial" if missing == 1 else f"the last {missing} initials"
        print(f"(the text ended before {letters}; raise --length above {config.length})", file=sys.stderr)
