"""Whether a candidate is as good as a baseline, up to margins that were fixed beforehand.

**pass**: on every task the one-sided 95 % lower bound of the difference exceeds minus the margin.
All tasks have to pass, so this needs no correction (intersection-union test, Berger 1982).
**fail**: on some task the difference is below zero at 5 % (one-sided, with Holm's correction over
tasks) and its estimate is below minus the margin. Everything else has to be examined.
"""

from collections.abc import Sequence
from enum import StrEnum
from math import nan
from typing import NamedTuple

import numpy as np

from benchmark.stats.bootstrap import FEWEST_UNITS
from benchmark.stats.multiplicity import ALPHA, holm
from benchmark.stats.paired import Difference

ERRORS_FOR_POWER = 2.49
"""With a margin of this many standard errors an equal candidate passes a task with a chance of
80 %: the sum of the normal distribution's quantiles of 95 % and 80 %."""
QUANTILES = (np.arange(200) + 0.5) / 200
"""Of the distribution of standard errors, over which a power is averaged."""


class Verdict(StrEnum):
    """What the gate says about a task, and about a candidate."""

    PASS = "pass"
    FAIL = "fail"
    INVESTIGATE = "investigate"


class Judgement(NamedTuple):
    """What a difference says about one task."""

    verdict: Verdict
    lower: float | None
    """One-sided 95 % lower bound of the difference; None: unknown."""
    p: float | None
    """One-sided p-value of a loss, by Holm's correction over the tasks; None: unknown."""


def judge(
    differences: Sequence[Difference], margins: Sequence[float], changed: Sequence[int | None] = ()
) -> list[Judgement]:
    """One judgement for each task; a difference is positive where the candidate is better.

    changed: the number of resampling units in which a predicted class changed; None: the score
    is not of predicted classes. With few of them the standard error is not known well. The
    bound is then that of the share of units that change (Clopper-Pearson), each of which may
    lose 1; and no p-value is below that of a sign test in which all of them got worse. Both are
    exact for accuracy with units of equal size, and approximate for other scores of predicted
    classes.
    """
    found, changed = [], changed or [None] * len(differences)
    p_values = [
        p if p is None or k is None or not is_few(k) else max(p, 0.5**k)
        for p, k in zip([d.p_below() for d in differences], changed, strict=True)
    ]
    for difference, margin, p, k in zip(differences, margins, holm(p_values), changed, strict=True):
        verdict, lower = Verdict.INVESTIGATE, difference.bound(1 - ALPHA)
        if lower is not None and k is not None and is_few(k):
            lower = min(lower, -largest_share(k, difference.units))
        if lower is not None and lower > -margin:
            verdict = Verdict.PASS
        elif p is not None and p <= ALPHA and difference.value < -margin:
            verdict = Verdict.FAIL
        found.append(Judgement(verdict, lower, p))
    return found


def is_few(changed: int | None) -> bool:
    """Whether a predicted class changed in so few resampling units that the error is unreliable."""
    return changed is not None and changed < FEWEST_UNITS


def largest_share(changed: int, units: int) -> float:
    """The one-sided 95 % upper bound of a share (Clopper-Pearson)."""
    from scipy.special import betaincinv

    return float(betaincinv(changed + 1, units - changed, 1 - ALPHA))


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail if any task fails, pass if all pass; no task at all does not pass."""
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    passed = bool(verdicts) and set(verdicts) == {Verdict.PASS}
    return Verdict.PASS if passed else Verdict.INVESTIGATE


def power(
    difference: Difference, margin: float, tasks: int = 1, changed: int | None = None
) -> tuple[float, float]:
    """The chance that a task passes without a difference, and that it fails at -2 margins.

    The standard error found is taken as the true one; those of other samples vary around it as the
    root of a chi-squared variable. tasks: the number of tasks in Holm's correction, in which this
    one has the smallest p-value; changed: as in `judge`. NaN: the standard error is unknown.
    """
    from scipy.special import chdtri, ndtr, stdtrit

    error, freedom = difference.error, difference.freedom
    if not error >= 0 or is_few(changed):
        return nan, nan
    if error == 0:
        return 1.0, 1.0
    errors = error * np.sqrt(chdtri(freedom, QUANTILES) / freedom)
    passing = ndtr((margin - stdtrit(freedom, 1 - ALPHA) * errors) / error)
    needed = np.maximum(margin, stdtrit(freedom, 1 - ALPHA / tasks) * errors)
    return float(passing.mean()), float(ndtr((2 * margin - needed) / error).mean())
