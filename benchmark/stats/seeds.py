"""One estimate from the scores of several seeds, with an interval that includes both variances.

Every seed is scored on the same test set, so another seed does not shrink the sampling variance,
while it does shrink that of the mean over seeds, s^2 / n. The half-widths of the two intervals, of
sampling and Student's t s / sqrt(n), add in quadrature, on the metric's scale (Cochran 1964; Zou
and Donner 2008). In simulations this is conservative, while Welch's degrees of freedom cover 89 %
with two seeds. For two seeds t is 12.7, so a useful interval needs three or more.
"""

from collections.abc import Sequence
from math import hypot, isnan, nan, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from benchmark.stats.intervals import ROUNDING, SCALES, Interval, around, half_width, quantile


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


def estimate(
    scores: Sequence[float | None], intervals: Sequence[Interval | None], scale: str
) -> Estimate:
    """Mean over seeds and its interval, from each seed's score and 95 % interval (None: none).

    scale: that of the metric's intervals.
    """
    values = [nan if score is None else score for score in scores]
    score, n = fmean(values), len(values)
    if n == 1 or isnan(score):
        return Estimate(score, None, intervals[0] if n == 1 else None, n)
    sd = stdev(values)
    known = [found for found in intervals if found is not None]
    if len(known) < n:
        return Estimate(score, sd, None, n)
    pairs = zip(values, known, strict=True)
    within = sqrt(fmean(half_width(*pair, scale) ** 2 for pair in pairs))
    between = quantile(n - 1) * sd / sqrt(n)
    low, high = SCALES[scale][3:]
    if not all(low + ROUNDING < value < high - ROUNDING for value in values):
        # there is no half-width at a bound: what the seeds' intervals cover
        ends = min(each[0] for each in known), max(each[1] for each in known)
        return Estimate(score, sd, ends, n)
    return Estimate(score, sd, around(score, hypot(within, between), scale), n)
