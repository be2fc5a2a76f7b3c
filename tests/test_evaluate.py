"""Scores are whole, intervals cover what they claim, a test label changes only the score."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmark.core import (
    Array,
    Backbone,
    Chains,
    Example,
    Method,
    Predictor,
    Readout,
    Splits,
    UserError,
)
from benchmark.evaluate import evaluate, limited, resamples, score
from benchmark.metrics import find
from tests.conftest import make_task


class Oracle(Method):
    """Predicts the number of W, whatever it was taught."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer or (lambda chains: np.asarray(float(chains[0].count("W"))))
        self.seen: list[Any] = []

    def fit(
        self, backbone: Backbone, readout: Readout, train: Any, valid: Any, seed: int
    ) -> Predictor:
        self.seen = [*train, *valid]

        def predict(questions: Sequence[Chains]) -> list[Array]:
            return [self.answer(chains) for chains in questions]

        return Predictor(predict, {})


def examples(count: int, group_size: int = 1) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            ("W" * int(w) + "A",), np.asarray(w + rng.normal()), f"{i:03d}", str(i // group_size)
        )
        for i, w in enumerate(rng.integers(1, 9, count))
    ]


def run(test: list[Example], method: Method, train: list[Example] | None = None) -> Any:
    task = make_task("pocket_metal", "task.kind=real", "task.size=1")
    splits = Splits(train or examples(9), examples(3), {"test": test}, {})
    metrics = [find("pearson"), find("rmse")]
    return evaluate(task, splits, None, method, metrics, 0).tests["test"]  # type: ignore[arg-type]


def test_a_poisoned_test_label_changes_nothing_but_the_score() -> None:
    test = examples(50)
    poisoned = [example._replace(label=np.asarray(1e6)) for example in test[:1]] + test[1:]
    a, b = Oracle(), Oracle()
    clean, dirty = run(test, a), run(poisoned, b)

    assert clean.predictions == dirty.predictions
    assert clean.scores != dirty.scores
    assert [e.id for e in a.seen] == [e.id for e in b.seen]


def test_every_example_is_scored_or_the_run_fails() -> None:
    assert run(examples(50), Oracle()).scored == 50
    with pytest.raises(UserError, match="shape"):
        run(examples(5), Oracle(lambda chains: np.zeros(2)))
    with pytest.raises(UserError, match="not finite"):
        run(examples(5), Oracle(lambda chains: np.asarray(np.nan)))

    class Forgetful(Oracle):
        def fit(self, *parts: Any) -> Predictor:
            return Predictor(lambda questions: [np.asarray(1.0)] * (len(questions) - 1), {})

    with pytest.raises(UserError, match="4 predictions for the 5 examples"):
        run(examples(5), Forgetful())


def test_intervals_by_unit() -> None:
    """Copies in one unit add no certainty; fewer than ten units give no interval."""
    single = examples(40)
    copied = [e._replace(id=f"{e.id}{k}") for e in single for k in range(10)]
    apart = [e._replace(group=e.id) for e in copied]
    truth = run(single, Oracle()).intervals["pearson"]
    together = run(copied, Oracle()).intervals["pearson"]
    wrong = run(apart, Oracle()).intervals["pearson"]

    assert together == pytest.approx(truth, abs=1e-9)
    assert wrong[1] - wrong[0] < (truth[1] - truth[0]) / 2
    assert run(examples(45, group_size=5), Oracle()).intervals == {}


def test_interval_of_a_mean_is_the_textbooks() -> None:
    """Accuracy of n independent answers: close to p plus or minus 1.96 standard errors."""
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.7
    labels = [Example(("A",), np.asarray(int(r)), f"{i}", f"{i}") for i, r in enumerate(right)]
    found = score([find("accuracy")], [np.asarray(1.0)] * 2000, labels, 0)
    p = right.mean()
    error = 1.96 * np.sqrt(p * (1 - p) / 2000)

    assert found.intervals["accuracy"] == pytest.approx((p - error, p + error), abs=0.004)


def test_resamples_are_whole_units_seeded_and_complete() -> None:
    unit = np.array([0, 0, 1, 2, 2, 2])
    weights = np.concatenate(list(resamples(unit, 3, seed=1)))

    assert weights.shape == (1000, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert weights[:, 2].mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(weights, np.concatenate(list(resamples(unit, 3, seed=1))))


def test_limit_takes_the_same_examples_in_any_order() -> None:
    test = examples(30)
    splits = Splits(test, test, {"test": test}, {})
    turned = Splits(test[::-1], test[::-1], {"test": test[::-1]}, {})

    assert len(limited(splits, 10).train) == 10
    assert limited(splits, 10).train == limited(turned, 10).train[::-1]
    assert limited(splits, None) is splits
