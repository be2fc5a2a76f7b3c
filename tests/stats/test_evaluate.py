"""Scores are whole, intervals cover what they claim, a test label changes only the score."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.core import (
    Array,
    Chains,
    Example,
    FitContext,
    Method,
    Predictor,
    Readout,
    Splits,
    UserError,
    example_metric,
)
from benchmark.data.splits import cross_validate
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from benchmark.run.evaluation import evaluate, subset
from benchmark.stats.bootstrap import RESAMPLES, enough_units, mean, resamples, score
from benchmark.stats.seeds import estimate
from tests.conftest import make_task

NUMBER, BINARY = Readout("protein", "regression"), Readout("protein", "classification", 2)


class Oracle(Method):
    """Predicts the number of W, whatever it was taught."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer or (lambda chains: np.asarray(float(chains[0].count("W"))))
        self.seen: list[Any] = []

    def fit(self, train: Any, valid: Any, context: FitContext) -> Predictor:
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
    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
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
    given = [(e.id, float(e.label)) for e in (*examples(9), *examples(3))]
    for method in (a, b):
        assert [(e.id, float(e.label)) for e in method.seen] == given, "train and valid alone"


def test_every_example_is_scored_or_the_run_fails() -> None:
    assert run(examples(50), Oracle()).scored == 50
    with pytest.raises(UserError, match="shape"):
        run(examples(5), Oracle(lambda chains: np.zeros(2)))
    with pytest.raises(UserError, match="not finite"):
        run(examples(5), Oracle(lambda chains: np.asarray(np.nan)))

    class Forgetful(Oracle):
        def fit(self, train: Any, valid: Any, context: FitContext) -> Predictor:
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


def test_a_metric_that_few_units_define_has_no_interval() -> None:
    @example_metric(higher_is_better=True)
    def late(predictions: Sequence[Any], examples: Sequence[Example]) -> Array:
        return np.array([float(e.id) if int(e.id) >= 32 else np.nan for e in examples])

    found = score([late], [np.zeros(())] * 40, examples(40), NUMBER, 0)
    assert found.scores["late"] == 35.5 and found.intervals == {}
    assert score([late], [np.zeros(())] * 60, examples(60), NUMBER, 0).intervals


def test_interval_of_a_share_is_the_textbooks() -> None:
    """Accuracy of n independent answers: close to p plus or minus 1.96 standard errors."""
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.7
    labels = [Example(("A",), np.asarray(int(r)), f"{i}", f"{i}") for i, r in enumerate(right)]
    found = score([find("accuracy")], [np.asarray(1.0)] * 2000, labels, BINARY, 0)
    p = right.mean()
    error = 1.96 * np.sqrt(p * (1 - p) / 2000)

    assert found.intervals["accuracy"] == pytest.approx((p - error, p + error), abs=0.004)


def test_resamples_weigh_units_evenly_and_by_their_names() -> None:
    """Each unit once or four times; independent of the others; the same among other units."""
    units = [f"unit {i}" for i in range(200)]
    weights = np.concatenate(list(resamples(units, seed=1)))

    assert weights.shape == (RESAMPLES, 200) and set(np.unique(weights)) == {1, 4}
    assert weights.mean() == pytest.approx(2.5, abs=0.02)
    correlation = np.corrcoef(weights.T)[np.triu_indices(200, 1)]
    assert correlation.std() == pytest.approx(RESAMPLES**-0.5, rel=0.05)
    np.testing.assert_array_equal(
        np.concatenate(list(resamples(units[90:99], 1))), weights[:, 90:99]
    )
    assert (np.concatenate(list(resamples(units, seed=2))) != weights).mean() > 0.4


def test_limit_takes_the_same_examples_in_any_order() -> None:
    test = examples(30)
    splits = Splits(test, test, {"test": test}, {})
    turned = Splits(test[::-1], test[::-1], {"test": test[::-1]}, {})

    assert len(subset(splits, 10).train) == 10
    assert subset(splits, 10).train == subset(turned, 10).train[::-1]
    assert subset(splits, None) is splits


def test_each_fold_is_answered_by_what_was_learned_without_it() -> None:
    table = examples(60)
    tests, learn = cross_validate(table, [i % 4 for i in range(60)])
    weights = {"mean": dict.fromkeys(tests, 1 / 4)}

    class Mean(Method):
        def fit(self, train: Any, valid: Any, context: FitContext) -> Predictor:
            found = np.mean([example.label for example in train]), train, valid
            return Predictor(lambda questions: [found[0]] * len(questions), {"learned": found[1:]})

    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
    outcome = evaluate(
        task,
        Splits([], [], tests, {}, learn, weights),
        None,  # type: ignore[arg-type]
        Mean(),
        [find("rmse")],
        0,
    )
    assert list(outcome.tests) == ["mean", "0", "1", "2", "3"]
    for fold, examples_of_fold in tests.items():
        train, valid = outcome.choices[fold]["learned"]
        parts = [{e.id for e in part} for part in (train, valid, examples_of_fold)]
        assert [len(part) for part in parts] == [30, 15, 15] and len(set.union(*parts)) == 60
        assert {int(e.id) % 4 for e in valid} == {(int(fold) + 1) % 4}
        guess = np.mean([example.label for example in train])
        errors = np.array([float(e.label) for e in examples_of_fold]) - guess
        assert outcome.tests[fold].scores["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    folds = [outcome.tests[name] for name in tests]
    whole = outcome.tests["mean"]
    assert whole.scores["rmse"] == pytest.approx(np.mean([fold.scores["rmse"] for fold in folds]))
    assert (whole.scored, whole.units, whole.predictions) == (60, 60, [])


def test_the_interval_of_a_mean_is_that_of_independent_sets() -> None:
    """Four equal sets: half the width of one; and as wide as the textbook's for all answers."""
    rng = np.random.default_rng(0)
    right = rng.random((4, 400)) < 0.7
    sets = {
        str(k): [Example(("A",), np.asarray(int(r)), f"{i}", f"{k} {i}") for i, r in enumerate(row)]
        for k, row in enumerate(right)
    }
    found = {
        name: score([find("accuracy")], [np.asarray(1.0)] * 400, part, BINARY, 0)
        for name, part in sets.items()
    }
    together = mean([find("accuracy")], found, dict.fromkeys(sets, 1 / 4))
    error = 1.96 * np.sqrt((right.mean(axis=1) * (1 - right.mean(axis=1))).sum() / 400) / 4

    assert together.scores["accuracy"] == pytest.approx(right.mean())
    low, high = together.intervals["accuracy"]
    assert (low, high) == pytest.approx((right.mean() - error, right.mean() + error), abs=0.004)
    one = score([find("accuracy")], [np.asarray(1.0)] * 400, sets["0"], BINARY, 0)
    assert one.intervals == found["0"].intervals, "other test sets do not change an interval"


def test_a_mean_is_undefined_where_a_set_is_and_has_an_interval_by_all_units() -> None:
    metrics = [find("rmse"), find("pearson")]
    sets = {
        "0": [e._replace(group=f"0 {e.group}") for e in examples(8)],
        "1": [e._replace(group=f"1 {e.group}") for e in examples(9)],
    }
    found = {
        name: score(
            metrics, [example.label + 1.0 for example in part[:-1]] + [0.0], part, NUMBER, 0
        )
        for name, part in sets.items()
    }
    halves = dict.fromkeys(sets, 0.5)

    assert found["0"].intervals == {}
    assert set(mean(metrics, found, halves).intervals) == {"rmse", "pearson"}
    found["1"].scores.pop("pearson")
    assert set(mean(metrics, found, halves).scores) == {"rmse"}


def test_units_in_several_sets_are_drawn_once() -> None:
    """Five folds that share all 40 units: the width of a bootstrap of whole units over them all."""
    rng = np.random.default_rng(0)
    shift = rng.normal(size=40)
    sets = {
        str(k): [
            Example(("A",), np.asarray(shift[u] + 0.1 * rng.normal()), f"{k} {u} {i}", str(u))
            for u in range(40)
            for i in range(3)
        ]
        for k in range(5)
    }
    rmse = [find("rmse")]
    guess = [np.asarray(0.0)] * 120
    found = {k: score(rmse, guess, part, NUMBER, 0) for k, part in sets.items()}
    together = mean(rmse, found, dict.fromkeys(sets, 1 / 5))
    errors = np.array([[float(e.label) ** 2 for e in part] for part in sets.values()])
    by_unit = errors.reshape(5, 40, 3).mean(axis=2)
    drawn = rng.integers(40, size=(4000, 40))
    expected = np.sqrt(by_unit[:, drawn].mean(axis=2)).mean(axis=0)

    assert together.units == 40
    error = expected.std() * np.sqrt(40 / 39)
    assert together.statistics["rmse"].error == pytest.approx(error, rel=0.08)
    assert together.statistics["rmse"].freedom == 39
    few = {k: [e._replace(group=str(int(e.group) % 8)) for e in p] for k, p in sets.items()}
    found = {k: score(rmse, guess, part, NUMBER, 0) for k, part in few.items()}
    assert mean(rmse, found, dict.fromkeys(few, 1 / 5)).intervals == {}, "8 units"


def test_a_mean_over_sets_of_one_unit_has_no_interval() -> None:
    sets = {e.group: [e] for e in examples(12)}
    found = {name: score([find("rmse")], [0.0], part, NUMBER, 0) for name, part in sets.items()}
    assert mean([find("rmse")], found, dict.fromkeys(sets, 1 / 12)).intervals == {}


def test_a_metric_of_other_answers_is_refused_before_anything_is_learned() -> None:
    class Unasked(Oracle):
        def fit(self, train: Any, valid: Any, context: FitContext) -> Predictor:
            raise AssertionError

    def fitted(kind: str, size: int, name: str) -> None:
        task = make_task("pocket_metal", f"task.kind={kind}", f"task.size={size}")
        label = np.asarray(0.5) if kind == "regression" else np.asarray(1)
        test = [e._replace(label=label) for e in examples(3)]
        splits = Splits(test, test, {"test": test}, {})
        evaluate(task, splits, Kmer(1), Unasked(), [find(name)], 0)

    for name in ("accuracy", "mcc", "roc_auc", "f1_macro"):
        with pytest.raises(UserError, match=f"{name} does not fit the task: labels are real"):
            fitted("regression", 1, name)
    for name in ("spearman", "rmse", "perplexity"):
        with pytest.raises(UserError, match=f"{name} does not fit the task: labels are classes"):
            fitted("classification", 2, name)
    with pytest.raises(UserError, match=r"perplexity does not fit the task: label 0\.5; "):
        fitted("regression", 1, "perplexity")
    with pytest.raises(
        UserError, match="p_at_l5 does not fit the task: a prediction is not a table"
    ):
        fitted("classification", 2, "p_at_l5")


def test_each_class_that_a_score_compares_needs_units() -> None:
    """Ten for areas and 30 for means over classes; labels with one class alone do not count."""
    unit, sizes = np.arange(100), np.ones(100)
    for positives in (9, 10, 29, 30):
        rows = labelled(*(np.arange(100) < positives).astype(int))
        found = [
            enough_units(find(name), rows, unit, sizes)
            for name in ("accuracy", "mcc", "roc_auc", "pr_auc", "balanced_accuracy", "f1_macro")
        ]
        assert found == [True, True, *[positives >= 10] * 2, *[positives >= 30] * 2]
    assert not enough_units(find("roc_auc"), rows, unit // 5, np.full(20, 5)), "6 units of 30"

    both = (np.arange(100) < 50).astype(int)
    multilabel = [np.array([a, 0 if row < 4 else -1]) for row, a in enumerate(both)]
    assert enough_units(find("roc_auc_macro"), labelled(*multilabel), unit, sizes)
    multilabel[0][1] = 1
    assert not enough_units(find("roc_auc_macro"), labelled(*multilabel), unit, sizes)
    residues = labelled(*[np.array([0, 0, 1, -1])] * 40, *[np.array([0, 2])] * 9)
    assert not enough_units(find("f1_macro"), residues, np.arange(49), np.ones(49))


def test_seeds_of_which_some_are_perfect_have_the_intervals_of_all() -> None:
    assert estimate([1.0, 0.98], [(0.97, 1), (0.95, 0.99)], "logit").interval == (0.95, 1)
    assert estimate([1.0, 1.0], [(0.97, 1), (0.98, 1)], "logit").interval == (0.97, 1)
