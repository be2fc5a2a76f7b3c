"""Scores of a test set, and their intervals by resampling whole units."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Example, Metric, UserError, Value, known_answers

EVALUATION_VERSION = 1
"""Raised by hand when a change of resampling or intervals moves them."""
RESAMPLES = 1000
FEWEST_UNITS = 10
"""With fewer resampling units no interval is given: it would promise too much."""
LEVEL = 0.95
CHUNK_CELLS = 4_000_000
"""Resample weights (resamples x examples) that are held at once."""


class Scores(NamedTuple):
    """What came of one test set."""

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    units: int
    """Resampling units among the scored examples."""
    scored: int
    """Examples with a known answer."""
    predictions: list[Value]
    """As kept by the task, one for each example; of a mean none."""
    draws: dict[str, Array]
    """Score in each resample, (R,)."""


class Known(NamedTuple):
    """What is scored of a test set: the examples with a known answer."""

    kept: list[Value]
    labels: list[Value]
    groups: list[str]

    @classmethod
    def of(cls, kept: Sequence[Value], examples: Sequence[Example]) -> "Known":
        """Leave out the others."""
        rows = [row for row, e in enumerate(examples) if np.any(known_answers(e.label))]
        mine = [examples[row] for row in rows]
        return cls([kept[row] for row in rows], [e.label for e in mine], [e.group for e in mine])

    def draws(
        self, metrics: Sequence[Metric], units: Sequence[str], seed: int | tuple[int, int]
    ) -> dict[str, Array]:
        """Each metric's score in each resample of the units, sorted names of groups: (R,)."""
        parts: dict[str, list[Array]] = {metric.name: [] for metric in metrics}
        unit = np.searchsorted(units, self.groups)
        for weights in resamples(unit, len(units), seed) if metrics else ():
            for metric in metrics:
                parts[metric.name].append(metric(self.kept, self.labels, weights))
        return {name: np.concatenate(part) for name, part in parts.items()}


def score(
    metrics: Sequence[Metric],
    kept: Sequence[Value],
    examples: Sequence[Example],
    seed: int | tuple[int, int],
) -> Scores:
    """Each metric's score and its 95 % percentile bootstrap interval over the resampling units."""
    known, scores = Known.of(kept, examples), {}
    for metric in metrics:
        try:
            (value,) = map(float, metric(known.kept, known.labels))
        except (TypeError, ValueError) as error:
            raise UserError(f"the metric {metric.name} does not fit the task: {error}") from None
        if np.isfinite(value):
            scores[metric.name] = value
    units = sorted(set(known.groups))
    draws = known.draws([metric for metric in metrics if metric.name in scores], units, seed)
    found = intervals(draws, len(units))
    return Scores(scores, found, len(units), len(known.labels), list(kept), draws)


def mean(
    metrics: Sequence[Metric],
    tests: Mapping[str, Scores],
    examples: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    seed: int | tuple[int, int],
) -> Scores:
    """The weighted mean of test sets' scores.

    Its interval is from the resamples of each set, as sets are fixed and units are drawn. Where
    units lie in several sets, as clusters in folds may, they are drawn once for all of them. There
    is none if a set is a single unit: its own uncertainty would be missing.
    """
    parts = {name: tests[name] for name in weights}
    shares = np.array(list(weights.values()))
    first = next(iter(parts.values()))
    named = [name for name in first.scores if all(name in part.scores for part in parts.values())]
    scores = {m: float(shares @ [part.scores[m] for part in parts.values()]) for m in named}
    draws = {name: part.draws for name, part in parts.items()}
    known = {name: Known.of(part.predictions, examples[name]) for name, part in parts.items()}
    units = sorted({group for part in known.values() for group in part.groups})
    apart = len(units) == sum(part.units for part in parts.values())
    if not apart:
        used = [metric for metric in metrics if metric.name in named]
        draws = {name: part.draws(used, units, seed) for name, part in known.items()}
    together = {m: shares @ np.stack([draws[name][m] for name in parts]) for m in named}
    alone = apart and min(part.units for part in parts.values()) < 2
    found = {} if alone else intervals(together, len(units))
    scored = sum(part.scored for part in parts.values())
    return Scores(scores, found, len(units), scored, [], together)


def intervals(draws: Mapping[str, Array], units: int) -> dict[str, tuple[float, float]]:
    """Each metric's 95 % percentile interval; none with few units, or if it is mostly undefined."""
    if units < FEWEST_UNITS:
        return {}
    finite = {name: values[np.isfinite(values)] for name, values in draws.items()}
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {
        name: (float(low), float(high))
        for name, values in finite.items()
        if len(values) > RESAMPLES / 2
        for low, high in [np.quantile(values, ends)]
    }


def resamples(unit: Array, units: int, seed: int | tuple[int, int]) -> Iterator[Array]:
    """How often each example occurs in each bootstrap resample of whole units, (R, n) in parts."""
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // max(len(unit), 1))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, unit]
