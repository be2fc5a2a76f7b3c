"""Differences between two models' scores on the same test set, over units drawn for both together.

A unit has the same weight in every model's resample (`benchmark.stats.bootstrap.resamples`), so the
draws of one model minus those of another are the draws of the difference. Its interval and p-value
are of Student's t on the raw scale, so they agree. Each model with several seeds adds the variance
of its mean over seeds; a model with one seed is compared as that run.

The degrees of freedom are those of Welch and Satterthwaite for many seeds. Their formula divides
squared shares of the variance by each part's own degrees of freedom, and takes the estimated shares
for the true ones. With few seeds it rejects too often: two seeds against one in 12 % of cases where
most of the variance is between seeds. So the exponent of a share is 2 - 1.5 / (seeds - 1), and no
part's own degrees of freedom are undercut. In simulations (`tests/stats/test_paired_simulation.py`)
the test is then at its level or conservative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np

from benchmark.core import Array
from benchmark.stats.bootstrap import of_mean, statistic
from benchmark.stats.intervals import ROUNDING, Interval, Statistic, quantile

POWERED = 2.80
"""Standard errors of the smallest difference that a test at 5 % detects with a power of 80 %: the
normal quantiles 1.96 + 0.84."""
SINGLE = 1e-6
"""Relative to the scores, a smaller difference is that of values stored in single precision."""


@dataclass(frozen=True)
class Resampled:
    """A model's score on a test set with each of S seeds, and in each of R resamples."""

    scores: Array
    """Shape (S,)."""
    draws: Array
    """Shape (S, R), of the same resamples for all models."""
    sizes: Array
    """Shape (units,): what each resampling unit counts for."""
    groups: frozenset[str]
    """Names of the resampling units."""
    enough: bool
    """Whether so many resampling units define the score that its error is known."""
    parts: tuple["Resampled", ...] = ()
    """Of a mean over test sets the sets, with the weights `shares`."""
    shares: tuple[float, ...] = ()

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.scores))

    @cached_property
    def between(self) -> tuple[float, float]:
        """Variance of the mean over seeds due to the seeds, and its share of the observed one.

        What seeds and units vary together is part of the sampling variance, and is subtracted from
        the observed variance between seeds (as Obuchowski and Rockette 1995 do for readers).
        """
        seeds = len(self.scores)
        observed = float(np.var(self.scores, ddof=1)) / seeds if seeds > 1 else 0.0
        if not observed > 0:
            return 0.0, 0.0
        apart = np.eye(seeds) - 1 / seeds
        shared = [sampling(0.0, [(row, self)]).error ** 2 for row in apart]
        return max(observed - float(np.mean(shared)) / (seeds - 1), 0.0), observed


class Difference(NamedTuple):
    """One model's score minus another's, in the metric's own unit."""

    value: float
    error: float
    """Standard error; NaN: unknown, with fewer than 10 units."""
    freedom: float
    """Degrees of freedom of the standard error."""
    units: int
    """Number of resampling units."""

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval; None: unknown."""
        half = quantile(self.freedom) * self.error
        return (self.value - half, self.value + half) if isfinite(half) else None

    @property
    def p(self) -> float | None:
        """Two-sided p-value; 1 for equal predictions, None: unknown."""
        lower = self._replace(value=-abs(self.value)).p_below()
        return None if lower is None else 2 * lower

    def p_below(self, margin: float = 0.0) -> float | None:
        """The p-value of the one-sided test that the difference is below a margin; None: unknown.

        Small values say that it is below.
        """
        from scipy.special import stdtr

        if not isfinite(self.error):
            return None
        if self.error == 0:
            return 0.5 if self.value == margin else float(self.value > margin)
        return float(stdtr(self.freedom, (self.value - margin) / self.error))

    def bound(self, level: float = 0.95) -> float | None:
        """The one-sided lower bound, which the true difference exceeds at this level."""
        from scipy.special import stdtrit

        if not isfinite(self.error):
            return None
        return self.value - float(stdtrit(self.freedom, level)) * self.error

    @property
    def detectable(self) -> float | None:
        """The smallest difference that this test set detects in four of five cases."""
        return POWERED * self.error if isfinite(self.error) else None


def difference(a: Resampled, b: Resampled) -> Difference:
    """The score of `a` minus that of `b`, from the same resamples of the same units.

    Equal predictions differ by exactly 0, with an error of 0. A difference that is not 0 and that
    no resample changes has an unknown error.
    """
    value, units = a.score - b.score, len(a.groups)
    if a.groups != b.groups:
        raise ValueError("the two models are scored on different resampling units")
    if not (a.enough and b.enough and isfinite(value)):
        return Difference(value, nan, nan, units)
    means = [(np.full(len(x.scores), sign / len(x.scores)), x) for sign, x in ((1, a), (-1, b))]
    _, error, freedom = sampling(value, means)
    if not isfinite(error):
        return Difference(value, nan, nan, units)
    seeds = [(*model.between, len(model.scores) - 1) for model in (a, b)]
    total = error**2 + sum(added for added, _, _ in seeds)
    parts = [(error**2, 2.0, freedom)]
    parts += [(observed, 2 - 1.5 / own, own) for added, observed, own in seeds if added > 0]
    error = sqrt(total) if total >= 0 else nan
    if max(abs(value), error) <= SINGLE * max(abs(a.score), abs(b.score)):
        return Difference(0.0, 0.0, freedom, units)
    if error <= ROUNDING * abs(value):
        return Difference(value, nan, freedom, units)
    terms = sum(min(part / total, 1.0) ** power / own for part, power, own in parts)
    return Difference(value, error, max(1 / terms, min(own for _, _, own in parts)), units)


def sampling(value: float, terms: Sequence[tuple[Array, Resampled]]) -> Statistic:
    """The statistic of a sum of coefficients (S,) times the scores of models with S seeds each."""
    first = terms[0][1]
    draws = sum(coefficients @ model.draws for coefficients, model in terms)
    if not first.parts:
        sizes = np.minimum.reduce([model.sizes for _, model in terms])
        return statistic(value, np.asarray(draws), sizes)
    parts = [
        sampling(0.0, [(coefficients, model.parts[k]) for coefficients, model in terms])
        for k in range(len(first.parts))
    ]
    found = of_mean(value, np.asarray(draws), parts, np.array(first.shares), len(first.groups))
    if found is None:
        known = all(part.error == 0 for part in parts)
        return Statistic(value, 0.0 if known else nan, len(first.groups) - 1)
    return found
