"""Differences of two models: exact cases, seeds, and agreement with SciPy."""

from dataclasses import replace
from math import isnan, sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.core import Array, ExampleValues
from benchmark.stats.bootstrap import FEWEST_UNITS, resampled_scores
from benchmark.stats.multiplicity import false_discovery, holm
from benchmark.stats.paired import Resampled, difference


def model(values: Any, unit: Array | None = None, prefix: str = "") -> Resampled:
    """A model with a value for each seed and example, (S, n), whose score is their mean.

    prefix: of the names of resampling units.
    """
    values = np.atleast_2d(values)
    unit = np.arange(values.shape[1]) if unit is None else unit
    names = [f"{prefix}{u}" for u in range(unit.max() + 1)]
    scorers = {
        str(seed): ExampleValues(row, np.ones(len(row)), np.positive)
        for seed, row in enumerate(values)
    }
    draws, sizes = resampled_scores(scorers, names, unit, 0)
    stacked = np.stack(list(draws.values()))
    return Resampled(values.mean(axis=1), stacked, sizes["0"], frozenset(names), len(names) >= 10)


def mean_of(*sets: Resampled) -> Resampled:
    """The plain mean over test sets."""
    groups = frozenset[str]().union(*(each.groups for each in sets))
    scores, draws = sum(s.scores for s in sets), sum(s.draws for s in sets)
    n = len(sets)
    return Resampled(
        scores / n, draws / n, np.ones(len(groups)), groups, len(groups) >= 10, sets, (1 / n,) * n
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_swapping_the_models_flips_all_signs_exactly(seeds: int) -> None:
    rng = np.random.default_rng(0)
    unit = np.sort(rng.integers(0, 20, 60))
    a, b = (model(rng.normal(size=(seeds, 60)), unit) for _ in range(2))
    for one, other in ((a, b), (mean_of(a, b), mean_of(b, b))):
        d, swapped = difference(one, other), difference(other, one)
        assert d.value == -swapped.value != 0
        assert d.error == swapped.error and d.freedom == swapped.freedom and d.p == swapped.p
        assert d.interval == tuple(-bound for bound in reversed(swapped.interval or ()))


def test_a_run_against_itself_is_exactly_zero() -> None:
    a = model(np.random.default_rng(0).normal(size=(2, 30)))
    one = replace(a, scores=a.scores[:1], draws=a.draws[:1])
    for each in (one, mean_of(one, one)):
        d = difference(each, each)
        assert (d.value, d.error, d.interval, d.p) == (0, 0, (0, 0), 1)
        assert d.bound() == d.detectable == 0
    assert difference(a, a).value == 0 and difference(a, a).p == 1


def test_few_units_have_neither_interval_nor_p() -> None:
    rng = np.random.default_rng(0)
    unit = np.arange(200) % (FEWEST_UNITS - 1)
    d = difference(model(rng.normal(size=200), unit), model(rng.normal(size=200), unit))
    assert d.value and d.units == FEWEST_UNITS - 1
    assert d.interval is d.p is d.bound() is d.detectable is None


def test_a_difference_that_no_resample_changes_has_no_error() -> None:
    values = np.random.default_rng(0).normal(size=30)
    d = difference(model(values + 1), model(values))
    assert d.value == pytest.approx(1) and isnan(d.error) and d.p is None


def test_rounding_of_stored_numbers_is_no_difference() -> None:
    a = model(np.random.default_rng(0).random(60) < 0.5)
    d = difference(a, replace(a, scores=a.scores.astype(np.float32).astype(float) * (1 + 1e-8)))
    assert (d.value, d.error, d.p) == (0, 0, 1)


def test_an_unknown_error_of_a_mean_is_unknown() -> None:
    rng = np.random.default_rng(0)
    a, b = (mean_of(model(rng.random(40)), model(rng.random(1))) for _ in range(2))
    assert isnan(difference(a, b).error) and difference(a, b).p is None


def test_models_of_other_units_are_refused() -> None:
    with pytest.raises(ValueError, match="different resampling units"):
        difference(model(np.arange(20.0)), model(np.arange(21.0)))


@pytest.mark.parametrize("n", [17, 300])
def test_agreement_with_the_paired_t_test(n: int) -> None:
    """With an example per unit; the standard error is from 512 draws, within 3 % (1 sigma)."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=n)
    b = 0.6 * a + 0.5 * rng.normal(size=n) - 0.1
    d, expected = difference(model(a), model(b)), stats.ttest_rel(a, b)
    assert d.value == pytest.approx(np.mean(a - b))
    assert d.freedom == pytest.approx(expected.df)
    assert d.error == pytest.approx(stats.sem(a - b), rel=0.1)
    assert d.value / d.error == pytest.approx(expected.statistic, rel=0.1)
    # the p-value is SciPy's of this t, and the interval ends where p is 5 %
    assert d.p == pytest.approx(2 * stats.t.sf(abs(d.value / d.error), n - 1))
    low, high = d.interval or (0, 0)
    assert d._replace(value=d.value - low).p == pytest.approx(0.05)
    assert high - d.value == pytest.approx(d.value - low)
    assert d.bound() == pytest.approx(d.value - stats.t.ppf(0.95, n - 1) * d.error)
    below = stats.ttest_rel(a, b + 0.1, alternative="less").pvalue
    assert d.p_below(0.1) == pytest.approx(below, rel=0.5, abs=0.01)


def test_the_smallest_detectable_difference_has_a_power_of_80_percent() -> None:
    """Of the two-sided test at 5 % with many units (noncentral t)."""
    rng = np.random.default_rng(1)
    d = difference(model(rng.normal(size=400)), model(rng.normal(size=400)))
    assert d.detectable is not None
    shift, critical = d.detectable / d.error, stats.t.ppf(0.975, d.freedom)
    power = stats.nct.sf(critical, d.freedom, shift) + stats.nct.cdf(-critical, d.freedom, shift)
    assert power == pytest.approx(0.80, abs=0.005)


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.1), (4, 0.6), (200, 0.97)])
def test_variance_between_seeds_is_added(seeds: int, least: float) -> None:
    """A shift of whole seeds adds its variance; of few, with fewer degrees than Welch's test."""
    rng = np.random.default_rng(2)
    shared, shifts = rng.normal(size=(2, 50)), rng.normal(size=(2, seeds, 1))
    one = difference(*(model(values) for values in shared))
    a, b = (model(values + shift) for values, shift in zip(shared, shifts, strict=True))
    several, welch = difference(a, b), stats.ttest_ind(*shifts[:, :, 0], equal_var=False)
    added = several.error**2 - one.error**2
    assert added == pytest.approx(sum(np.var(s, ddof=1) / seeds for s in shifts))
    terms = one.error**4 / one.freedom + added**2 / welch.df
    assert least < several.freedom / (several.error**4 / terms) < 1
    assert several.freedom >= min(seeds - 1, one.freedom)


def test_variation_of_single_answers_between_seeds_is_counted_once() -> None:
    """It is in the sampling variance already: seeds that differ by noise alone add little."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    noisy = model(values + 0.5 * rng.normal(size=(5, 200)))
    added, observed = noisy.between
    assert observed == pytest.approx(0.25 / 200 / 5, rel=1.5)
    assert added < 0.6 * observed


def test_a_mean_over_test_sets_adds_their_variances() -> None:
    """As `benchmark.stats.bootstrap.mean`: sets without common units are independent."""
    rng = np.random.default_rng(0)
    pairs = [[model(rng.normal(size=n)) for _ in range(2)] for n in (40, 80)]
    named = [
        [replace(each, groups=frozenset(f"{k} {g}" for g in each.groups)) for each in pair]
        for k, pair in enumerate(pairs)
    ]
    a, b = (mean_of(*(pair[side] for pair in named)) for side in (0, 1))
    parts, d = [difference(*pair) for pair in pairs], difference(a, b)
    assert d.value == pytest.approx(sum(part.value for part in parts) / 2)
    assert d.units == 120
    assert d.error == pytest.approx(sqrt(sum(p.error**2 for p in parts)) / 2, rel=0.15)


def test_holm_by_its_definition() -> None:
    """A hypothesis is rejected if the k smallest p-values before it are, each at level/(m - k)."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = np.round(rng.random(rng.integers(1, 9)) ** 3, 2)
        adjusted = holm(p.tolist())
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for k, place in enumerate(np.argsort(p, kind="stable")):
                if p[place] > level / (len(p) - k):
                    break
                rejected.add(place)
            found = {i for i, each in enumerate(adjusted) if each is not None and each <= level}
            assert found == rejected


def test_the_false_discovery_rate_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(rng.integers(1, 9)) ** 3
        expected = stats.false_discovery_control(p)
        assert false_discovery(p.tolist()) == pytest.approx(expected.tolist())


@pytest.mark.parametrize("adjust", [holm, false_discovery])
def test_an_unknown_p_value_is_no_test(adjust: Any) -> None:
    first, *rest = adjust([0.01, 0.02])
    assert adjust([0.01, None, 0.02]) == [first, None, *rest]
    assert adjust([None]) == [None] and adjust([]) == []
