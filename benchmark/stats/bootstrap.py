"""Scores of a test set, and their intervals by resampling whole units.

In a resample every unit counts once or four times, with equal chance. The relative weights, 0.4 and
1.6 of their mean, vary 3/5 as much as those of a bootstrap with replacement, so the standard error
is 5/3 of the standard deviation over resamples. No unit is ever missing, so no score becomes
undefined, and ties of a unit with itself, which widen the intervals of rank correlations, count
less; with weights closer together, those of Pearson's correlation are too narrow with 10 units.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from math import nan, sqrt
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Example, Readout, UserError, Value, has_answer
from benchmark.core.metric import (
    CorpusMetric,
    ExampleMetric,
    ExampleValues,
    Metric,
    Scorer,
    SetMetric,
)
from benchmark.stats.intervals import Interval, Statistic, interval

EVALUATION_VERSION = 2
"""Raised by hand when a change of resampling or intervals moves them."""
RESAMPLES = 512
"""As many as a BLAKE2b digest has bits; a standard error varies by 3 % between seeds."""
WEIGHTS = 1, 4
SPREAD = 5 / 3
"""A standard error is this many standard deviations over resamples."""
FEWEST_UNITS = 10
"""With fewer resampling units there is no interval: it would be too narrow."""
CHUNK_CELLS = 4_000_000
"""Elements of the largest array of resample weights, (resamples, examples or units)."""


class Scores(NamedTuple):
    """The result on one test set, or the mean over several."""

    scores: dict[str, float]
    intervals: dict[str, Interval]
    scored: int
    """Examples with a known answer."""
    predictions: list[Value]
    """In the task's compact form, one for each example; of a mean none."""
    draws: dict[str, Array]
    """Score in each resample, (R,); set metrics have none."""
    statistics: dict[str, Statistic]
    """Of the metrics that have draws."""
    groups: frozenset[str]
    """Names of the resampling units among the scored examples."""
    values: Mapping[str, ExampleValues] = {}
    """Example metric -> its values over all examples; NaN where the answer is not known."""
    set_sizes: Mapping[str, int] = {}
    """Set metric -> number of examples that it was computed on."""

    @property
    def units(self) -> int:
        """Number of resampling units."""
        return len(self.groups)


def score(
    metrics: Sequence[Metric],
    predictions: Sequence[Value],
    examples: Sequence[Example],
    readout: Readout,
    seed: int,
) -> Scores:
    """Each metric's score and its 95 % interval over the resampling units.

    Only examples with a known answer are scored.
    """
    rows = [row for row, e in enumerate(examples) if has_answer(e.label, readout)]
    known = [predictions[row] for row in rows], [examples[row] for row in rows]
    scores, values, sizes = dict[str, float](), dict[str, ExampleValues](), dict[str, int]()
    scorers = dict[str, Scorer]()
    for metric in metrics:
        try:
            scorer = metric.scorer(*known)
            (value,) = scorer(np.ones((1, len(rows)), np.int64))
        except (TypeError, ValueError) as error:
            raise unfit(metric, error) from None
        if isinstance(metric, ExampleMetric):
            empty = ExampleValues(np.empty(0), np.empty(0), metric.finish)
            found_values = scorer if isinstance(scorer, ExampleValues) else empty
            values[metric.name] = found_values.spread(rows, len(examples))
        if isinstance(metric, SetMetric):
            sizes[metric.name] = len(metric.subsample(known[1]))
        if np.isfinite(value):
            scores[metric.name] = float(value)
            if not isinstance(metric, SetMetric):
                scorers[metric.name] = scorer
    units, unit = np.unique([examples[row].group for row in rows], return_inverse=True)
    draws, unit_sizes = resampled_scores(scorers, units.tolist(), unit, seed)
    found = {m: statistic(scores[m], draws[m], unit_sizes[m]) for m in draws}
    enough = {
        m.name: found[m.name]
        for m in metrics
        if m.name in found and enough_units(m, known[1], unit, unit_sizes[m.name])
    }
    bounds, groups = intervals(metrics, enough, len(units)), frozenset(units.tolist())
    answers = list(predictions)
    return Scores(scores, bounds, len(rows), answers, draws, found, groups, values, sizes)


def enough_units(metric: Metric, examples: Sequence[Example], unit: Array, sizes: Array) -> bool:
    """Whether enough resampling units define a metric, and have each class that it compares.

    unit: (n,), the unit of each example, from 0; sizes: (units,), what each unit counts for.
    """
    enough = bool((sizes > 0).sum() >= FEWEST_UNITS)
    if enough and isinstance(metric, CorpusMetric) and metric.classes:
        found, example = metric.classes(examples)
        pairs = np.unique(found.astype(np.int64) * len(sizes) + unit[example])
        smallest = np.unique(pairs // len(sizes), return_counts=True)[1].min(initial=len(unit))
        return bool(smallest >= metric.fewest)
    return enough


def unfit(metric: Metric, error: Exception) -> UserError:
    """The refusal of a metric that cannot score the answers of a task."""
    return UserError(f"the metric {metric.name} does not fit the task: {error}")


def mean(
    metrics: Sequence[Metric], tests: Mapping[str, Scores], weights: Mapping[str, float]
) -> Scores:
    """The weighted mean of test sets' scores.

    Sets are fixed, and units are drawn; one that is in several sets, as clusters in folds may be,
    counts equally often in all of them. There is no interval if a set is a single unit: the
    uncertainty of its own score would be missing.
    """
    parts, shares = [tests[name] for name in weights], np.array(list(weights.values()))
    named = [m for m in parts[0].scores if all(m in part.scores for part in parts)]
    scores = {m: float(shares @ [part.scores[m] for part in parts]) for m in named}
    groups = frozenset[str]().union(*(part.groups for part in parts))
    draws, found = dict[str, Array](), dict[str, Statistic]()
    for m in [m for m in named if all(m in part.draws for part in parts)]:
        draws[m] = shares @ np.stack([part.draws[m] for part in parts])
        statistics = [part.statistics[m] for part in parts]
        if joint := of_mean(scores[m], draws[m], statistics, shares, len(groups)):
            found[m] = joint
    scored, known = sum(part.scored for part in parts), intervals(metrics, found, len(groups))
    return Scores(scores, known, scored, [], draws, found, groups)


def statistic(score: float, draws: Array, sizes: Array) -> Statistic:
    """A score's standard error and degrees of freedom, from its value in each resample, (R,).

    sizes: (units,), what each unit counts for. Units of unequal sizes count as their effective
    number, (sum of sizes)^2 / (sum of squares) (Kish 1965). The error is unknown with one unit, or
    if the score is undefined in half of the resamples.
    """
    effective = float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0
    defined = draws[np.isfinite(draws)]
    if effective <= 1 or len(defined) <= RESAMPLES / 2:
        return Statistic(score, nan, max(effective - 1, 0.0))
    error = SPREAD * float(defined.std(ddof=1)) * sqrt(effective / (effective - 1))
    return Statistic(score, error, effective - 1)


def of_mean(
    score: float, draws: Array, parts: Sequence[Statistic], shares: Array, units: int
) -> Statistic | None:
    """The statistic of a weighted mean over test sets, from its draws and those of the sets.

    None if no set has an error, or one has an unknown one. Degrees of freedom are by
    Welch-Satterthwaite for sets without common units, and fewer with them.
    """
    errors, freedom = np.array([part[1:] for part in parts]).T
    variances = (shares * errors) ** 2
    total = variances.sum()
    if not total > 0:
        return None
    joint = min(total**2 / (variances**2 / freedom).sum(), units - 1)
    raw = (variances * freedom / (freedom + 1)).sum()
    return Statistic(score, SPREAD * float(np.nanstd(draws, ddof=1)) * sqrt(total / raw), joint)


def intervals(
    metrics: Sequence[Metric], statistics: Mapping[str, Statistic], units: int
) -> dict[str, Interval]:
    """Each metric's 95 % interval on its scale; none with few units."""
    found = dict[str, Interval]()
    for metric in metrics:
        try:
            known = statistics.get(metric.name) if units >= FEWEST_UNITS else None
            if known and (bounds := interval(known, metric.scale)):
                found[metric.name] = bounds
        except ValueError as error:
            raise unfit(metric, error) from None
    return found


def resampled_scores(
    scorers: Mapping[str, Scorer], units: Sequence[str], unit: Array, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Each metric's score in each resample, (R,), and what each unit counts for in it, (units,).

    unit: (n,), the unit of each example. Values of example metrics are added up by unit first.
    """
    kinds, n = scorers.items(), len(units)
    summed = {m: s.by_unit(unit, n) for m, s in kinds if isinstance(s, ExampleValues)}
    parts: dict[str, list[Array]] = {name: [] for name in scorers}
    for counts in resamples(units, seed, len(unit)) if scorers else ():
        weights = counts[:, unit] if len(summed) < len(scorers) else counts
        for name, scorer in scorers.items():
            parts[name].append(summed[name](counts) if name in summed else scorer(weights))
    examples = np.bincount(unit, minlength=n)
    sizes = {name: summed[name].sizes if name in summed else examples for name in scorers}
    return {name: np.concatenate(part) for name, part in parts.items()}, sizes


def resamples(units: Sequence[str], seed: int, width: int = 1) -> Iterator[Array]:
    """How often each unit counts in each resample, one of `WEIGHTS`: (R, units) in chunks.

    The bits of a digest of the unit's name decide, so that it has the same weights in every test
    set. width: the number of examples that a chunk is made for.
    """
    digests = b"".join(blake2b(f"{seed} {name}".encode()).digest() for name in units)
    # a row for every eight resamples
    table = np.ascontiguousarray(np.frombuffer(digests, np.uint8).reshape(len(units), -1).T)
    step = max(1, CHUNK_CELLS // max(len(units), width))
    for start in range(0, RESAMPLES, step):
        resample = np.arange(start, min(start + step, RESAMPLES))
        shift = (resample % 8).astype(np.uint8)[:, None]
        yield np.array(WEIGHTS).take(table[resample // 8] >> shift & 1)
