"""A score over a test set, and which way is up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.core.answers import Array, Value

Scorer = Callable[[Sequence[Value], Sequence[Value], Array], Array]


@dataclass(frozen=True)
class Metric:
    """A score over a whole test set, and which way is up.

    `fn(predictions, labels, weights)`: `weights` are counts of shape (R, n), how often each of the
    n examples occurs in each of R resamples; R scores come back. Ones give the plain score. A
    resample in which the score is undefined gives NaN.
    """

    name: str
    fn: Scorer
    higher_is_better: bool
    version: int | None = None
    """Raised by hand when a change moves scores; None: the digest of its module stands for it."""

    def __call__(
        self, predictions: Sequence[Value], labels: Sequence[Value], weights: Array | None = None
    ) -> Array:
        """Score each resample, shape (R,); without weights the plain score, shape (1,)."""
        if weights is None:
            weights = np.ones((1, len(labels)), dtype=np.int64)
        return self.fn(predictions, labels, weights)


def metric(*, higher_is_better: bool, version: int | None = None) -> Callable[[Scorer], Metric]:
    """Make a metric of a function; the function's name is the metric's."""
    return lambda fn: Metric(getattr(fn, "__name__", ""), fn, higher_is_better, version)
