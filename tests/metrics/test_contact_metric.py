"""Contact precision against a count by hand, pair by pair."""

import math
import warnings

import numpy as np
import pytest

from benchmark.core import Array, Metric
from benchmark.metrics.contact import KEPT, RANGES, hits, p_at_l5, rank_pairs
from tests.metrics.cases import CONTACT_METRICS, score

BOUNDS = {"short": (6, 11), "medium": (12, 23), "long": (24, 10**9)}
METRICS = pytest.mark.parametrize("metric", CONTACT_METRICS, ids=lambda m: m.name)


def protein(length: int, seed: int, levels: int = 6) -> tuple[Array, Array]:
    """Scores of few different values, so that ties are common; a label with near pairs too."""
    rng = np.random.default_rng([length, seed])
    scores = np.triu(rng.integers(0, levels, (length, length)) / levels)
    touching = np.triu(rng.random((length, length)) < 0.2)
    return scores + np.triu(scores, 1).T, np.argwhere(touching | np.eye(length, dtype=bool))


def by_hand(scores: Array, label: Array, name: str, min_separation: int) -> float:
    """P@L/n of one protein; shares no code with the metric."""
    words = name.split("_")
    divisor = int(words[2][1:] or 1)
    first, last = BOUNDS[words[3]] if len(words) > 3 else (min_separation, 10**9)
    length, contacts = len(scores), {(int(i), int(j)) for i, j in label}
    pairs = [
        (-float(scores[i, j]), i, j)
        for i in range(length)
        for j in range(i + 1, length)
        if first <= j - i <= last
    ]
    top = sorted(pairs)[: max(1, length // divisor)]
    return sum((i, j) in contacts for _, i, j in top) / len(top) if top else math.nan


def test_names_and_order() -> None:
    names = [f"p_at_l{n}{r}" for r in ("", "_short", "_medium", "_long") for n in ("5", "2", "")]
    assert [m.name for m in CONTACT_METRICS] == names
    assert all(m.higher_is_better for m in CONTACT_METRICS)


@METRICS
@pytest.mark.parametrize("min_separation", [1, 7, 24])
def test_agrees_with_a_count_by_hand(metric: Metric, min_separation: int) -> None:
    proteins = [protein(length, seed) for seed, length in enumerate([1, 3, 8, 14, 26, 31, 47])]
    kept = [rank_pairs(scores, min_separation) for scores, _ in proteins]
    labels = [label for _, label in proteins]
    each = np.array([by_hand(s, y, metric.name, min_separation) for s, y in proteins])
    weights = np.random.default_rng(0).integers(1, 4, (8, len(each)))
    defined = ~np.isnan(each)
    expected = [np.average(each[defined], weights=w[defined]) for w in weights]
    np.testing.assert_allclose(score(metric, kept, labels, weights), expected, 1e-12)
    # one protein at a time, so that every length counts
    for k, y, value in zip(kept, labels, each, strict=True):
        np.testing.assert_allclose(score(metric, [k], [y]), [value], 1e-12)


@METRICS
def test_perfect_scores_give_1_and_negated_ones_less(metric: Metric) -> None:
    length = 60
    rng = np.random.default_rng(0)
    label = np.argwhere(np.triu(rng.random((length, length)) < 0.5, 1))
    touching = np.zeros((length, length))
    touching[label[:, 0], label[:, 1]] = touching[label[:, 1], label[:, 0]] = 1
    assert score(metric, [rank_pairs(touching, 7)], [label]) == 1
    assert score(metric, [rank_pairs(-touching, 7)], [label]) == 0


def test_length_is_that_of_the_chain_not_of_a_padded_matrix() -> None:
    """Padding to 512 would ask for 102 pairs where a chain of 100 has 20 (PFMBench's error)."""
    scores, label = protein(100, 0, levels=10**6)
    kept = rank_pairs(scores, 7)
    assert set(kept["length"]) == {100}
    padded = np.full((512, 512), scores.min())
    padded[:100, :100] = scores
    # what was padded is another chain: it says so, and residues there are ranked like any other
    assert set(rank_pairs(padded, 7)["length"]) == {512}
    assert score(p_at_l5, [kept], [label]) == by_hand(scores, label, "p_at_l5", 7)
    assert (kept["j"] < 100).all()


def test_ties_go_by_position() -> None:
    kept = rank_pairs(np.zeros((30, 30)), 7)
    everything = kept[kept["range"] == 0]
    expected = [(i, j) for i in range(30) for j in range(i + 7, 30)][:30]
    assert list(zip(everything["i"].tolist(), everything["j"].tolist(), strict=True)) == expected


def test_scores_that_differ_only_beyond_float32_are_ties() -> None:
    scores = np.zeros((9, 9))
    scores[1, 8] = 1e-60
    kept = rank_pairs(scores, 7)
    assert kept["i"].tolist()[:2] == [0, 0]


def test_the_table_of_kept_pairs() -> None:
    scores, _ = protein(50, 3)
    kept = rank_pairs(scores, 7)
    assert kept.dtype == KEPT
    assert list(RANGES) == ["all", "short", "medium", "long"]
    assert (np.diff(kept["range"]) >= 0).all()
    assert (kept["score"] == scores.astype(np.float32)[kept["i"], kept["j"]]).all()
    for index, (first, last) in enumerate([(7, 10**9), *BOUNDS.values()]):
        rows = kept[kept["range"] == index]
        separation = rows["j"] - rows["i"]
        assert len(rows) == 50
        assert ((first <= separation) & (separation <= last)).all()
        assert (np.diff(rows["score"]) <= 0).all()


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_chain_without_pairs_is_nan_and_left_out(length: int) -> None:
    none = rank_pairs(np.zeros((length, length)), 7)
    scores, label = protein(40, 0)
    empty = np.empty((0, 2), dtype=np.int32)
    full = rank_pairs(scores, 7)
    alone = score(p_at_l5, [full], [label])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(score(p_at_l5, [none], [empty]))
        assert score(p_at_l5, [none, full], [empty, label], np.array([[3, 1]])) == alone


def test_a_chain_without_contacts_scores_0() -> None:
    scores, _ = protein(40, 0)
    for empty in (np.empty((0, 2), dtype=np.int64), np.array([])):
        assert score(p_at_l5, [rank_pairs(scores, 7)], [empty.astype(np.int64)]) == 0


def test_near_contacts_and_the_diagonal_change_nothing() -> None:
    scores, label = protein(45, 1)
    far = label[label[:, 1] - label[:, 0] >= 7]
    assert len(far) < len(label)
    kept = rank_pairs(scores, 7)
    assert score(p_at_l5, [kept], [far]) == score(p_at_l5, [kept], [label])
    assert (hits(kept, far)[kept["range"] == 0] == hits(kept, label)[kept["range"] == 0]).all()


def test_hits_row_by_row() -> None:
    scores, label = protein(45, 2)
    kept = rank_pairs(scores, 7)
    contacts = {(int(i), int(j)) for i, j in label}
    expected = [(int(row["i"]), int(row["j"])) in contacts for row in kept]
    found = hits(kept, label)
    assert found.dtype == bool
    assert found.tolist() == expected
    assert hits(kept[:0], label).shape == (0,)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(L, L\)"):
        rank_pairs(np.zeros((4, 5)), 7)
    scores = np.zeros((20, 20))
    scores[2, 15] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        rank_pairs(scores, 7)
