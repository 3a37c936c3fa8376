"""`numlstm gen`: write new text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ...settings.declaration import declared
from ...settings.precision import rounding_of
from ...settings.sampling import SamplingSettings, new_seed
from ..shared.declared_options import with_settings
from ..shared.options import Device, DropUnknown, Json, Overwrite, Precision, Threads, Weights, open_backend
from .option_rules import check_combination, unescaped

if TYPE_CHECKING:
    from ...generation.sequence import Written
    from ...model import Model
    from ...settings.network import NetworkSettings
    from ...text.vocab.base import Ids, Vocab

# Measured on two cores at 2.5 GHz: the seconds that NumPy needs per token for each layer, and for each parameter and
# stream; and the seconds to import Numba and load the compiled kernels.
_LAYER_SECONDS = 90e-6
_PARAMETER_SECONDS = 0.4e-9
_KERNEL_SECONDS = 0.4

_PER_INITIAL = {"line": 120, "word": 40}  # length per initial if --length is not given


@with_settings(declared(SamplingSettings))
def gen(
    ctx: typer.Context,
    weights: Weights,
    prompt: Annotated[str, typer.Option(help="Text to continue. It is printed first.", show_default=False)] = "",
    prompt_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Continue the text in this file; - is standard input.", show_default=False),
    ] = None,
    prompt_from: Annotated[
        str | None,
        typer.Option(
            metavar="CORPUS", help="Continue a random passage of this text, chosen by the seed.", show_default=False
        ),
    ] = None,
    prompt_length: Annotated[int, typer.Option(min=1, help="Length of that passage in tokens.")] = 60,
    *,
    options: dict[str, Any],
    samples: Annotated[int, typer.Option(help="Number of texts to write; if several, each gets a heading.")] = 1,
    beam: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="Beam search instead of sampling: seek the likeliest text, extending the N likeliest beginnings.",
            show_default=False,
        ),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for prompts until you quit; type /help there for commands.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file instead of the terminal.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
    drop_unknown: DropUnknown = False,
    allow_unk: Annotated[
        bool, typer.Option("--allow-unk", help="Let a word model write <unk> for unknown words.")
    ] = False,
    precision: Precision = "float32",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write new text with a trained model.

    The text appears on stdout as it is generated, in a pipe or file exactly as
    the model wrote it, without a line end added; several texts are generated in
    parallel and appear together at the end. For a short text, [bold]--device auto[/bold] uses
    plain NumPy, which finishes before the compiled kernels would be loaded; the
    text is the same, apart from rounding. [bold]--json[/bold] also outputs the tokens and
    their log-probabilities in nats.

    Examples:

    [bold]numlstm gen weights.npz[/bold]

    [bold]numlstm gen weights.npz --prompt "ROMEO:" --length 1000 --temperature 0.8 --seed 7[/bold]

    [bold]numlstm gen weights.npz --top-p 0.9 --stop "\\n\\n" --samples 5 --json -o five.json[/bold]

    [bold]numlstm gen weights.npz --initials ROSE --ban thou[/bold]

    [bold]numlstm gen weights.npz -i[/bold]
    """
    # NumPy reads this when it is imported. Its products are small here, and waking other cores would take longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, threads or 1)))
    from ...model import device_for, generation_model
    from ...network import weights_file as files
    from .text_output import Plan, write

    check_combination(ctx)
    rounding_of(precision)
    if not 1 <= samples <= 2**16:
        raise ConfigError(f"--samples is {samples}; expected 1 to {2**16}")
    config = _settings(options)
    plan = Plan(samples, beam, json_, output, drop_unknown)
    if output is not None:
        from ...storage.atomic import check_output

        check_output(output, overwrite=overwrite)
    file = files.load(weights)
    if prompt_file is not None or prompt_from is not None:
        from . import prompts

        prompt = prompts.chosen(prompt_file, prompt_from, prompt_length, file.vocab, config.seed, drop_unknown)
    read = file.vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
    if device == "auto" and numpy_is_faster(file.config, len(read) + config.length, beam or samples):
        device = "reference"

    def open_model() -> Model:
        backend = open_backend(device_for(device, precision), threads)
        model = generation_model(file, backend, unknown=allow_unk, precision=precision)
        if model.rounding and backend.name == "cpu" and not model.reads_rounded:
            print(f"({precision} makes this kind of network no faster: it is read as float32)", file=sys.stderr)
        return model

    if interactive:
        from .interactive import interact

        interact(open_model, config, fixed_seed="seed" in options, drop_unknown=drop_unknown)
        return
    texts = write(open_model, prompt, config, plan)
    _warn_unknown(file.vocab, read)
    _warn_missing_initials(texts, config)
    if sys.stdout is not None and sys.stdout.isatty() and plan.bare:
        print()
        if "seed" not in options and beam is None:
            print(f"(seed {config.seed})", file=sys.stderr)


def _settings(options: dict[str, Any]) -> SamplingSettings:
    """Return the settings given, with a new seed and a length that suits the initials where these are missing."""
    found: dict[str, Any] = {"seed": new_seed()}
    found |= {
        name: tuple(map(unescaped, value)) if isinstance(value, list) else value for name, value in options.items()
    }
    initials, of = options.get("initials", ""), options.get("initials_of", SamplingSettings.initials_of)
    if "length" not in found and initials:
        found["length"] = len(initials) * _PER_INITIAL.get(of, 0) or SamplingSettings.length
    return SamplingSettings(**found)


def numpy_is_faster(config: NetworkSettings, tokens: int, streams: int) -> bool:
    """Return True if NumPy processes `tokens` tokens in less time than the compiled kernels take to load.

    `streams` texts written in parallel share the overhead of each call, but not the arithmetic.
    """
    from ...network import parameters

    each = len(config.layers) * _LAYER_SECONDS + streams * parameters.count(config) * _PARAMETER_SECONDS
    return tokens * each < _KERNEL_SECONDS


def _warn_unknown(vocab: Vocab, ids: Ids) -> None:
    unknown = 0 if vocab.unknown_id is None else int((ids == vocab.unknown_id).sum())
    if unknown:
        tokens = "1 token" if unknown == 1 else f"{unknown} tokens"
        print(f"({tokens} of the prompt unknown to the model)", file=sys.stderr)


def _warn_missing_initials(texts: Sequence[Written], config: SamplingSettings) -> None:
    missing = max(text.missing for text in texts)
    if missing:
        letters = "the last initial" if missing == 1 else f"the last {missing} initials"
        print(f"(the text ended before {letters}; raise --length above {config.length})", file=sys.stderr)
