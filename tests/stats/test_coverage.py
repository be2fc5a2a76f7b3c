"""Simulated coverage of the 95 % intervals, by family of metrics: scored as a run scores.

Answers of a unit are correlated. Units have one answer each, or numbers of answers that follow a
geometric distribution with mean 3. The truth is the score of a very large test set.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.core import Array, Example, Metric, Readout, example_metric
from benchmark.metrics import find
from benchmark.stats.bootstrap import score

Data = Callable[[np.random.Generator, Array], tuple[Any, Any]]
"""From the unit of each answer to predictions and labels."""
LARGE = 100_000
CLASS, NUMBER = Readout("protein", "classification", 2), Readout("protein", "regression")


@example_metric(higher_is_better=False, scale="log")
def mae(predictions: Any, examples: Any) -> Array:
    return np.abs(np.stack(predictions) - np.stack([e.label for e in examples]))


P_AT_L5 = replace(find("p_at_l5"), fn=lambda predictions, examples: np.array(predictions))
"""Of predictions that are each protein's precision."""


def correlated(rng: np.random.Generator, unit: Array) -> Array:
    """Standard normal, with a correlation of 0.3 within units."""
    own = rng.normal(size=len(unit))
    return np.sqrt(0.3) * rng.normal(size=unit.max() + 1)[unit] + np.sqrt(0.7) * own


def classes(right: float, positive: float = 0.5) -> Data:
    def make(rng: np.random.Generator, unit: Array) -> tuple[Any, Any]:
        label = (rng.random(len(unit)) < positive).astype(int)
        is_right = correlated(rng, unit) < norm.ppf(right)
        return np.where(is_right, label, 1 - label), label

    return make


def ranking(area: float, positive: float = 0.5) -> Data:
    def make(rng: np.random.Generator, unit: Array) -> tuple[Any, Any]:
        label = (rng.random(len(unit)) < positive).astype(int)
        return correlated(rng, unit) + np.sqrt(2) * norm.ppf(area) * label, label

    return make


def numbers(correlation: float) -> Data:
    def make(rng: np.random.Generator, unit: Array) -> tuple[Any, Any]:
        label, noise = correlated(rng, unit), correlated(rng, unit)
        return correlation * label + np.sqrt(1 - correlation**2) * noise, label

    return make


def surprise(rng: np.random.Generator, unit: Array) -> tuple[Any, Any]:
    """Log-probabilities of residues, whose mean differs between proteins."""
    mean = rng.gamma(8, 0.3, unit.max() + 1)[unit]
    return -mean * rng.gamma(20, 1 / 20, len(unit)), np.zeros(len(unit))


def contacts(rng: np.random.Generator, unit: Array) -> tuple[Any, Any]:
    """Precisions of proteins with 10 to 60 pairs each."""
    pairs = rng.integers(10, 61, len(unit))
    share = norm.cdf(0.7 * correlated(rng, unit) - 0.5)
    return rng.binomial(pairs, share) / pairs, np.zeros(len(unit))


AREAS = [find("roc_auc"), find("pr_auc")]
MEANS = [find("balanced_accuracy"), find("f1_macro")]
FAMILIES: dict[str, tuple[Data, list[Metric], Readout]] = {
    "share 0.7": (classes(0.7), [find("accuracy"), find("mcc")], CLASS),
    "share 0.9": (classes(0.9), [find("accuracy"), find("f1_macro")], CLASS),
    "share 0.9, a tenth positive": (classes(0.9, 0.1), MEANS, CLASS),
    "area 0.85, a tenth positive": (ranking(0.85, 0.1), AREAS, CLASS),
    "area 0.7": (ranking(0.7), [find("roc_auc"), find("pr_auc")], CLASS),
    "area 0.9": (ranking(0.9), [find("roc_auc"), find("pr_auc")], CLASS),
    "numbers 0.6": (numbers(0.6), [find("spearman"), find("rmse"), find("r2"), mae], NUMBER),
    "numbers 0.9": (numbers(0.9), [find("spearman"), find("pearson"), find("r2")], NUMBER),
    "perplexity": (surprise, [find("perplexity")], NUMBER),
    "p_at_l5": (contacts, [P_AT_L5], NUMBER),
}


@cache
def true_scores(family: str) -> dict[str, float]:
    make, metrics, _ = FAMILIES[family]
    predictions, labels = make(np.random.default_rng(0), np.arange(LARGE))
    rows = examples(labels, np.arange(LARGE))
    return {metric.name: float(metric.scores(predictions, rows)[0]) for metric in metrics}


def coverage(family: str, units: int, unequal: bool, count: int) -> dict[str, float]:
    """Of each metric the share of intervals that hold the truth.

    A metric that compares classes needs units of each class.
    """
    make, metrics, readout = FAMILIES[family]
    each = units / (10 if "tenth" in family else 2)
    metrics = [m for m in metrics if each > getattr(m, "fewest", 0)]
    rng = np.random.default_rng(units)
    held: dict[str, list[bool]] = {metric.name: [] for metric in metrics}
    truth = true_scores(family)
    for seed in range(count):
        sizes = rng.geometric(1 / 3, units) if unequal else np.ones(units, int)
        unit = np.repeat(np.arange(units), sizes)
        predictions, labels = make(rng, unit)
        found = score(metrics, list(predictions), examples(labels, unit), readout, seed)
        for name, (low, high) in found.intervals.items():
            held[name].append(low <= truth[name] <= high)
    assert all(len(found) > 0.7 * count for found in held.values()), "most scores have an interval"
    return {name: float(np.mean(found)) for name, found in held.items()}


def examples(labels: Any, unit: Array) -> list[Example]:
    groups = [str(u) for u in unit]
    return [Example(("A",), label, "", group) for label, group in zip(labels, groups, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "units"),
    [
        ("share 0.9", 100),
        ("share 0.9, a tenth positive", 350),
        ("area 0.85, a tenth positive", 120),
    ],
)
def test_coverage_where_classes_are_compared(family: str, units: int) -> None:
    """As below, with hardly more units of a class than an interval needs."""
    found = coverage(family, units, False, 2000)
    print(f"{family}, {units} units: {found}")
    assert set(found) >= {metric.name for metric in FAMILIES[family][1]}
    assert all(0.925 - 2 * np.sqrt(0.05 * 0.95 / 2000) <= held <= 0.985 for held in found.values())


@pytest.mark.slow
@pytest.mark.parametrize(("units", "unequal"), [(10, False), (10, True), (30, True)])
@pytest.mark.parametrize("family", FAMILIES)
def test_coverage(family: str, units: int, unequal: bool) -> None:
    """At least 92.5 %, from 30 units on at most 97.5 %, within two errors of 4,000 simulations."""
    error = np.sqrt(0.05 * 0.95 / 4000)
    for name, held in coverage(family, units, unequal, 4000).items():
        print(f"{family}, {units} units: {name} {held:.1%}")
        assert held >= 0.925 - 2 * error, name
        assert held <= 0.975 + 2 * error or units < 30, name


@pytest.mark.parametrize("family", FAMILIES)
def test_coverage_in_few_simulations(family: str) -> None:
    for name, held in coverage(family, 30, False, 150).items():
        assert 0.90 <= held <= 0.995, name
