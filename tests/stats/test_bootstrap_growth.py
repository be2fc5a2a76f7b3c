"""The work of resampling grows with rows and units, counted in weights that are made and scored."""

from typing import Any

import numpy as np
import pytest

from benchmark.core import Array, Example, Method, Predictor, Splits, corpus_metric
from benchmark.metrics import find
from benchmark.run.evaluation import evaluate
from benchmark.stats import bootstrap
from benchmark.stats.bootstrap import RESAMPLES
from tests.conftest import make_task

ROWS = 40
"""Test rows of a fold, each a unit of its own but the first."""


class Half(Method):
    """Predicts 0.5."""

    def fit(self, train: Any, valid: Any, context: Any) -> Predictor:
        return Predictor(lambda chains: [np.asarray(0.5)] * len(chains), {})


def work(folds: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Weights made and scored, and preparations, in a run whose folds all share one unit."""
    counted = {"made": 0, "scored": 0, "prepared": 0}
    make = bootstrap.resamples

    def counting(*given: Any) -> Any:
        for weights in make(*given):
            counted["made"] += weights.size
            yield weights

    @corpus_metric(higher_is_better=False)
    def counted_mean(predictions: Any, examples: Any) -> Any:
        counted["prepared"] += 1
        labels = np.array([float(example.label) for example in examples])

        def score(weights: Array) -> Array:
            counted["scored"] += weights.size
            return np.asarray(weights @ labels / weights.sum(axis=1))

        return score

    rng = np.random.default_rng(0)
    tests = {
        str(fold): [
            Example(
                ("A",), np.asarray(rng.random()), f"{fold}-{row}", f"{fold}-{row}" if row else ""
            )
            for row in range(ROWS)
        ]
        for fold in range(folds)
    }
    own = {name: (examples, examples) for name, examples in tests.items()}
    splits = Splits([], [], tests, {}, own, {"mean": dict.fromkeys(tests, 1 / folds)})
    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
    with monkeypatch.context() as patched:
        patched.setattr(bootstrap, "resamples", counting)
        outcome = evaluate(task, splits, None, Half(), [counted_mean, find("rmse")], 0)
    assert outcome.tests["mean"].units == folds * (ROWS - 1) + 1
    assert set(outcome.tests["mean"].intervals) == {"counted_mean", "rmse"}
    return counted


def test_work_grows_with_rows_though_test_sets_share_a_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every row has one weight in a resample; the mean over folds scores nothing again."""
    few, many = work(4, monkeypatch), work(8, monkeypatch)

    assert few["made"] == RESAMPLES * 4 * ROWS and many["made"] == 2 * few["made"]
    assert few["made"] <= few["scored"] < 1.1 * few["made"]
    assert many["scored"] == 2 * few["scored"]
    assert many["prepared"] == 2 * few["prepared"], "a corpus metric is prepared once for each set"
