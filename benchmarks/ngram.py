"""How well does an n-gram model predict a text? This is the baseline for a recurrent network.

Interpolated modified Kneser-Ney (Chen & Goodman 1998, section 4.1.6): the best of the classical back-off models, and a
proper distribution, which sums to 1 over the vocabulary after any context. Tokens are those of `numlstm train --level
word --pretokenised`: words separated by white space, <eos> at the end of each line, and <unk> for words that occur
fewer than `--min-count` times in the training text. It predicts every token of the test text but the first, as `numlstm
eval` does, so that the perplexities can be compared.
"""

from __future__ import annotations

import argparse
import collections
import math
import time
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

from . import pictures
from .measure import options, write_results

UNKNOWN, LINE_END = "<unk>", "<eos>"

_FALLBACK = (0.0, 0.5, 1.0, 1.5)

Counts = dict[Hashable, dict[int, int]]  # for each context, the count of each token that follows it


class KneserNey:
    """An n-gram model of token ids 0 to V - 1, with orders 1 to `order`."""

    def __init__(self, ids: Sequence[int], vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, order
        grams = [_counted(ids, n) for n in range(1, order + 1)]
        # The highest order counts occurrences; each lower one counts the distinct tokens that precede the n-gram.
        kept = [*(_continuations(higher) for higher in grams[1:]), grams[-1]]
        self.levels = [_Level(counts) for counts in kept]

    def probability(self, token: int, context: Sequence[int]) -> float:
        """Return the probability of `token` after `context`; only the last `order` - 1 tokens of it matter."""
        found = 1 / self.vocab_size
        for n, level in enumerate(self.levels):
            if n > len(context):
                break
            found = level.interpolated(token, tuple(context[len(context) - n :]), found)
        return found

    def nats(self, ids: Sequence[int]) -> float:
        """Return the mean negative log-probability, in nats, of all tokens but the first, given those before each."""
        total = 0.0
        for place in range(1, len(ids)):
            total -= math.log(self.probability(ids[place], ids[max(0, place - self.order + 1) : place]))
        return total / (len(ids) - 1)


class _Level:
    """The n-grams of one order: discounted counts, and each context's weight for the order below."""

    def __init__(self, counts: dict[tuple[int, ...], int]) -> None:
        self.after: Counts = collections.defaultdict(dict)
        for gram, count in counts.items():
            self.after[gram[:-1]][gram[-1]] = count
        self.discounts = discounts(counts.values())
        self.totals = {context: sum(after.values()) for context, after in self.after.items()}
        self.left = {
            context: sum(self.discounts[min(count, 3)] for count in after.values()) / self.totals[context]
            for context, after in self.after.items()
        }

    def interpolated(self, token: int, context: tuple[int, ...], below: float) -> float:
        if context not in self.totals:
            return below
        count = self.after[context].get(token, 0)
        return (count - self.discounts[min(count, 3)]) / self.totals[context] + self.left[context] * below


def discounts(counts: Iterable[int]) -> tuple[float, float, float, float]:
    """Return the discounts for counts of 0, 1, 2, and 3 or more (Chen & Goodman 1998, equation 26).

    Falls back to KenLM's default discounts if the text is too short for the estimate (no n-gram occurs once, twice or
    three times), or if a discount is 0 or less, which would leave no probability to unseen tokens.
    """
    times = collections.Counter(counts)
    n1, n2, n3, n4 = (times[k] for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return _FALLBACK
    Y = n1 / (n1 + 2 * n2)
    one, two, three = (k - (k + 1) * Y * more / n for k, n, more in ((1, n1, n2), (2, n2, n3), (3, n3, n4)))
    return (0.0, one, two, three) if min(one, two, three) > 0 else _FALLBACK


def _counted(ids: Sequence[int], n: int) -> dict[tuple[int, ...], int]:
    return collections.Counter(zip(*(ids[k:] for k in range(n)), strict=False))


def _continuations(higher: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Return, for each n-gram, the number of distinct tokens before it, from the n-grams one longer."""
    return collections.Counter(gram[1:] for gram in higher)


def tokens(text: str, level: str) -> list[str]:
    """Return the words of a text with <eos> at the end of each line, or its characters."""
    if level == "char":
        return list(text)
    *lines, last = text.split("\n")
    return [token for line in lines for token in (*line.split(), LINE_END)] + last.split()


def vocabulary(training: Sequence[str], min_count: int) -> dict[str, int]:
    """Return the ids of <unk> and of all tokens that occur at least `min_count` times."""
    times = collections.Counter(training)
    kept = [token for token, count in times.most_common() if count >= min_count and token != UNKNOWN]
    return {token: place for place, token in enumerate([UNKNOWN, *kept])}


def measure(training: str, test: str, level: str, min_count: int, orders: Sequence[int]) -> dict[str, Any]:
    """Return how well models of these orders, built from `training`, predict `test`."""
    read, unseen = tokens(training, level), tokens(test, level)
    ids = vocabulary(read, min_count)
    train_ids, test_ids = ([ids.get(token, ids[UNKNOWN]) for token in part] for part in (read, unseen))
    results = []
    for order in orders:
        began = time.perf_counter()
        nats = KneserNey(train_ids, len(ids), order).nats(test_ids)
        seconds = round(time.perf_counter() - began, 2)
        results.append({"order": order, "nats_per_token": nats, "perplexity": math.exp(nats), "seconds": seconds})
        print(f"{order}-grams: {nats:.4f} nats per token, perplexity {math.exp(nats):.2f} ({seconds:.1f} s)")
    unknown = sum(place == ids[UNKNOWN] for place in test_ids[1:])
    about = {"vocabulary": len(ids), "training_tokens": len(read), "tokens": len(unseen) - 1, "unknown": unknown}
    print("  ".join(f"{name} {value:,}" for name, value in about.items()))
    return {**about, "results": results}


def _parsed() -> argparse.Namespace:
    parser = options("ngram", __doc__)
    parser.add_argument("train", type=Path, help="training text")
    parser.add_argument("test", type=Path, help="test text")
    parser.add_argument("--level", choices=("word", "char"), default="word")
    parser.add_argument("--order", type=int, help="longest n-grams (default: 5; characters: 8)")
    parser.add_argument(
        "--min-count", type=int, help="rarer tokens become <unk> (default: 2, as in `numlstm train`; characters: 1)"
    )
    parser.add_argument("--label", help="write results/ngram-LABEL.json")
    return parser.parse_args()


def main() -> None:
    args = _parsed()
    args.min_count = args.min_count or (2 if args.level == "word" else 1)
    args.order = args.order or (5 if args.level == "word" else 8)
    texts = [path.read_text("utf-8") for path in (args.train, args.test)]
    if args.quick:
        texts = [text[:50_000] for text in texts]
    found = measure(*texts, args.level, args.min_count, range(1, args.order + 1))
    files = {"train": args.train.name, "test": args.test.name}
    args.train, args.test = args.train.name, args.test.name
    path = write_results("ngram", args, {"files": files, **found}, f"-{args.label}" if args.label else "")
    pictures.draw_if_possible(path)


if __name__ == "__main__":
    main()
