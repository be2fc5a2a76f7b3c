"""How predictions are scored: three forms of metrics, and which direction is better.

n examples, R resamples; `weights`, (R, n), are how often each example counts in each resample.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from benchmark.core.answers import Array, Example, Value
from benchmark.core.errors import UserError

Predictions = Sequence[Value]
Examples = Sequence[Example]
Scorer = Callable[[Array], Array]
"""From weights (R, n) to scores (R,)."""
Classes = Callable[[Examples], tuple[Array, Array]]
"""From examples to the classes of their known answers, (N,), and the example of each, (N,)."""
Scale = Literal["identity", "logit", "probit", "fisher", "log", "inverse", "explained"]
"""Where a score's interval is symmetric: "logit" or (areas under ROC curves) "probit" for scores
from 0 to 1, "fisher" (Fisher's z) from -1 to 1, "log" and "inverse" (1 / score, for roots of mean
squares) above 0, "explained" (the logarithm of 1 - score, for shares of variance) below 1."""
SUBSAMPLE_SEED = 0
FORMS = (
    "write @example_metric(higher_is_better=...) on `def f(predictions, examples)`, which returns "
    "one value per example, or @corpus_metric(higher_is_better=...) on `def f(predictions, "
    "examples, weights)`, which returns one score per row of weights; a label is example.label"
)


@dataclass(frozen=True)
class Metric:
    """A score of a test set: an `ExampleMetric`, a `CorpusMetric` or a `SetMetric`."""

    name: str
    fn: Callable[..., Any]
    higher_is_better: bool | None
    """None: no direction; the score is compared with natural proteins, and does not rank."""
    version: int | None = None
    """Raised by hand when a change moves scores; None: the digest of its module is used."""
    scale: Scale = "identity"
    """The scale of its interval."""
    parameters: ClassVar[tuple[int, ...]] = ()
    """How many parameters `fn` may take."""

    def __post_init__(self) -> None:
        names = tuple(inspect.signature(self.fn).parameters)
        if not self.parameters or "labels" in names:
            raise old_form(self.name)
        if len(names) not in self.parameters:
            raise UserError(f"the metric {self.name} takes ({', '.join(names)}); {FORMS}")
        if self.scale not in get_args(Scale):
            allowed = ", ".join(get_args(Scale))
            raise UserError(f"scale={self.scale} of the metric {self.name}; give {allowed}")

    def scores(
        self, predictions: Predictions, examples: Examples, weights: Array | None = None
    ) -> Array:
        """Score each resample, (R,); without weights the test set itself, (1,). NaN: undefined."""
        weights = np.ones((1, len(examples)), np.int64) if weights is None else weights
        if weights.ndim != 2 or weights.shape[1] != len(examples):
            raise ValueError(f"weights of shape {weights.shape} for {len(examples)} examples")
        return self.scorer(predictions, examples)(weights)

    def scorer(self, predictions: Predictions, examples: Examples) -> Scorer:
        """Prepare to score resamples: what does not depend on weights is computed once."""
        if len(predictions) != len(examples):
            raise ValueError(f"{len(predictions)} predictions for {len(examples)} examples")
        if not len(examples):
            return lambda weights: np.full(len(weights), np.nan)
        return self._scorer(predictions, examples)

    def _scorer(self, predictions: Predictions, examples: Examples) -> Scorer:
        raise NotImplementedError

    def __call__(self, *arguments: object) -> Array:
        """Refuse the call of version 0.1."""
        raise UserError(
            f"{self.name}(predictions, labels, weights) is the old form; write "
            f"{self.name}.scores(predictions, examples, weights)"
        )


@dataclass(frozen=True)
class ExampleValues:
    """An example metric's value of each example; called with weights, the score of each resample.

    The score is `finish` of the mean of the defined values, weighted by resample weight x size.
    """

    values: Array
    """Shape (n,), before `finish`; NaN: undefined."""
    sizes: Array
    """Shape (n,): what each value counts for (residues, say); 0 where it is undefined."""
    finish: Callable[[Array], Array]

    def __call__(self, weights: Array) -> Array:
        """Score resamples, (R,)."""
        total = np.where(self.sizes > 0, self.values * self.sizes, 0.0)
        return np.asarray(self.finish(ratio(weights @ total, weights @ self.sizes)))

    def by_unit(self, unit: Array, units: int) -> "ExampleValues":
        """The mean value and the total size of each resampling unit; unit: (n,), from 0."""
        total = np.where(self.sizes > 0, self.values * self.sizes, 0.0)
        sizes = np.bincount(unit, self.sizes, units)
        return ExampleValues(ratio(np.bincount(unit, total, units), sizes), sizes, self.finish)

    def spread(self, rows: Sequence[int], n: int) -> "ExampleValues":
        """The values at the given rows of n examples; NaN at the others."""
        values, sizes = np.full(n, np.nan), np.zeros(n)
        values[rows], sizes[rows] = self.values, self.sizes
        return ExampleValues(values, sizes, self.finish)


@dataclass(frozen=True)
class ExampleMetric(Metric):
    """A metric with a value per example, whose score is their weighted mean.

    `fn(predictions, examples)` returns values (n,), or values (n,) and sizes (n,); NaN: undefined.
    `finish` maps the mean to the score (`np.sqrt` of a mean squared error, say).
    """

    finish: Callable[[Array], Array] = np.positive
    parameters = (2,)

    def values(self, predictions: Predictions, examples: Examples) -> ExampleValues:
        """Value and size of each example."""
        found, n = self.fn(predictions, examples), len(examples)
        values, sizes = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        wanted = f"one value for each of {n} examples"
        values = checked(values, (n,), "values of shape", wanted)
        sizes = np.ones(n) if sizes is None else checked(sizes, (n,), "sizes of shape", wanted)
        sizes = np.where(np.isnan(values), 0.0, sizes)
        if not (np.isfinite(sizes) & (sizes >= 0)).all():
            raise ValueError("it returned a negative or undefined size; return 0 or more")
        return ExampleValues(values, sizes, self.finish)

    _scorer = values


@dataclass(frozen=True)
class CorpusMetric(Metric):
    """A metric of all examples together: a correlation, an area.

    `fn(predictions, examples, weights)` returns scores (R,); NaN: undefined in that resample. Or
    `fn(predictions, examples)` returns a function from weights to scores: what does not depend on
    weights, such as a sort, is then computed once for all resamples.
    """

    classes: Classes | None = None
    """Of a score that compares classes or averages over them."""
    fewest: int = 10
    """Resampling units that each class has to be in for an interval."""
    parameters = (2, 3)

    def _scorer(self, predictions: Predictions, examples: Examples) -> Scorer:
        wanted = "one score for each row of weights"
        if len(inspect.signature(self.fn).parameters) == 3:
            score = partial(self.fn, predictions, examples)
        elif not callable(score := self.fn(predictions, examples)):
            raise ValueError(f"it returned a {type(score).__name__}; {FORMS}")
        return lambda weights: checked(score(weights), (len(weights),), "the shape", wanted)


@dataclass(frozen=True)
class SetMetric(Metric):
    """A metric of a set whose score depends on its size: shares of clusters, duplicates.

    `fn(predictions, examples)` returns a number. It is computed on `size` examples, drawn without
    replacement by a fixed seed (None: all): it is not defined under resampling, and has no
    interval. With fewer examples the score is undefined.
    """

    size: int | None = None
    parameters = (2,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None and (type(self.size) is not int or self.size < 1):
            raise UserError(f"size={self.size} of the metric {self.name}; give 1 or more, or None")

    def subsample(self, examples: Examples) -> list[int]:
        """Rows that are scored, by ascending id: the same for every model and order of rows."""
        order = sorted(range(len(examples)), key=lambda row: examples[row].id)
        drawn = np.random.default_rng(SUBSAMPLE_SEED).permutation(len(order))[: self.size]
        return [order[place] for place in np.sort(drawn)]

    def _scorer(self, predictions: Predictions, examples: Examples) -> Scorer:
        rows = self.subsample(examples)

        def score(weights: Array) -> Array:
            if (weights != 1).any() or len(weights) != 1:
                raise ValueError("a set metric is not defined under resampling; give no weights")
            if len(rows) < (self.size or 1):
                return np.full(1, np.nan)
            found = self.fn([predictions[row] for row in rows], [examples[row] for row in rows])
            return checked(found, (), "the shape", "a single number")[None]

        return score


def checked(found: object, shape: tuple[int, ...], what: str, wanted: str) -> Array:
    """What a metric's function returned, as float64; refuse another shape."""
    array = np.asarray(found, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"it returned {what} {array.shape}; return {wanted}, {shape}")
    return array


def example_metric(
    *,
    higher_is_better: bool | None,
    version: int | None = None,
    scale: Scale = "identity",
    finish: Scorer | None = None,
) -> Callable[[Callable[..., Any]], ExampleMetric]:
    """Make an example metric of a function; the function's name is the metric's."""
    return lambda fn: ExampleMetric(
        fn.__name__, fn, higher_is_better, version, scale, finish or np.positive
    )


def corpus_metric(
    *,
    higher_is_better: bool | None,
    version: int | None = None,
    scale: Scale = "identity",
    classes: Classes | None = None,
    fewest: int = 10,
) -> Callable[[Callable[..., Any]], CorpusMetric]:
    """Make a corpus metric of a function; the function's name is the metric's."""
    return lambda fn: CorpusMetric(
        fn.__name__, fn, higher_is_better, version, scale, classes, fewest
    )


def set_metric(
    *, higher_is_better: bool | None, version: int | None = None, size: int | None = None
) -> Callable[[Callable[..., Any]], SetMetric]:
    """Make a set metric of a function; the function's name is the metric's."""
    return lambda fn: SetMetric(fn.__name__, fn, higher_is_better, version, size=size)


def metric(**settings: object) -> Callable[[Callable[..., Any]], Metric]:
    """Refuse the decorator of version 0.1."""
    return lambda fn: Metric(fn.__name__, fn, None)


def old_form(name: str) -> UserError:
    """The refusal of a metric that takes labels."""
    return UserError(f"the metric {name} has the old form (predictions, labels, weights); {FORMS}")


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; NaN where the denominator is 0."""
    quotient = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
