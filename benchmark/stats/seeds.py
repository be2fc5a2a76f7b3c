"""One estimate from the scores of several seeds, with an interval that holds both variances.

Every seed is scored on the same test set, so another seed does not shrink the sampling variance,
while it does shrink that of the mean over seeds, s^2 / n. The two are combined as the method of
variance estimates recovery does (Howe 1974; Zou and Donner 2008): the half-widths of the two
intervals, the bootstrap's and Student's t s / sqrt(n), add in quadrature, each side by itself. It
errs on the wide side: what differs between seeds from one unit to the next is in both. Of two
seeds t is 12.7, so three or more are needed for an interval that tells something.
"""

from collections.abc import Sequence
from math import cos, hypot, isnan, nan, pi, sin, sqrt, tan
from statistics import fmean, stdev
from typing import NamedTuple

LEVEL = 0.95

Interval = tuple[float, float]


class Estimate(NamedTuple):
    """A score; of several seeds their mean. NaN: undefined."""

    score: float
    sd: float | None
    """Standard deviation over seeds (n - 1 in the denominator); None for one seed."""
    interval: Interval | None
    seeds: int

    def __str__(self) -> str:
        """Score, standard deviation, interval and number of seeds, with three decimals."""
        return " ".join(self.parts()).rstrip()

    def parts(self, digits: int = 3) -> tuple[str, str]:
        """The score, and what qualifies it: standard deviation, interval, number of seeds."""
        if isnan(self.score):
            return "undefined", ""
        rest = [] if self.sd is None else [f"± {self.sd:.{digits}f}"]
        if self.interval:
            rest.append(f"[{self.interval[0]:.{digits}f}, {self.interval[1]:.{digits}f}]")
        if self.seeds > 1:
            rest[-1] += f", {self.seeds} seeds"
        return f"{self.score:.{digits}f}", " ".join(rest)


def estimate(scores: Sequence[float | None], intervals: Sequence[Interval | None]) -> Estimate:
    """Of each seed's score and 95 % interval, as far as they are defined."""
    values = [nan if score is None else score for score in scores]
    score = fmean(values)
    if len(values) == 1 or isnan(score):
        return Estimate(score, None, intervals[0] if len(values) == 1 else None, len(values))
    sd = stdev(values)
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(values):
        return Estimate(score, sd, None, len(values))
    between = student(LEVEL, len(values) - 1) * sd / sqrt(len(values))
    pairs = list(zip(values, known, strict=True))
    below = sqrt(fmean((value - low) ** 2 for value, (low, _) in pairs))
    above = sqrt(fmean((high - value) ** 2 for value, (_, high) in pairs))
    interval = score - hypot(below, between), score + hypot(above, between)
    return Estimate(score, sd, interval, len(values))


def student(level: float, freedom: int) -> float:
    """The t beyond which Student's distribution has 1 - level of its mass, on both sides.

    By bisection of Abramowitz and Stegun 26.7.3 and 26.7.4, so that tables need no SciPy.
    """
    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mass(middle, freedom) < level else (low, middle)
    return sqrt(freedom) * tan(low)


def mass(angle: float, freedom: int) -> float:
    """Student's mass between -t and t, where angle = atan(t / sqrt(freedom))."""
    odd = freedom % 2
    term, total = (cos(angle), 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * cos(angle) ** 2
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
