"""The one flow of every run: load, fit, predict, score, resample."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from benchmark.core import (
    Array,
    Backbone,
    Example,
    Method,
    Metric,
    Predictor,
    Readout,
    Splits,
    Task,
    UserError,
    Value,
)

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


class Outcome(NamedTuple):
    """What came of one run."""

    tests: dict[str, Scores]
    """Means first, then test sets."""
    choices: Mapping[str, Any]
    seconds: dict[str, float]
    strata: Mapping[str, Any] = {}
    """See `benchmark.strata`."""
    cost: Mapping[str, int] = {}
    """See `benchmark.results.Record`."""


def limited(splits: Splits, limit: int | None) -> Splits:
    """At most `limit` examples of each split, the same ones whatever the order of the rows."""
    if limit is None:
        return splits

    def cut(examples: Sequence[Example]) -> list[Example]:
        chosen = {example.id for example in sorted(examples, key=lambda e: e.id)[:limit]}
        return [example for example in examples if example.id in chosen]

    tests = {name: cut(examples) for name, examples in splits.tests.items()}
    learn = {name: (cut(train), cut(valid)) for name, (train, valid) in splits.learn.items()}
    return splits._replace(
        train=cut(splits.train), valid=cut(splits.valid), tests=tests, learn=learn
    )


def evaluate(
    task: Task,
    splits: Splits,
    backbone: Backbone,
    method: Method,
    metrics: Sequence[Metric],
    seed: int,
    folder: Path | None = None,
) -> Outcome:
    """Learn from train, choose by valid, then answer and score each test set once.

    folder: where a method may keep what it learned; of a test set with a train set of its own, a
        folder below.
    """
    if task.readout.kind == "log_prob" and not method.log_probs:
        raise UserError(
            "this task asks how likely a language model itself finds residues, which "
            f"{type(method).__name__} does not tell; leave method= out, or give method=zero_shot"
        )
    rehearse(task, splits, metrics)
    seconds: dict[str, float] = {}
    choices: dict[str, Any] = {}

    def fit(train: Sequence[Example], valid: Sequence[Example], folder: Path | None) -> Predictor:
        with clock(seconds, "fit"):
            predictor = method.fit(backbone, task.readout, train, valid, seed, folder)
        if not isinstance(predictor, Predictor):
            raise UserError(f"{type(method).__name__}.fit gave no benchmark.core.Predictor")
        return predictor

    if set(splits.tests) - set(splits.learn):
        predictor = fit(splits.train, splits.valid, folder)
        choices |= predictor.choices
    tests = {}
    for index, (name, examples) in enumerate(splits.tests.items()):
        if name in splits.learn:
            predictor = fit(*splits.learn[name], folder and folder / quote(name, safe=""))
            choices[name] = dict(predictor.choices)
        with clock(seconds, "predict"):
            kept: list[Value] = []
            for prediction in predictor.predict([example.chains for example in examples]):
                check(prediction, examples[len(kept)], task.readout)
                kept.append(task.keep(prediction))
        if len(kept) != len(examples):
            raise UserError(
                f"{type(method).__name__} gave {len(kept)} predictions for the {len(examples)} "
                f"examples of {name}"
            )
        with clock(seconds, "score"):
            # each set has draws of its own: in a mean over sets they must not be the same
            tests[name] = score(metrics, kept, examples, (seed, index))
    if both := set(splits.means) & set(tests):
        raise UserError(f"a test set is named {min(both)}, as a mean is; give it another name")
    with clock(seconds, "score"):
        means = {
            name: mean(metrics, tests, splits.tests, weights, (seed, len(tests)))
            for name, weights in splits.means.items()
        }
    return Outcome({**means, **tests}, choices, seconds)


def rehearse(task: Task, splits: Splits, metrics: Sequence[Metric]) -> None:
    """Refuse a metric that cannot score such answers, before hours are spent on them."""
    for examples in splits.tests.values():
        few = list(islice((e for e in examples if np.any(known_answers(e.label))), 2))
        score(metrics, [task.keep(np.zeros(shape(e, task.readout))) for e in few], few, 0)


def shape(example: Example, readout: Readout) -> tuple[int, ...]:
    """Of the answer to one question."""
    lengths = tuple(len(chain) for chain in example.chains)
    of_level = {"residue": lengths, "pair": 2 * lengths}.get(readout.level, ())
    return of_level + ((readout.width,) if readout.width > 1 else ())


def check(prediction: Value, example: Example, readout: Readout) -> None:
    """Refuse a prediction that is not of the readout's shape, or not finite where it is asked."""
    values = np.asarray(prediction)
    if values.shape != shape(example, readout):
        raise UserError(
            f"the method gave a prediction of shape {values.shape}, not {shape(example, readout)}"
        )
    if readout.level == "pair":
        values = values[np.triu_indices(len(values), max(1, readout.min_separation))]
    if readout.kind == "log_prob":
        values = values[readout.asked(example.chains[0])]
    if not np.isfinite(values).all():
        raise UserError("the predictions are not finite numbers; try dtype=float32")


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


def known_answers(label: Value) -> Array:
    """Which answers of a label are known, in its shape."""
    array = np.asarray(label)
    if array.ndim == 2 and array.shape[1:] == (2,):  # residue pairs: what is absent is class 0
        return np.ones(1, bool)
    return np.asarray(~np.isnan(array) if array.dtype.kind == "f" else array != -1)


def resamples(unit: Array, units: int, seed: int | tuple[int, int]) -> Iterator[Array]:
    """How often each example occurs in each bootstrap resample of whole units, (R, n) in parts."""
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // max(len(unit), 1))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, unit]


@contextmanager
def clock(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the time a block takes to a phase."""
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
