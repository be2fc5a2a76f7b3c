"""The best checkpoint, those tied with it, and the first drop."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmark.core import Array
from benchmark.stats.multiplicity import ALPHA
from benchmark.stats.trend import tied_with, trend
from tests.stats.test_paired import model

NOISE = 0.1


def checkpoints(*means: float, n: int = 200) -> list[Array]:
    """Values per protein of checkpoints with these means, which share what makes proteins hard."""
    rng = np.random.default_rng(0)
    protein = rng.normal(size=n)
    noise = rng.normal(size=(len(means), n))
    noise -= noise.mean(axis=1, keepdims=True)
    return [protein + mean + NOISE * own for mean, own in zip(means, noise, strict=True)]


@pytest.mark.parametrize("better", [True, False])
def test_a_rise_a_plateau_and_a_drop(better: bool) -> None:
    """The error of a difference is 0.01; p-values are checked against SciPy's paired test."""
    sign = 1 if better else -1
    values = [sign * row for row in checkpoints(0.0, 0.5, 0.501, 0.45, 0.3)]
    found = trend({10 * place: model(row) for place, row in enumerate(values)}, better)

    assert (found.best, found.tied) == (20, {10})
    assert found.drop is not None
    assert (found.drop.later, found.drop.earlier) == (30, 20)
    assert found.drop.loss == pytest.approx(0.051)
    expected = ttest_rel(values[3], values[2]).pvalue
    assert np.log(found.drop.p) == pytest.approx(np.log(10 * expected), abs=4), "of ten pairs"


def test_a_rising_series_has_no_drop() -> None:
    found = trend(dict(enumerate(map(model, checkpoints(0.0, 0.1, 0.1001, 0.2)))), True)
    assert (found.best, found.tied, found.drop) == (3, set(), None)


def test_a_slow_decline_is_found_against_an_earlier_checkpoint() -> None:
    """No step is significant, their sum is."""
    values = checkpoints(0.5, 0.49, 0.48, 0.47)
    steps = [ttest_rel(b, a).pvalue * 6 for a, b in pairwise(values)]
    found = trend(dict(enumerate(map(model, values))), True)

    assert min(steps) > ALPHA and found.drop is not None
    assert (found.best, found.drop.later, found.drop.earlier) == (0, 3, 0)


@pytest.mark.slow
def test_equal_checkpoints_rarely_have_a_drop() -> None:
    runs, drops, separated = 1000, 0, 0
    rng = np.random.default_rng(1)
    for _ in range(runs):
        known = dict(enumerate(model(row) for row in rng.normal(size=(4, 40))))
        found = trend(known, True)
        drops += found.drop is not None
        separated += len(tied_with(known, found.best)) < 3
    assert drops / runs <= 0.065
    assert separated / runs <= 0.12, "the best is chosen by the same values"
