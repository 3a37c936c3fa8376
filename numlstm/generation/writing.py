"""New text from a network, token by token, the state carried along; one text, or many side by side.

Random numbers are a function of the seed, the text's place among those written side by side, and the token's in it, so
a seed means the same on every device. Knows nothing about files or layers.

What a seed gives: on the CPU's kernels the same text for every number of texts, of threads and of pieces. Between
devices and processors logits differ by rounding, and a number that falls between the two sums takes another token.
Where one computes in float32 and one in float64 (two layers of 128, Shakespeare), that is expected in one text of 250
characters in 1,000; of 1,024 such texts by NumPy and by the kernels, both in float32, none differed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..settings.sampling import SamplingSettings
from .batch import Batch, Drawer
from .sequence import Text, Written


def generate(model: Drawer, prompt: str, config: SamplingSettings, *, drop_unknown: bool = False) -> Iterator[str]:
    """Yield new text that goes on from `prompt`, in pieces, as soon as each is drawn.

    The prompt, or the text without one, begins a line: a line's end is read before it. Joined, the pieces are the text
    of at most `config.length` tokens; how they are cut depends on the machine's speed, what they say does not. Bytes
    that are no UTF-8 are lone surrogates, as Python's "surrogateescape" makes them. Raises `CorpusError`, before
    anything is drawn, if the prompt has characters that the vocabulary lacks.
    """
    return (piece for _, piece in Writing(model, [prompt], config, drop_unknown=drop_unknown).pieces())


def generate_many(
    model: Drawer, prompts: Sequence[str], config: SamplingSettings, *, drop_unknown: bool = False
) -> list[str]:
    """Return a text for each prompt that goes on from it, all drawn side by side as one batch.

    Each has random numbers of its own, so that what it says does not depend on how many others there are, to
    rounding; the first is what `generate` yields. Raises `CorpusError` as that does.
    """
    writing = Writing(model, prompts, config, drop_unknown=drop_unknown)
    return [written.text for written in writing.all()]


class Writing:
    """Texts that are written side by side, each going on from a prompt of its own."""

    def __init__(
        self, model: Drawer, prompts: Sequence[str], config: SamplingSettings, *, drop_unknown: bool = False
    ) -> None:
        self.model, self.config = model, config
        self.texts = [Text(n, model.vocab, prompt, config, drop_unknown) for n, prompt in enumerate(prompts)]

    def all(self) -> list[Written]:
        """Write all texts to their ends."""
        for _ in self.pieces():
            pass
        return self.written()

    def written(self) -> list[Written]:
        """Return what was written so far."""
        return [text.written() for text in self.texts]

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Yield the number of a text and the next piece of it, until all are at their ends."""
        batch = Batch(self.model)
        for text in self.texts:
            batch.add(text)
        while batch:
            for text, piece in batch.turn():
                if text.problem is not None:
                    raise text.problem
                yield text.number, piece
