"""The gate's rule: its error rates and its power, by simulation."""

from math import nan
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.stats.gate import ERRORS_FOR_POWER, Verdict, judge, overall, power
from benchmark.stats.paired import Difference

PASS, FAIL, INVESTIGATE = Verdict
RUNS = 4000
MARGIN = 0.01


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.0, 0.0, PASS),  # equal predictions
        (0.0, 0.005, PASS),
        (0.0, 0.007, INVESTIGATE),  # the bound is below the margin
        (-0.02, 0.005, FAIL),
        (-0.02, 0.015, INVESTIGATE),  # not significant
        (-0.009, 0.0001, PASS),  # significant, and within the margin
        (-0.009, 0.002, INVESTIGATE),
        (0.05, 0.025, PASS),
        (0.5, nan, INVESTIGATE),  # few units
        (-0.5, nan, INVESTIGATE),
    ],
)
def test_one_task(value: float, error: float, verdict: Verdict) -> None:
    (found,) = judge([Difference(value, error, 200, 201)], [MARGIN])
    assert found.verdict == verdict


def test_bounds_and_p_values_are_those_of_students_t() -> None:
    differences = [Difference(-0.02, 0.008, 30, 31), Difference(0.01, 0.01, 50, 51)]
    found = judge(differences, [MARGIN, MARGIN])
    for (value, error, freedom, _), judgement in zip(differences, found, strict=True):
        t = stats.t(freedom, loc=value, scale=error)
        assert judgement.lower == pytest.approx(t.ppf(0.05))
    assert found[0].p == pytest.approx(2 * stats.t.cdf(-2.5, 30)), "Holm's, of two tasks"


def test_one_task_that_fails_is_enough_and_no_task_is_no_pass() -> None:
    assert overall([PASS, INVESTIGATE, FAIL]) == FAIL
    assert overall([PASS, PASS]) == PASS
    assert overall([PASS, INVESTIGATE]) == overall([]) == INVESTIGATE


def test_a_margin_of_so_many_errors_has_a_power_of_80_percent() -> None:
    expected = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert pytest.approx(expected, abs=0.005) == ERRORS_FOR_POWER
    passing, failing = power(Difference(0, MARGIN / ERRORS_FOR_POWER, 1e6, 100), MARGIN)
    assert passing == pytest.approx(0.8, abs=0.002)
    assert failing == pytest.approx(stats.norm.cdf(ERRORS_FOR_POWER), abs=0.002)
    assert power(Difference(0, 0.0, 10, 11), MARGIN) == (1, 1)
    assert np.isnan(power(Difference(0, nan, 10, 11), MARGIN)).all()


def simulated(true: float, units: int, tasks: int, spread: float, seed: int) -> Any:
    """Verdicts of runs (RUNS, tasks), the first task with a true difference.

    Answers are right or wrong, so that a difference per unit is -1, 0 or 1; `spread` of them
    changed. The paired t statistic is what `difference` gives for a mean of units.
    """
    rng, found = np.random.default_rng(seed), []
    chances = np.tile([spread / 2, 1 - spread, spread / 2], (tasks, 1))
    chances[0] += [-true / 2, 0, true / 2]
    counts = np.stack([rng.multinomial(units, chance, RUNS) for chance in chances], axis=1)
    value = (counts[..., 2] - counts[..., 0]) / units
    square = (counts[..., 2] + counts[..., 0]) / units
    error = np.sqrt((square - value**2) / (units - 1))
    changed = counts[..., 2] + counts[..., 0]
    for row, errors, changes in zip(value, error, changed, strict=True):
        mine = [Difference(*pair, units - 1, units) for pair in zip(row, errors, strict=True)]
        found.append([each.verdict for each in judge(mine, [MARGIN] * tasks, changes.tolist())])
    return np.array(found), Difference(0.0, float(np.sqrt(spread / units)), units - 1, units)


@pytest.mark.slow
@pytest.mark.parametrize("units", [12, 30, 60, 100, 150, 250])
def test_error_rates_where_few_answers_change(units: int) -> None:
    """Of 12 equal answers, none is evidence that 99 % of all answers are."""
    allowed = stats.binom.ppf(0.999, RUNS, 0.05) / RUNS
    for spread in (MARGIN, 0.03, 0.1):
        worse, _ = simulated(-MARGIN, units, 1, spread, 0)
        assert (worse == PASS).mean() <= allowed, spread
        equal, _ = simulated(0.0, units, 1, spread, 1)
        assert (equal == FAIL).mean() <= allowed, spread


@pytest.mark.slow
@pytest.mark.parametrize("units", [200, 2000])
@pytest.mark.parametrize("tasks", [1, 5])
def test_error_rates(units: int, tasks: int) -> None:
    """What is worse by the margin on one task rarely passes, and what is equal rarely fails."""
    allowed = stats.binom.ppf(0.999, RUNS, 0.05) / RUNS
    spread = 0.05
    worse, _ = simulated(-MARGIN, units, tasks, spread, 0)
    assert (worse == PASS).all(axis=1).mean() <= allowed
    equal, _ = simulated(0.0, units, tasks, spread, 1)
    assert (equal == FAIL).any(axis=1).mean() <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 5])
@pytest.mark.parametrize(("units", "spread"), [(500, 0.04), (2000, 0.05), (5000, 0.05)])
def test_power_is_as_printed(units: int, spread: float, tasks: int) -> None:
    equal, about = simulated(0.0, units, tasks, spread, 2)
    passing, failing = power(about, MARGIN, tasks)
    assert (equal[:, 0] == PASS).mean() == pytest.approx(passing, abs=0.03)
    worse, _ = simulated(-2 * MARGIN, units, tasks, spread, 3)
    assert (worse[:, 0] == FAIL).mean() == pytest.approx(failing, abs=0.03)
