"""One estimate from the scores of several seeds, with an interval that includes both variances.

Every seed is scored on the same test set, so another seed does not shrink the sampling variance,
while it does shrink that of the mean over seeds, s^2 / n. The two are combined as the method of
variance estimates recovery does (Howe 1974; Zou and Donner 2008): the half-widths of the two
intervals, the bootstrap's and Student's t s / sqrt(n), add in quadrature, separately on each side.
The result is conservative: differences between seeds on single units are in both variances. For
two seeds t is 12.7, so a useful interval needs three or more.
"""

from collections.abc import Sequence
from math import hypot, isnan, nan, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

LEVEL = 0.95

Interval = tuple[float, float]


class Estimate(NamedTuple):
    """A score, or the mean over several seeds. NaN: undefined."""

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
    """Mean over seeds and its interval, from each seed's score and 95 % interval (None: none)."""
    values = [nan if score is None else score for score in scores]
    score = fmean(values)
    if len(values) == 1 or isnan(score):
        return Estimate(score, None, intervals[0] if len(values) == 1 else None, len(values))
    sd = stdev(values)
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(values):
        return Estimate(score, sd, None, len(values))
    from scipy.special import stdtrit  # here: tables of single seeds start without SciPy

    between = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * sd / sqrt(len(values))
    pairs = list(zip(values, known, strict=True))
    below = sqrt(fmean((value - low) ** 2 for value, (low, _) in pairs))
    above = sqrt(fmean((high - value) ** 2 for value, (_, high) in pairs))
    interval = score - hypot(below, between), score + hypot(above, between)
    return Estimate(score, sd, interval, len(values))
