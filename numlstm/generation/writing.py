"""Generate text from a network token by token: one text, or several as one batch.

Each random number is a function of the seed, the text's index in the batch and the token's index in the text, so a seed
gives the same numbers on every device.

Reproducibility: with the CPU kernels a seed gives the same text for any number of texts, threads and pieces. Between
devices and processors logits differ by rounding, and a random number that falls between the two cumulative sums selects
another token. Between float32 and float64 (two layers of 128, Shakespeare) this is expected in one of 1,000 texts of
250 characters. Of 1,024 such texts from NumPy and the kernels, both in float32, none differed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..settings.sampling import SamplingSettings
from .batch import Batch, Drawer
from .sequence import Text, Written


def generate(model: Drawer, prompt: str, config: SamplingSettings, *, drop_unknown: bool = False) -> Iterator[str]:
    """Yield a continuation of `prompt` in pieces, as they are drawn.

    A line break is read first, so the prompt, or the text if there is no prompt, begins a line. Joined, the pieces are
    the text of at most `config.length` tokens; the split into pieces depends on the machine's speed, the text does not.
    Invalid UTF-8 bytes become lone surrogates (Python's "surrogateescape"). Raises `CorpusError`, before drawing
    anything, if the prompt has characters that are not in the vocabulary.
    """
    return (piece for _, piece in Writing(model, [prompt], config, drop_unknown=drop_unknown).pieces())


def generate_many(
    model: Drawer, prompts: Sequence[str], config: SamplingSettings, *, drop_unknown: bool = False
) -> list[str]:
    """Return a continuation of each prompt, all drawn as one batch.

    Each text has its own random numbers, so apart from rounding it does not depend on the number of texts; the first is
    the text that `generate` yields. Raises `CorpusError` as `generate` does.
    """
    writing = Writing(model, prompts, config, drop_unknown=drop_unknown)
    return [written.text for written in writing.all()]


class Writing:
    """A batch of texts, each a continuation of its own prompt."""

    def __init__(
        self, model: Drawer, prompts: Sequence[str], config: SamplingSettings, *, drop_unknown: bool = False
    ) -> None:
        self.model, self.config = model, config
        self.texts = [Text(n, model.vocab, prompt, config, drop_unknown) for n, prompt in enumerate(prompts)]

    def all(self) -> list[Written]:
        """Generate all texts to the end and return them."""
        for _ in self.pieces():
            pass
        return self.written()

    def written(self) -> list[Written]:
        """Return the texts generated so far."""
        return [text.written() for text in self.texts]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Yield a text's number and its next piece, until all texts have ended."""
        batch = Batch(self.model)
        for text in self.texts:
            batch.add(text)
        while batch:
            for text, piece in batch.turn():
                if text.problem is not None:
                    raise text.problem
                yield text.number, piece
