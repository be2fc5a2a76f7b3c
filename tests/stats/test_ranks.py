"""Ranks, their intervals, and shares of wins."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata

from benchmark.core import Array
from benchmark.stats.ranks import FEWEST_TASKS, ranks, share_of_wins, task_intervals, unit_intervals
from tests.stats.test_paired import model


def test_ranks_are_those_of_scipy() -> None:
    scores = np.random.default_rng(0).integers(0, 5, (7, 30)).astype(float)
    np.testing.assert_array_equal(ranks(scores), rankdata(-scores, axis=0))


def test_share_of_wins_by_counting() -> None:
    scores = np.random.default_rng(0).integers(0, 4, (5, 6)).astype(float)
    wins = np.zeros(5)
    for a, b in combinations(range(5), 2):
        wins[a] += (scores[a] > scores[b]).sum() + (scores[a] == scores[b]).sum() / 2
        wins[b] += (scores[b] > scores[a]).sum() + (scores[a] == scores[b]).sum() / 2
    np.testing.assert_allclose(share_of_wins(scores), wins / (4 * 6))
    assert share_of_wins(scores[:1]) == [0]


def test_intervals_unit_intervals_are_those_of_a_bootstrap_with_replacement() -> None:
    """Of four models two differ by less than their errors, and one is far behind."""
    rng = np.random.default_rng(0)
    protein = rng.normal(size=400)
    values = np.stack([protein + shift + rng.normal(size=400) for shift in (1.03, 1.0, 0.8, -1)])
    runs = [model(row) for row in values]
    found = unit_intervals(values.mean(axis=1), np.stack([run.draws[0] for run in runs]))

    drawn = values[:, rng.integers(0, 400, (400, 2000))].mean(axis=1)
    reference = rankdata(-drawn, axis=0)
    np.testing.assert_allclose(found, np.quantile(reference, [0.025, 0.975], axis=1).T, atol=0.5)
    assert found[0].tolist() == [1, 2] and found[3].tolist() == [4, 4]


def test_intervals_task_intervals() -> None:
    rng = np.random.default_rng(0)
    swing = np.tile([0.01, -0.01], 4)
    scores: Array = np.stack([0.6 + swing, 0.601 - swing, np.full(8, 0.1)])
    found = task_intervals(scores)

    assert found is not None
    assert found.tolist() == [[1, 2], [1, 2], [3, 3]]
    drawn = rankdata(-scores[:, rng.integers(0, 8, (8, 4000))].mean(axis=1), axis=0)
    np.testing.assert_allclose(found, np.quantile(drawn, [0.025, 0.975], axis=1).T, atol=0.5)
    assert task_intervals(scores[:, : FEWEST_TASKS - 1]) is None


@pytest.mark.parametrize("equal", [True, False])
def test_models_with_the_same_answers_share_a_rank(equal: bool) -> None:
    values = np.random.default_rng(0).normal(size=(2, 50))
    values[1] = values[0] if equal else values[0] + 1
    runs = [model(row) for row in values]
    found = unit_intervals(values.mean(axis=1), np.stack([run.draws[0] for run in runs]))
    assert found.tolist() == ([[1.5, 1.5]] * 2 if equal else [[2, 2], [1, 1]])
