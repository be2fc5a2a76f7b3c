"""Scores of a test set, and their intervals by resampling whole units."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Example, Readout, UserError, Value, has_answer
from benchmark.core.metric import ExampleMetric, ExampleValues, Metric, Scorer, SetMetric

EVALUATION_VERSION = 1
"""Raised by hand when a change of resampling or intervals moves them."""
RESAMPLES = 1000
FEWEST_UNITS = 10
"""With fewer resampling units there is no interval: it would be too narrow."""
LEVEL = 0.95
CHUNK_CELLS = 4_000_000
"""Elements of the largest array of resample weights, (resamples, examples or units)."""
Seed = int | tuple[int, int]


class Scores(NamedTuple):
    """The result on one test set, or the mean over several."""

    scores: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    units: int
    """Resampling units among the scored examples."""
    scored: int
    """Examples with a known answer."""
    predictions: list[Value]
    """In the task's compact form, one for each example; of a mean none."""
    draws: dict[str, Array]
    """Score in each resample, (R,); set metrics have none."""
    values: Mapping[str, ExampleValues] = {}
    """Example metric -> its values over all examples; NaN where the answer is not known."""
    set_sizes: Mapping[str, int] = {}
    """Set metric -> number of examples that it was computed on."""
    rows: Sequence[int] = ()
    """The examples with a known answer; of a mean none."""


def score(
    metrics: Sequence[Metric],
    predictions: Sequence[Value],
    examples: Sequence[Example],
    readout: Readout,
    seed: Seed,
) -> Scores:
    """Each metric's score and its 95 % percentile bootstrap interval over the resampling units.

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
    groups = [examples[row].group for row in rows]
    units = sorted(set(groups))
    draws = resampled_scores(scorers, groups, units, seed)
    found, answers = intervals(draws, len(units)), list(predictions)
    return Scores(scores, found, len(units), len(rows), answers, draws, values, sizes, rows)


def unfit(metric: Metric, error: Exception) -> UserError:
    """The refusal of a metric that cannot score the answers of a task."""
    return UserError(f"the metric {metric.name} does not fit the task: {error}")


def mean(
    metrics: Sequence[Metric],
    tests: Mapping[str, Scores],
    examples: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    seed: Seed,
) -> Scores:
    """The weighted mean of test sets' scores.

    Its interval is from the resamples of each set: sets are fixed, and units are drawn. Units that
    are in several sets, as clusters in folds may be, are drawn once for all sets. There is no
    interval if a set is a single unit: the uncertainty of its own score would be missing.
    """
    parts, shares = [tests[name] for name in weights], np.array(list(weights.values()))
    known = [[examples[name][row] for row in tests[name].rows] for name in weights]
    named = [m for m in parts[0].scores if all(m in part.scores for part in parts)]
    scores = {m: float(shares @ [part.scores[m] for part in parts]) for m in named}
    draws = [part.draws for part in parts]
    groups = [[example.group for example in mine] for mine in known]
    units = sorted({group for mine in groups for group in mine})
    apart = len(units) == sum(part.units for part in parts)
    if not apart:
        for i, part in enumerate(parts):
            predictions = [part.predictions[row] for row in part.rows]
            scorers = {
                m.name: m.scorer(predictions, known[i]) for m in metrics if m.name in draws[i]
            }
            draws[i] = resampled_scores(scorers, groups[i], units, seed)
    together = {m: shares @ np.stack([each[m] for each in draws]) for m in named if m in draws[0]}
    alone = apart and min(part.units for part in parts) < 2
    found = {} if alone else intervals(together, len(units))
    return Scores(scores, found, len(units), sum(part.scored for part in parts), [], together)


def resampled_scores(
    scorers: Mapping[str, Scorer], groups: Sequence[str], units: Sequence[str], seed: Seed
) -> dict[str, Array]:
    """Each metric's score in each resample of the units, sorted names of groups: (R,)."""
    parts: dict[str, list[Array]] = {name: [] for name in scorers}
    unit = np.searchsorted(units, groups)
    for weights in resamples(unit, len(units), seed) if scorers else ():
        for name, scorer in scorers.items():
            parts[name].append(scorer(weights))
    return {name: np.concatenate(part) for name, part in parts.items()}


def intervals(draws: Mapping[str, Array], units: int) -> dict[str, tuple[float, float]]:
    """Each metric's 95 % percentile interval; none with few units, or if it is mostly undefined."""
    if units < FEWEST_UNITS:
        return {}
    found = dict[str, tuple[float, float]]()
    for name, values in draws.items():
        defined = values[np.isfinite(values)]
        if len(defined) > RESAMPLES / 2:
            low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            found[name] = float(low), float(high)
    return found


def resamples(unit: Array, units: int, seed: Seed) -> Iterator[Array]:
    """How often each example occurs in each bootstrap resample of whole units, (R, n) in chunks.

    unit: (n,), the unit of each example, 0 to `units` - 1.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // max(len(unit), units, 1))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, unit]
