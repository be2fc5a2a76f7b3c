"""Means over tasks of models with several seeds."""

import numpy as np
import pytest
from scipy import stats

from benchmark.report.resampled import over_tasks
from benchmark.report.series import mean_estimate
from tests.stats.test_paired import model


def test_the_interval_of_a_mean_has_the_variance_of_units_and_of_seeds() -> None:
    """Each seed differs by a shift of its own; the half-widths are SciPy's."""
    rng, shifts = np.random.default_rng(0), np.array([0, 0.02, 0.06])
    tasks = {name: rng.random(60) for name in "ST"}
    sets = [{"a": model(values + shifts[:, None], prefix=name)} for name, values in tasks.items()]
    found = mean_estimate(over_tasks(sets)[0]["a"])

    units = stats.ttest_ind(*tasks.values(), equal_var=False).confidence_interval()
    halves = (units.high - units.low) / 4, stats.t.ppf(0.975, 2) * stats.sem(shifts)
    assert halves == pytest.approx((0.05, 0.08), abs=0.01), "both matter"
    low, high = found.interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(np.hypot(*halves), rel=0.05)
    assert (low + high) / 2 == pytest.approx(found.score)
    assert (found.sd, found.seeds) == (pytest.approx(np.std(shifts, ddof=1)), 3)
