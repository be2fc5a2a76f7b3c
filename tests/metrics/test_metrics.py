"""Every metric against its reference, and the guarantees of `benchmark.metrics` for all of them."""

import doctest
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from benchmark import metrics
from benchmark.core import Metric, UserError
from benchmark.metrics.answers import labelled
from tests.metrics.cases import (
    ALL,
    CASES,
    CONTACT_METRICS,
    EXPECTED,
    TOLERANCE,
    Kind,
    N,
    every_case,
    every_metric,
    example_of,
    one_per_residue,
    perfect_of,
    repeated,
    score,
)


def test_every_metric_is_covered() -> None:
    assert set(ALL) == {m.name for m, _, _ in CASES} | {m.name for m in CONTACT_METRICS}


@every_metric
def test_a_metric_is_found_by_its_name(metric: Metric) -> None:
    assert metrics.find(metric.name) is metric


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="no metric 'acuracy'; there are accuracy"):
        metrics.find("acuracy")


@pytest.mark.parametrize("name", sorted(set(ALL) - {m.name for m in CONTACT_METRICS}))
def test_every_docstring_has_an_example_that_holds(name: str) -> None:
    names = {"np": np, "labelled": labelled, name: ALL[name]}
    (test,) = doctest.DocTestFinder().find(ALL[name].fn, name, globs=names)
    assert test.examples
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@every_metric
def test_better_predictions_move_the_score_in_the_declared_direction(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    gain = score(metric, perfect_of(metric, predictions, labels), labels) - score(
        metric, predictions, labels
    )
    assert metric.higher_is_better is not None
    assert gain > 0 if metric.higher_is_better else gain < 0


@every_case
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_reference(
    metric: Metric, kind: Kind, reference: Callable[..., float], seed: int
) -> None:
    predictions, labels = kind.make(seed)
    assert score(metric, predictions, labels) == pytest.approx(
        reference(predictions, labels), TOLERANCE
    )


@every_case
def test_weights_are_repetition(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(3)
    weights = np.random.default_rng(3).multinomial(N, np.full(N, 1 / N), size=5)
    expected = [reference(repeated(predictions, w), repeated(labels, w)) for w in weights]
    np.testing.assert_allclose(score(metric, predictions, labels, weights), expected, TOLERANCE)


@every_metric
def test_weights_are_repetition_for_the_metric_itself(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    weights = np.random.default_rng(4).integers(0, 3, (6, N)).astype(np.int32)
    expected = [score(metric, repeated(predictions, w), repeated(labels, w))[0] for w in weights]
    np.testing.assert_allclose(score(metric, predictions, labels, weights), expected, TOLERANCE)


@every_metric
def test_order_of_examples_is_irrelevant(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    order = np.random.default_rng(5).permutation(N)
    shuffled = score(metric, [predictions[i] for i in order], [labels[i] for i in order])
    np.testing.assert_allclose(shuffled, score(metric, predictions, labels), TOLERANCE)


@every_case
def test_perfect_prediction_is_exactly_the_best(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(6)
    perplexity = kind is EXPECTED and metric.name != "bits_per_residue"
    best = 1.0 if metric.higher_is_better or perplexity else 0.0
    weights = np.random.default_rng(6).multinomial(N, np.full(N, 1 / N), size=5)
    assert (score(metric, kind.perfect(labels), labels, weights) == best).all()
    worse = score(metric, predictions, labels, weights)
    assert (worse < best if metric.higher_is_better else worse > best).all()


@every_case
def test_unknown_answers_are_never_scored(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(7)
    rng = np.random.default_rng(7)
    found = score(metric, predictions, labels)
    # whole examples: whatever is predicted there, the score is that of the others
    unknown = rng.random(N) < 0.3
    forgotten = [kind.forget(y, np.full(y.shape, u)) for y, u in zip(labels, unknown, strict=True)]
    without = [
        [v for v, u in zip(vs, unknown, strict=True) if not u] for vs in (predictions, labels)
    ]
    assert score(metric, predictions, forgotten) == pytest.approx(
        score(metric, *without), TOLERANCE
    )
    poisoned = [
        np.full(p.shape, np.nan) if u else p for p, u in zip(predictions, unknown, strict=True)
    ]
    assert score(metric, poisoned, forgotten) == pytest.approx(score(metric, *without), TOLERANCE)
    # single answers: more of them, all unknown, change nothing
    if kind.shapes is one_per_residue:
        longer_p = [np.concatenate([p, p[:1]]) for p in predictions]
        longer_y = [np.concatenate([y, kind.forget(y[:1], np.array([True]))]) for y in labels]
        assert score(metric, longer_p, longer_y) == pytest.approx(found, TOLERANCE)


@every_case
def test_nothing_to_score_is_nan(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(8)
    unknown = [kind.forget(y, np.full(y.shape, True)) for y in labels]
    assert np.isnan(
        score(metric, predictions, unknown, np.ones((2, N), dtype=np.int64))
    ).tolist() == [
        1,
        1,
    ]


@every_metric
def test_a_resample_of_nothing_is_nan(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    weights = np.ones((3, N), dtype=np.int64)
    weights[1] = 0
    assert np.isnan(score(metric, predictions, labels, weights)).tolist() == [False, True, False]
    assert np.isnan(score(metric, [], [])).tolist() == [True]


@every_metric
def test_no_warning_and_float64(metric: Metric) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score(metric, *example_of(metric))
    assert scores.shape == (1,)
    assert scores.dtype == np.float64


@every_case
def test_a_nan_prediction_is_refused(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(9)
    predictions[2] = np.full(predictions[2].shape, np.nan)
    with pytest.raises(ValueError, match="prediction of example 2 is NaN"):
        score(metric, predictions, labels)


@every_case
def test_a_wrong_shape_is_refused(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(9)
    with pytest.raises(ValueError, match="example 1: a prediction of shape"):
        score(metric, [predictions[0], np.zeros((2, 2, 2)), *predictions[2:]], labels)
    with pytest.raises(ValueError, match=f"{N - 1} predictions"):
        score(metric, predictions[1:], labels)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 41\)"):
        score(metric, predictions, labels, np.ones((1, N + 1), dtype=np.int64))
