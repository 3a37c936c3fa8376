"""Output the texts of `gen`: streamed to stdout, written to a file, or as one JSON object."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ConfigError
from ...generation.sequence import Written
from ...generation.writing import Writing
from ..shared.wording import counted
from ..shared.work_progress import spinner

if TYPE_CHECKING:
    from ...model import Model
    from ...settings.sampling import SamplingSettings


class Plan(NamedTuple):
    """How many texts to generate, whether by beam search, and the format and place of the output."""

    samples: int
    beam: int | None
    json: bool
    output: str | None
    drop_unknown: bool

    @property
    def whole(self) -> bool:
        """True if nothing is shown before all texts are complete."""
        return self.beam is not None or not self.bare

    @property
    def bare(self) -> bool:
        """True if a single text goes to stdout without decoration."""
        return self.samples == 1 and not self.json and self.output is None


def write(open_model: Callable[[], Model], prompt: str, config: SamplingSettings, plan: Plan) -> Sequence[Written]:
    """Generate texts, output them as planned, and return them."""
    if not plan.whole:
        return [_streamed(open_model, prompt, config, plan)]
    with spinner(_task(config, plan)):
        model = open_model()
        texts = _texts(model, prompt, config, plan)
        shown = as_json(model, texts, _settings(config, plan)) + "\n" if plan.json else titled(texts, config.seed)
    if plan.output is None:
        show([shown])
    else:
        _save(plan.output, shown)
    return texts


def _streamed(open_model: Callable[[], Model], prompt: str, config: SamplingSettings, plan: Plan) -> Written:
    """Generate one text and stream it to stdout."""
    with spinner():
        writing = Writing(open_model(), [prompt], config, drop_unknown=plan.drop_unknown)
        pieces = (piece for _, piece in writing.pieces())
        first = writing.texts[0].shown + next(pieces, "")  # blocks until the kernels are compiled
    show(itertools.chain([first], pieces))
    return writing.written()[0]


def _texts(model: Model, prompt: str, config: SamplingSettings, plan: Plan) -> Sequence[Written]:
    if plan.beam is None:
        return Writing(model, [prompt] * plan.samples, config, drop_unknown=plan.drop_unknown).all()
    from ...generation.beam import search

    return [search(model, prompt, config, plan.beam, drop_unknown=plan.drop_unknown)]


def _task(config: SamplingSettings, plan: Plan) -> str:
    return f"writing {counted(plan.samples, 'text')} of {config.length:,} tokens"


def _settings(config: SamplingSettings, plan: Plan) -> dict[str, Any]:
    """Return the settings that affected the texts."""
    settings = config.to_dict()
    if plan.beam is None:
        return settings
    return {"beam": plan.beam} | {name: settings[name] for name in ("length", "stop", "ban", "initials", "initials_of")}


def show(pieces: Iterable[str]) -> None:
    """Stream pieces to stdout: byte for byte to a file or pipe, with replacement characters on a terminal."""
    if sys.stdout is None:  # closed by the parent process
        raise ConfigError("standard output is closed; open it, or write to a file with -o")
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
    """Replace bytes that are not UTF-8 by the replacement character."""
    return "".join("\ufffd" if "\udc80" <= symbol <= "\udcff" else symbol for symbol in text)


def _save(path: str, text: str) -> None:
    from ...storage.atomic import atomic_write

    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    print(f"wrote {len(text):,} characters to {path}", file=sys.stderr)


def titled(texts: Sequence[Written], seed: int) -> str:
    """Join texts, each below a heading; a single text has none."""
    if len(texts) == 1:
        return texts[0].start + texts[0].text
    lines = (f"--- {n} of {len(texts)}, seed {seed} ---\n" for n in range(1, len(texts) + 1))
    return "".join(f"{line}{each.start}{each.text}\n" for line, each in zip(lines, texts, strict=True))


def as_json(model: Model, texts: Sequence[Written], settings: dict[str, Any]) -> str:
    """Return the texts, their tokens and log-probabilities (nats) as one JSON object."""
    import json

    from ...generation.text_probabilities import log_probabilities

    samples = []
    for n, each in enumerate(texts, 1):
        decoder, nats = model.vocab.decoder(after=each.prompt_ids), log_probabilities(model, each.prompt_ids, each.ids)
        tokens = [decoder.feed([token]) for token in each.ids]
        if tokens:
            tokens[-1] += decoder.end()  # an incomplete character at the end of the text
        samples.append(
            {
                "sample": n,
                "seed": settings.get("seed"),
                "prompt": each.start,
                "text": each.text,
                "tokens": tokens,
                "ids": each.ids.tolist(),
                "log_probabilities": nats.tolist(),
                "log_probability": float(nats.sum()),
            }
        )
    return json.dumps({"unit": model.vocab.unit, "settings": settings, "samples": samples}, indent=1)
