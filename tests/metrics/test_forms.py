"""The three forms of metrics: what a score is, and which functions are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import (
    Array,
    ExampleMetric,
    Metric,
    Readout,
    UserError,
    corpus_metric,
    example_metric,
    has_answer,
    known_answers,
    metric,
    set_metric,
)
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from tests.metrics.cases import ALL, TOLERANCE, N, example_of, repeated, score

EXAMPLE_METRICS = [each for each in ALL.values() if isinstance(each, ExampleMetric)]
BOTH_FORMS = r"old form \(predictions, labels, weights\); write @example_metric\(.*@corpus_metric\("


def form(made: Any, **settings: Any) -> Any:
    return lambda fn: made(higher_is_better=True, **settings)(fn)


@pytest.mark.parametrize("each", EXAMPLE_METRICS, ids=lambda m: m.name)
def test_a_score_is_the_finished_weighted_mean_of_the_values(each: ExampleMetric) -> None:
    """By hand from the values, and from the metric itself on repeated rows."""
    predictions, labels = example_of(each)
    found = each.values(predictions, labelled(*labels))
    counts = np.random.default_rng(0).integers(0, 3, (4, N))
    defined = ~np.isnan(found.values)
    for row, value in zip(counts, score(each, predictions, labels, counts), strict=True):
        mean = np.average(found.values[defined], weights=(row * found.sizes)[defined])
        assert value == pytest.approx(each.finish(mean), TOLERANCE)
        corpus = score(each, repeated(predictions, row), repeated(labels, row))
        assert value == pytest.approx(corpus[0], TOLERANCE)


def test_sizes_weigh_values_and_undefined_values_are_left_out() -> None:
    @example_metric(higher_is_better=False, finish=np.sqrt)
    def mine(predictions: Any, examples: Any) -> tuple[Array, Array]:
        return np.array([4.0, np.nan, 1.0]), np.array([1, 7, 3])

    weights = np.array([[1, 1, 1], [0, 5, 0], [2, 0, 0]])
    found = mine.scores([0] * 3, labelled(0, 0, 0), weights)
    np.testing.assert_allclose(found, [np.sqrt(7 / 4), np.nan, 2])
    assert mine.values([0] * 3, labelled(0, 0, 0)).sizes.tolist() == [1, 0, 3]


def test_a_metric_sees_examples() -> None:
    @example_metric(higher_is_better=True)
    def length(predictions: Any, examples: Any) -> list[int]:
        return [len(example.chains[0]) for example in examples]

    two = [e._replace(chains=("ACD" * k,)) for k, e in enumerate(labelled(0, 0), 1)]
    assert length.scores([0, 0], two) == 4.5


def test_a_set_metric_is_scored_on_a_fixed_subsample() -> None:
    @set_metric(higher_is_better=None, size=5)
    def distinct(predictions: Any, examples: Any) -> float:
        assert len(predictions) == len(examples) == 5
        return 100 * len(set(map(float, predictions))) / 5

    rows = labelled(*range(12))
    predictions = [float(i // 2) for i in range(12)]
    drawn = distinct.subsample(rows)
    assert len(set(drawn)) == 5 and drawn != list(range(5))
    expected = 100 * len({predictions[row] for row in drawn}) / 5
    assert distinct.scores(predictions, rows) == expected
    assert distinct.scores(predictions[::-1], rows[::-1]) == expected, "in any order of rows"
    assert np.isnan(distinct.scores(predictions[:4], rows[:4])), "fewer than 5 examples"
    with pytest.raises(ValueError, match="not defined under resampling"):
        distinct.scores(predictions, rows, np.ones((3, 12), np.int64))
    with pytest.raises(UserError, match="size=0 of the metric distinct; give 1 or more"):
        set_metric(higher_is_better=None, size=0)(distinct.fn)


WRONG = {
    "example, one value": (example_metric, lambda p, e: 1.0, r"values of shape \(\)"),
    "example, too many": (example_metric, lambda p, e: [0.0] * (len(e) + 1), r"of shape \(4,\)"),
    "example, sizes": (example_metric, lambda p, e: ([0.0] * 3, [1.0]), r"sizes of shape \(1,\)"),
    "example, negative": (example_metric, lambda p, e: ([0.0] * 3, [-1] * 3), "negative"),
    "corpus, one value": (corpus_metric, lambda p, e, w: 1.0, r"one score for each row .*\(2,\)"),
    "corpus, by example": (corpus_metric, lambda p, e, w: [1.0] * 3, r"returned the shape \(3,\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_is_refused(name: str) -> None:
    made, fn, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        form(made)(fn).scores([0] * 3, labelled(0, 0, 0), np.ones((2, 3), np.int64))


def test_a_set_metric_returns_a_single_number() -> None:
    with pytest.raises(ValueError, match="return a single number"):
        form(set_metric)(lambda p, e: [1.0]).scores([0], labelled(0))


def old(predictions: Any, labels: Any, weights: Any) -> Any:
    """A metric of version 0.1."""


def test_old_forms_are_refused_with_both_new_ones() -> None:
    for made in (metric, example_metric, corpus_metric, set_metric):
        with pytest.raises(UserError, match=f"the metric old has the {BOTH_FORMS}"):
            form(made)(old)
    with pytest.raises(UserError, match=BOTH_FORMS):
        Metric("old", old, True, 1)
    with pytest.raises(UserError, match=r"write accuracy.scores\(predictions, examples, weights"):
        ALL["accuracy"]([0.5], [1])
    with pytest.raises(UserError, match=r"takes \(p, e, w\); write @example_metric"):
        form(example_metric)(lambda p, e, w: 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(predictions, labels, weights): ...", BOTH_FORMS),
        ("from benchmark.core import metric\n@metric(higher_is_better=True)\n"
         "def f(predictions, labels, weights): ...", BOTH_FORMS),
        ("def f(predictions, examples): ...", "is a function, not a metric; write @example_metric"),
        ("f = 3", "is a int, not a metric"),
        ("def f(:", "cannot be imported .SyntaxError"),
        ("g = 1", "cannot be imported .AttributeError"),
    ],
)  # fmt: skip
def test_find_refuses_what_is_no_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    name = f"wrong{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message):
        find(f"{name}.f")


def test_known_answers_are_by_kind_and_level_not_by_shape() -> None:
    labels = Readout("residue", "multilabel", 2)
    assert not has_answer(np.full((5, 2), -1), labels), "two labels, all unknown: no pairs"
    assert has_answer(np.array([[-1, -1], [0, -1]]), labels)
    pairs = Readout("pair", "classification", 2)
    assert has_answer(np.empty((0, 2), np.int32), pairs), "no contact is an answer"
    assert known_answers(np.array([-1.0, np.nan]), Readout("residue", "regression")).tolist() == [
        True,
        False,
    ]
    assert known_answers(np.array([-1, 0]), Readout("residue", "classification", 2)).tolist() == [
        False,
        True,
    ]
