"""Intervals of scores: Student's t on the scale of the metric.

A score's standard error and degrees of freedom are those that a test of differences takes; only the
interval of a single score is on a scale (`benchmark.core.metric.Scale`) that respects its bounds.
`tests/stats/test_coverage.py` has the simulated coverage by which scales were chosen.
"""

from collections.abc import Callable
from math import atanh, exp, inf, isfinite, log, tanh
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
ROUNDING = 1e-9
"""A smaller standard error is that of a score that no resample changes."""

Interval = tuple[float, float]


class Statistic(NamedTuple):
    """A score or a difference of scores, as Student's t takes it."""

    score: float
    error: float
    """Standard error; NaN: unknown."""
    freedom: float
    """Degrees of freedom of the standard error."""


NORMAL = NormalDist()
Function = Callable[[float], float]
SCALES: dict[str, tuple[Function, Function, Function, float, float]] = {
    "identity": (float, float, lambda s: 1.0, -inf, inf),
    "logit": (
        lambda s: log(s / (1 - s)),
        lambda x: (1 + tanh(x / 2)) / 2,
        lambda s: 1 / (s * (1 - s)),
        *(0, 1),
    ),
    "probit": (NORMAL.inv_cdf, NORMAL.cdf, lambda s: 1 / NORMAL.pdf(NORMAL.inv_cdf(s)), 0, 1),
    "fisher": (atanh, tanh, lambda s: 1 / (1 - s**2), -1, 1),
    "log": (log, lambda x: exp(x) if x < 700 else inf, lambda s: 1 / s, 0, inf),
    "inverse": (lambda s: -1 / s, lambda x: -1 / x if x < 0 else inf, lambda s: s**-2, 0, inf),
    "explained": (
        lambda s: -log(1 - s),
        lambda x: 1 - exp(-x) if x > -700 else -inf,
        lambda s: 1 / (1 - s),
        *(-inf, 1),
    ),
}
"""Scale -> the function to it, that back to scores, its derivative, and the bounds of scores."""


def interval(statistic: Statistic, scale: str) -> Interval | None:
    """The 95 % interval of a score; None where the scale has none.

    A share of exactly 0 or 1 has the exact binomial (Clopper-Pearson) interval of as many answers
    as there are effective units. Other scores at a bound, scores that no resample changes, and
    intervals without an end have none.
    """
    score, error, freedom = statistic
    low, high = SCALES[scale][3:]
    if not low - ROUNDING <= score <= high + ROUNDING:
        bounds = f"between {low} and {high}" if high < inf else f"above {low}"
        bounds = bounds if low > -inf else f"of at most {high}"
        raise ValueError(f"a score of {score:g}, but scale={scale} is for scores {bounds}")
    if not low + ROUNDING < score < high - ROUNDING:
        if (low, high) != (0, 1) or not freedom > 0:
            return None
        nearest = ((1 - LEVEL) / 2) ** (1 / (freedom + 1))
        return (nearest, 1.0) if score > 0.5 else (0.0, 1 - nearest)
    return (
        around(score, quantile(freedom) * error, scale) if error > ROUNDING * abs(score) else None
    )


def around(score: float, half: float, scale: str) -> Interval | None:
    """The interval with this half-width near the score, symmetric on the scale; None: endless."""
    to, back, slope, low, high = SCALES[scale]
    if not low < score < high:
        return None
    half *= slope(score)
    found = back(to(score) - half), back(to(score) + half)
    return found if isfinite(found[0]) and isfinite(found[1]) else None


def half_width(score: float, found: Interval, scale: str) -> float:
    """The half-width from which `around` makes this interval."""
    to, _, slope, low, high = SCALES[scale]
    if low < found[0] and found[1] < high and low < score < high:
        return (to(found[1]) - to(found[0])) / slope(score) / 2
    return (found[1] - found[0]) / 2


def quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # here: tables of single seeds start without SciPy

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
