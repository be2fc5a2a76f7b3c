"""Metrics where answers are few, constant, tied, infinite or many."""

import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as sk

from benchmark.core import Array
from benchmark.metrics import classification, ranking, regression, secondary_structure
from benchmark.metrics import perplexity as expected_residues
from benchmark.metrics.answers import BLOCK
from benchmark.metrics.secondary_structure import DSSP3, DSSP8
from tests.metrics.cases import ALL, BINARY, REAL, TOLERANCE, f1, score


def test_one_class_and_constants_are_nan_in_their_resample_only() -> None:
    classes, predictions = [0, 0, 1, 1], [0.1, 0.1, 0.1, 0.9]
    weights = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0]])
    expected = {
        "roc_auc": [False, True, True, False],
        "pr_auc": [False, True, True, False],
        "mcc": [False, True, True, True],
        "spearman": [False, True, True, True],
        "pearson": [False, True, True, True],
        "r2": [False, True, True, False],
        "rmse": [False, False, False, False],
        "accuracy": [False, False, False, False],
        "balanced_accuracy": [False, False, False, False],
    }
    for name, undefined in expected.items():
        real = ALL[name] in vars(regression).values()
        labels = [float(label) for label in classes] if real else classes
        scores = score(ALL[name], predictions, labels, weights)
        assert np.isnan(scores).tolist() == undefined, name


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, -7e-9])
def test_a_constant_is_nan_whatever_its_rounding(value: float) -> None:
    rng = np.random.default_rng(0)
    constant, other = [value] * 37, list(rng.normal(size=37))
    weights = rng.integers(0, 4, (20, 37))
    for metric in (regression.pearson, regression.spearman):
        assert np.isnan(score(metric, constant, other, weights)).all()
        assert np.isnan(score(metric, other, constant, weights)).all()
    assert np.isnan(score(regression.r2, other, constant, weights)).all()


def test_an_outlier_outside_the_resample_costs_no_precision() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50))
    x[0] = 1e12
    weights = np.ones((1, 50), dtype=np.int64)
    weights[0, 0] = 0
    expected = stats.pearsonr(x[1:], y[1:])[0]
    assert score(regression.pearson, list(x), list(y), weights) == pytest.approx(
        expected, TOLERANCE
    )


@pytest.mark.parametrize("name", ["spearman", "pearson", "r2", "mcc"])
def test_a_negative_score_stays_negative(name: str) -> None:
    if name == "mcc":
        predictions, labels = BINARY.make(0)
        labels = [1 - y for y in labels]
        negative, positive = (
            score(ALL[name], predictions, labels),
            score(ALL[name], *BINARY.make(0)),
        )
    else:
        predictions, labels = REAL.make(0)
        positive, negative = (
            score(ALL[name], predictions, labels),
            score(ALL[name], [-p for p in predictions], labels),
        )
    assert negative[0] < 0
    if name != "r2":
        assert negative == pytest.approx(-positive, TOLERANCE)


def test_a_score_below_chance_stays_below() -> None:
    predictions, labels = BINARY.make(0)
    up = score(ranking.roc_auc, predictions, labels)[0]
    assert up > 0.5
    assert score(ranking.roc_auc, [-p for p in predictions], labels)[0] == pytest.approx(
        1 - up, TOLERANCE
    )


def test_a_label_without_both_sides_is_left_out_of_the_mean() -> None:
    labels = [np.array([0, 1, -1]), np.array([1, 1, 0]), np.array([1, 1, 1])]
    predictions = [np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.5, 0.3]), np.array([0.9, 0.5, 0.4])]
    weights = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0]])
    scores = score(ranking.roc_auc_macro, predictions, labels, weights)
    np.testing.assert_array_equal(scores, [(0.5 + 1) / 2, 0, np.nan])


def test_classes_never_predicted_or_never_labelled() -> None:
    p, y = np.array([0, 0, 3, 3, 1]), np.array([0, 2, 3, 0, 1])
    predictions = list(np.eye(6)[p])
    for metric, reference in [
        (classification.f1_macro, f1("macro")),
        (classification.f1_weighted, f1("weighted")),
        (classification.balanced_accuracy, sk.balanced_accuracy_score),
        (classification.mcc, sk.matthews_corrcoef),
    ]:
        weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 0, 3], [0, 1, 1, 1, 0]])
        for w in weights:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # y_pred contains classes not in y_true
                expected = reference(np.repeat(y, w), np.repeat(p, w))
            found = score(metric, predictions, list(y), w[None])
            assert found == pytest.approx(expected, TOLERANCE), (metric.name, w)


def test_a_binary_tie_is_class_0_as_it_is_with_two_probabilities() -> None:
    p, y = [0.5, 0.5, 0.6], [0, 1, 1]
    two = [np.array([1 - each, each]) for each in p]
    assert score(classification.accuracy, p, y) == score(classification.accuracy, two, y) == 2 / 3


def peak_mb(run: Callable[[], object]) -> float:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def test_memory_with_many_classes() -> None:
    rng = np.random.default_rng(0)
    n, k = 1000, 1195
    labels = list(rng.integers(0, k, n))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=100)
    predictions = list(np.eye(k, dtype=np.float32)[labels])
    assert (score(classification.f1_macro, predictions, labels, weights) == 1).all()
    # the predictions once more, and a few of (100, k); a table of (n, k) for each count is 29 MB
    assert peak_mb(lambda: score(classification.f1_macro, predictions, labels, weights)) < 15


@pytest.mark.parametrize("name", ["f1_macro", "q3_per_protein", "roc_auc", "spearman"])
def test_memory_with_many_residues(name: str) -> None:
    rng = np.random.default_rng(0)
    n, length, resamples = 100, 1000, 200
    wide = name in ("f1_macro", "q3_per_protein")
    predictions = list(rng.random((n, length, 8) if wide else (n, length), dtype=np.float32))
    labels = list(rng.integers(0, 8 if wide else 2, (n, length)))
    if name == "spearman":
        labels = [label.astype(float) for label in labels]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    # one array of a number per resample and residue would be 160 MB
    assert peak_mb(lambda: score(ALL[name], predictions, labels, weights)) < 20


def test_blocks_of_resamples_are_joined() -> None:
    rng = np.random.default_rng(0)
    n = BLOCK // 3
    x, y = rng.normal(size=(2, n))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=5)
    assert len(score(regression.spearman, x, y, weights)) == 5
    for row in (0, 4):
        a, b = np.repeat(x, weights[row]), np.repeat(y, weights[row])
        expected = stats.spearmanr(a, b)[0]
        assert score(regression.spearman, x, y, weights)[row] == pytest.approx(expected, TOLERANCE)


def test_ranking_needs_labels_0_and_1() -> None:
    with pytest.raises(ValueError, match="needs labels 0 and 1"):
        score(ranking.roc_auc, [0.1, 0.2, 0.3], [0, 1, 2])


@pytest.mark.parametrize("labels", [[0.0, 1.0, np.nan], [-2.0, 0.5, 3.0]])
def test_classes_and_real_numbers_are_not_taken_for_each_other(labels: list[float]) -> None:
    """Real ones would be cut to whole ones, and an unknown class would be the number -1."""
    for name in ("accuracy", "mcc", "f1_macro", "balanced_accuracy", "roc_auc", "pr_auc"):
        with pytest.raises(ValueError, match="labels are real numbers; this metric is for classes"):
            score(ALL[name], [0.1, 0.2, 0.3], labels)
    for name in ("spearman", "pearson", "r2", "rmse"):
        with pytest.raises(ValueError, match="labels are classes; this metric is for real numbers"):
            score(ALL[name], [0.1, 0.2, 0.3], [0, 1, -1])


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="one number each"):
        score(regression.spearman, [np.zeros(2)], [0.0])
    with pytest.raises(ValueError, match="example 0 is infinite"):
        score(regression.rmse, [np.inf], [0.0])
    with pytest.raises(ValueError, match="example 1 is above log 1"):
        score(
            expected_residues.perplexity, [np.zeros(1), np.full(1, 0.5)], [np.zeros(1), np.zeros(1)]
        )
    for metric in (expected_residues.single_pass_pseudo_perplexity, expected_residues.perplexity):
        assert score(metric, [np.full(2, 1e-7)], [np.zeros(2)]) == pytest.approx(1, abs=1e-6)
        with pytest.raises(ValueError, match="example 0 is above log 1"):
            score(metric, [np.full(1, 0.5)], [np.zeros(1)])
    with pytest.raises(ValueError, match="label 3 for predictions of 3 classes"):
        score(classification.accuracy, [np.eye(3)[0]], [3])
    with pytest.raises(ValueError, match="last axis"):
        score(ranking.roc_auc_macro, [0.1, 0.2], [0, 1])
    with pytest.raises(ValueError, match=r"needs \(L, 8\)"):
        score(secondary_structure.q8, [np.eye(3)], [np.arange(3)])
    with pytest.raises(ValueError, match=r"needs \(L, 3\) or \(L, 8\)"):
        score(secondary_structure.q3, [np.eye(4)], [np.arange(4)])


def test_infinite_predictions_can_be_ranked() -> None:
    assert score(regression.spearman, [-np.inf, 0.0, np.inf], [1.0, 2.0, 3.0]) == 1


def test_minus_one_is_a_real_number() -> None:
    assert score(regression.rmse, [0.0, 0.0], [-1.0, np.nan]) == 1
    assert score(regression.rmse, [0, 0], [-1.0, -1.0]) == 1


def test_dssp_orders() -> None:
    assert (DSSP8, DSSP3) == ("GHIBESTC", "HEC")
    mapped = "".join(DSSP3[i] for i in secondary_structure.THREE_OF_EIGHT)
    assert dict(zip(DSSP8, mapped, strict=True)) == dict(
        G="H", H="H", I="H", B="E", E="E", S="C", T="C", C="C"
    )


def test_a_protein_without_known_residues_does_not_count() -> None:
    labels = [np.array([0, 1]), np.array([-1, -1]), np.array([2, -1])]
    predictions = [np.eye(3)[[0, 0]], np.eye(3)[[0, 0]], np.eye(3)[[2, 0]]]
    weights = np.array([[1, 5, 1], [0, 1, 0], [3, 1, 1]])
    scores = score(secondary_structure.q3_per_protein, predictions, labels, weights)
    np.testing.assert_array_equal(scores, [0.75, np.nan, 2.5 / 4])


values = arrays(np.float64, 12, elements=st.integers(-3, 3).map(float))


@settings(max_examples=100, deadline=None)
@given(values, values, arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_spearman_of_any_ties(x: Array, y: Array, weights: Array) -> None:
    found = score(regression.spearman, list(x), list(y), weights[None])
    a, b = np.repeat(x, weights), np.repeat(y, weights)
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a, b)[0], TOLERANCE, TOLERANCE)


@settings(max_examples=100, deadline=None)
@given(
    values,
    arrays(np.int64, 12, elements=st.integers(0, 1)),
    arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_areas_of_any_ties(x: Array, y: Array, weights: Array) -> None:
    roc, pr = (score(m, list(x), list(y), weights[None]) for m in (ranking.roc_auc, ranking.pr_auc))
    a, b = np.repeat(x, weights), np.repeat(y, weights)
    if len(np.unique(b)) < 2:
        assert np.isnan(roc)
        assert np.isnan(pr)
    else:
        assert roc == pytest.approx(sk.roc_auc_score(b, a), TOLERANCE)
        assert pr == pytest.approx(sk.average_precision_score(b, a), TOLERANCE)


@settings(max_examples=50, deadline=None)
@given(values, values, st.sampled_from(["spearman", "pearson"]))
def test_correlations_change_sign_with_the_prediction(x: Array, y: Array, name: str) -> None:
    up, down = score(ALL[name], list(x), list(y)), score(ALL[name], list(-x), list(y))
    np.testing.assert_allclose(up, -down, TOLERANCE, TOLERANCE)
