"""`numlstm gen`: write new text."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .options import Device, DropUnknown, Threads, Weights, open_backend
from .working import working

if TYPE_CHECKING:
    from ..config import ModelConfig, SampleConfig
    from ..model import Model

# Measured on two cores at 2.5 GHz. NumPy needs so many seconds per character for each layer, besides those for each
# parameter and stream; importing Numba and loading the compiled kernels takes as long as it needs for the rest.
_LAYER_SECONDS = 90e-6
_PARAMETER_SECONDS = 0.25e-9
_KERNEL_SECONDS = 0.4


def gen(
    weights: Weights,
    prompt: Annotated[str, typer.Option(help="Text to go on from; it is printed first.", show_default=False)] = "",
    length: Annotated[int, typer.Option(help="Characters to write.")] = 250,
    temperature: Annotated[
        float,
        typer.Option(
            help="How freely to choose: 0 always takes the likeliest character, 1 follows the model, more is wilder."
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
    if device == "auto" and is_quick(file.config, len(prompt) + length, samples):
        device = "reference"
    start = file.vocab.decode(file.vocab.encode(prompt, drop_unknown=drop_unknown))
    with working("" if samples == 1 else f"writing {samples} texts of {length:,} characters"):
        model = Model(file.config, file.params, open_backend(device, threads), vocab=file.vocab)
        pieces = _pieces(model, start, config, samples)
        first = next(pieces)  # waits for the kernels
    _write(itertools.chain([first], pieces))
    if sys.stdout.isatty() and samples == 1:
        print()
        if seed is None:
            print(f"(seed {config.seed})", file=sys.stderr)


def is_quick(config: ModelConfig, characters: int, streams: int) -> bool:
    """Whether NumPy reads and writes so many characters in less time than the compiled kernels take to load.

    `streams` texts are written side by side: they share the overhead of each call, but not the arithmetic.
    """
    from .. import params

    each = len(config.layers) * _LAYER_SECONDS + streams * params.count(config) * _PARAMETER_SECONDS
    return characters * each < _KERNEL_SECONDS


def _pieces(model: Model, start: str, config: SampleConfig, samples: int) -> Iterator[str]:
    """Yield what is to be printed: one text as it is made, or several, each with a line above."""
    from ..generate import generate, generate_many

    if samples > 1:
        for n, text in enumerate(generate_many(model, [start] * samples, config), 1):
            yield f"--- {n} of {samples}, seed {config.seed} ---\n{start}{text}\n"
        return
    pieces = generate(model, start, config)
    yield start + next(pieces, "")
    yield from pieces


def _write(pieces: Iterator[str]) -> None:
    """Write text as it comes: exact UTF-8 to a file or pipe; on a terminal, "?" for what it cannot show."""
    if hasattr(sys.stdout, "reconfigure"):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="")
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
