"""Intervals on each scale against SciPy, at bounds, and where there is none."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from benchmark.core import Example, Readout, UserError, example_metric
from benchmark.core.metric import Scale
from benchmark.metrics import find
from benchmark.stats.bootstrap import Scores, mean, score
from benchmark.stats.intervals import SCALES, Statistic, around, half_width, interval

NUMBER, CLASS = Readout("protein", "regression"), Readout("protein", "classification", 2)


@example_metric(higher_is_better=True)
def plain(predictions: Any, examples: Any) -> Any:
    return np.stack(predictions)


def scored(metric: Any, predictions: Any, labels: Any, groups: Any = None, seed: int = 0) -> Scores:
    units = np.arange(len(labels)) if groups is None else groups
    rows = [Example(("A",), y, "", str(u)) for y, u in zip(labels, units, strict=True)]
    readout = CLASS if np.asarray(labels).dtype.kind == "i" else NUMBER
    return score([metric], list(predictions), rows, readout, seed)


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(0).normal(size=60)
    found = [scored(plain, values, np.zeros(60), seed=seed) for seed in range(20)]
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))

    assert found[0].statistics["plain"].freedom == pytest.approx(59)
    middle = np.mean([each.intervals["plain"] for each in found], axis=0)
    np.testing.assert_allclose(middle, (low, high), atol=0.02)
    errors = [each.statistics["plain"].error for each in found]
    assert np.std(errors) / np.mean(errors) < 0.06, "how much a standard error varies by seed"


def test_units_of_unequal_sizes_count_as_their_effective_number() -> None:
    groups = np.repeat(np.arange(12), [20, *[1] * 11])
    values = np.random.default_rng(0).normal(size=31)
    found = scored(plain, values, np.zeros(31), groups).statistics["plain"]
    assert found.freedom == pytest.approx(31**2 / (20**2 + 11) - 1)


@pytest.mark.parametrize("right", [0, 25])
def test_a_share_at_its_bound_has_the_exact_binomial_interval(right: int) -> None:
    labels = np.ones(25, int)
    found = scored(find("accuracy"), np.full(25, right / 25), labels).intervals["accuracy"]
    exact = stats.binomtest(right, 25).proportion_ci(method="exact")
    assert found == pytest.approx((exact.low, exact.high))


def test_intervals_are_symmetric_on_their_scale() -> None:
    score_, error, freedom = 0.9, 0.05, 14.0
    half = stats.t.ppf(0.975, freedom) * error
    normal = stats.norm.ppf(0.9)
    expected = {
        "identity": (0.9 - half, 0.9 + half),
        "logit": tuple(expit(logit(0.9) + np.array([-1, 1]) * half / 0.09)),
        "probit": tuple(stats.norm.cdf(normal + np.array([-1, 1]) * half / stats.norm.pdf(normal))),
        "fisher": tuple(np.tanh(np.arctanh(0.9) + np.array([-1, 1]) * half / 0.19)),
        "log": (0.9 * np.exp(-half / 0.9), 0.9 * np.exp(half / 0.9)),
        "inverse": (1 / (1 / 0.9 + half / 0.81), 1 / (1 / 0.9 - half / 0.81)),
        "explained": (1 - 0.1 * np.exp(half / 0.1), 1 - 0.1 * np.exp(-half / 0.1)),
    }
    assert set(expected) == set(SCALES) == set(Scale.__args__)
    for scale, ends in expected.items():
        assert interval(Statistic(score_, error, freedom), scale) == pytest.approx(ends)
        assert half_width(score_, ends, scale) == pytest.approx(half)
        assert around(score_, half, scale) == pytest.approx(ends)
    widths = [high - low for low, high in expected.values()]
    assert all(a != b for a, b in pairwise(widths))


def test_some_scores_have_no_interval() -> None:
    numbers = np.arange(30.0)
    assert scored(find("pearson"), numbers, numbers).intervals == {}, "a correlation of 1"
    assert scored(find("rmse"), numbers, numbers).intervals == {}, "no error"
    assert scored(plain, np.ones(30), numbers).intervals == {}, "the same in every resample"
    assert interval(Statistic(1.0, 0.9, 9), "inverse") is None, "without an upper end"
    assert interval(Statistic(0.5, float("nan"), 9), "logit") is None
    assert scored(plain, numbers, numbers, np.repeat(np.arange(6), 5)).intervals == {}, "6 units"


@pytest.mark.parametrize(
    ("scale", "allowed"), [("logit", "between 0 and 1"), ("log", "above 0"), ("explained", "of at")]
)
def test_a_score_outside_its_scale_is_refused(scale: Any, allowed: str) -> None:
    score_ = -50.0 if scale == "log" else 50.0
    wrong = example_metric(higher_is_better=True, scale=scale)(lambda p, e: [score_] * len(e))
    words = f"a score of {score_:g}, but scale={scale} is for scores {allowed}"
    with pytest.raises(UserError, match=words):
        scored(wrong, np.zeros(30), np.zeros(30))


def test_no_interval_of_explained_variance_exceeds_1() -> None:
    rng = np.random.default_rng(0)
    label, noise = rng.normal(size=(2, 12)) * [[3.0], [1.5]]
    found = scored(find("r2"), label + noise, label)
    low, high = found.intervals["r2"]
    statistic = found.statistics["r2"]
    assert low < found.scores["r2"] < high < 1
    assert interval(statistic, "identity")[1] > 1
    assert scored(find("r2"), label, label).intervals == {}, "all variance is explained"


def test_the_error_of_a_mean_is_that_of_independent_sets_or_of_shared_units() -> None:
    rng = np.random.default_rng(0)
    values, halves = rng.normal(size=(2, 50)), {"0": 0.5, "1": 0.5}
    for shared in (False, True):
        groups = [[f"{'' if shared else k} {u}" for u in range(50)] for k in range(2)]
        tests = {str(k): scored(plain, values[k], np.zeros(50), groups[k]) for k in range(2)}
        found = mean([plain], tests, halves).statistics["plain"]
        errors = np.array([tests[k].statistics["plain"].error for k in "01"])
        exact = (
            stats.sem(values.mean(axis=0)) if shared else np.hypot(*stats.sem(values, axis=1)) / 2
        )
        assert found.error == pytest.approx(exact, rel=0.1)
        welch = (errors**2).sum() ** 2 / (errors**4 / 49).sum()
        assert found.freedom == pytest.approx(49 if shared else welch)
