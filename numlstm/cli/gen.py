"""`numlstm gen`: write new text."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .options import Device, DropUnknown, Threads, Weights, open_backend
from .working import working

if TYPE_CHECKING:
    from ..config import ModelConfig, SampleConfig
    from ..model import Model
    from ..text.vocab import Ids, Vocab
    from ..weights import WeightsFile

# Measured on two cores at 2.5 GHz. NumPy needs so many seconds per token for each layer, besides those for each
# parameter and stream; importing Numba and loading the compiled kernels takes as long as it needs for the rest.
_LAYER_SECONDS = 90e-6
_PARAMETER_SECONDS = 0.25e-9
_KERNEL_SECONDS = 0.4


def gen(
    weights: Weights,
    prompt: Annotated[str, typer.Option(help="Text to go on from; it is printed first.", show_default=False)] = "",
    length: Annotated[
        int, typer.Option(help="Tokens to write: characters, or bytes or words, as the model has them.")
    ] = 250,
    temperature: Annotated[
        float,
        typer.Option(
            help="How freely to choose: 0 always takes the likeliest token, 1 follows the model, more is wilder."
        ),
    ] = 0.6,
    samples: Annotated[
        int, typer.Option(help="Texts to write, all from the same prompt; more than one come with a line above each.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed gives the same text.  [dim]\\[default: a new one][/dim]", show_default=False),
    ] = None,
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
    is taken: the same text, apart from rounding.

    Examples:

    [bold]numlstm gen weights.npz[/bold]

    [bold]numlstm gen weights.npz --prompt "ROMEO:" --length 1000 --temperature 0.8 --seed 7[/bold]
    """
    import secrets

    # Read as NumPy is imported. Its products are small here: waking other cores for them would take longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, threads or 1)))
    from .. import weights as files
    from ..config import SampleConfig
    from ..model import Model

    if not 1 <= samples <= 2**16:
        raise ConfigError(f"--samples is {samples}; expected 1 to {2**16}")
    config = SampleConfig(length, temperature, secrets.randbelow(2**31) if seed is None else seed)
    file = files.load(weights)
    read = file.vocab.encode_prompt(prompt, drop_unknown=drop_unknown)
    if device == "auto" and is_quick(file.config, len(read) + length, samples):
        device = "reference"
    if not allow_unk:
        _forbid_unknown(file)
    with working("" if samples == 1 else f"writing {samples} texts of {length:,} {file.vocab.unit}s"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        pieces = _pieces(model, prompt, config, samples, drop_unknown)
        first = next(pieces)  # waits for the kernels
    _write(itertools.chain([first], pieces))
    _tell_unknown(file.vocab, read)
    if sys.stdout.isatty() and samples == 1:
        print()
        if seed is None:
            print(f"(seed {config.seed})", file=sys.stderr)


def is_quick(config: ModelConfig, tokens: int, streams: int) -> bool:
    """Whether NumPy reads and writes so many tokens in less time than the compiled kernels take to load.

    `streams` texts are written side by side: they share the overhead of each call, but not the arithmetic.
    """
    from .. import params

    each = len(config.layers) * _LAYER_SECONDS + streams * params.count(config) * _PARAMETER_SECONDS
    return tokens * each < _KERNEL_SECONDS


def _forbid_unknown(file: WeightsFile) -> None:
    """Make the sign for unknown words, if there is one, so unlikely that it is never drawn."""
    from .. import params

    if file.vocab.unknown_id is not None:
        params.views(file.params, file.config)["output.b"][file.vocab.unknown_id] = -1e30


def _tell_unknown(vocab: Vocab, ids: Ids) -> None:
    unknown = 0 if vocab.unknown_id is None else int((ids == vocab.unknown_id).sum())
    if unknown:
        tokens = "1 token" if unknown == 1 else f"{unknown} tokens"
        print(f"({tokens} of the prompt unknown to the model)", file=sys.stderr)


def _pieces(model: Model, prompt: str, config: SampleConfig, samples: int, drop_unknown: bool) -> Iterator[str]:
    """Yield what is to be printed: one text as it is made, or several, each with a line above."""
    from ..generate import generate, generate_many

    # As it was typed, even if a word of it is unknown, apart from what is left out.
    start = prompt.rstrip(" ") if model.vocab.level == "word" else prompt
    if drop_unknown:
        start = model.vocab.decode(model.vocab.encode_prompt(prompt, drop_unknown=True))
    if samples > 1:
        texts = generate_many(model, [prompt] * samples, config, drop_unknown=drop_unknown)
        for n, text in enumerate(texts, 1):
            yield f"--- {n} of {samples}, seed {config.seed} ---\n{start}{text}\n"
        return
    pieces = generate(model, prompt, config, drop_unknown=drop_unknown)
    yield start + next(pieces, "")
    yield from pieces


def _write(pieces: Iterator[str]) -> None:
    """Write text as it comes, or bytes, exactly, to a file or pipe; on a terminal, signs for what it cannot show."""
    shown: Callable[[str], str] = str
    if hasattr(sys.stdout, "reconfigure"):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
            shown = _without_escapes
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
    for piece in pieces:
        sys.stdout.write(shown(piece))
        sys.stdout.flush()


def _without_escapes(text: str) -> str:
    """Show bytes that are no text as the sign for that."""
    return "".join("\ufffd" if "\udc80" <= symbol <= "\udcff" else symbol for symbol in text)
