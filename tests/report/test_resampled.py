"""Scores and draws from stored predictions, of the full and the light form, agree with the run."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from benchmark.core import UserError
from benchmark.report.resampled import StoredRun, over_tasks, resampled
from benchmark.results.compact import compact
from benchmark.results.storage import load_all
from benchmark.stats.paired import difference
from tests.command_line import run_cli
from tests.stats.test_paired import model

METRICS = ("accuracy", "roc_auc", "mcc")
FOLDS = ["task.columns.fold=split", "task.columns.split=null"]


def toy(cwd: Path, conf: Path, *words: str) -> Path:
    metrics = f"task.metrics=[{','.join(METRICS)}]"
    found = run_cli(f"--config-dir={conf}", "task=toy", metrics, *words, cwd=cwd)
    assert found.returncode == 0, found.stderr
    return cwd / "results"


def read(results: Path) -> list[StoredRun]:
    return [StoredRun.read(record, results) for record in load_all(results)]


def test_both_forms_have_the_scores_of_the_record(tmp_path: Path, toy_conf: Path) -> None:
    results = toy(tmp_path, toy_conf, "model=kmer", "seeds=0,1")
    light = Path(copytree(results, tmp_path / "light"))
    compact(light / "toy")
    (full,), (short,) = (resampled(read(f), METRICS).values() for f in (results, light))
    for name in METRICS:
        recorded = [record.scores["test"][name] for record in load_all(results)]
        assert full[name].scores.tolist() == pytest.approx(recorded)
        np.testing.assert_allclose(short[name].draws, full[name].draws, atol=1e-6)
        assert short[name].groups == full[name].groups
        assert full[name].draws.shape == (2, 512)


def test_a_difference_has_the_error_of_the_run(tmp_path: Path, toy_conf: Path) -> None:
    """With the seed of the run, against a model that is always right."""
    (run,) = read(toy(tmp_path, toy_conf, "model=kmer", "seed=0"))
    ((test, found),) = resampled([run], ["accuracy"]).items()
    low, high = run.record.intervals[test]["accuracy"]
    mine = found["accuracy"]
    d = difference(mine, replace(mine, scores=np.ones(1), draws=np.ones((1, 512))))
    assert d.value == run.record.scores[test]["accuracy"] - 1
    bounds = d.interval or (0, 0)
    assert bounds[1] - bounds[0] == pytest.approx(high - low, rel=0.1), "that is on a logit scale"


def test_means_over_folds(tmp_path: Path, toy_conf: Path) -> None:
    (run,) = read(toy(tmp_path, toy_conf, "model=kmer", *FOLDS))
    assert run.record.aggregates == {"mean": dict.fromkeys(("test", "train", "valid"), 1 / 3)}
    found = resampled([run], METRICS)
    assert list(found) == list(run.record.scores) and next(iter(found)) == "mean"
    for test, scores in run.record.scores.items():
        for name in METRICS:
            expected = pytest.approx(scores.get(name, np.nan), nan_ok=True)
            assert found[test][name].score == expected
    assert len(found["mean"]["accuracy"].groups) == run.record.units["mean"]


def test_a_subset_of_the_examples(tmp_path: Path, toy_conf: Path) -> None:
    (run,) = read(toy(tmp_path, toy_conf, "model=kmer"))
    chosen = np.array(run.table.columns["length"]) < 30
    found = resampled([run], METRICS, chosen)["test"]["accuracy"]
    values, _ = run.table.values("accuracy")
    assert found.score == pytest.approx(values[chosen].mean())
    assert len(found.sizes) == chosen.sum() < len(chosen)
    assert resampled([run], METRICS, chosen & ~chosen) == {}


def test_changed_records_and_lost_predictions_are_refused(tmp_path: Path, toy_conf: Path) -> None:
    results = toy(tmp_path, toy_conf, "model=kmer")
    (path,) = results.rglob("seed0.json")
    values = json.loads(path.read_text())
    values["scores"]["test"]["roc_auc"] += 0.01
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"its roc_auc on test is 0\.\d+, but 0\.\d+ now"):
        resampled(read(results), METRICS)
    path.with_suffix(".parquet").unlink()
    with pytest.raises(UserError, match="has no predictions next to it; run it again"):
        read(results)


def test_a_mean_over_tasks_counts_common_proteins_once() -> None:
    """Two equal tasks know no more than one; two of other proteins know twice as much."""
    rng = np.random.default_rng(0)
    first, second = ({name: model(rng.random(60), prefix=task) for name in "ab"} for task in "ST")
    one, other = difference(*first.values()), difference(*second.values())

    same = difference(*over_tasks([first, first])[0].values())
    assert same[:2] == pytest.approx(one[:2])
    apart = difference(*over_tasks([first, second])[0].values())
    assert apart.value == pytest.approx((one.value + other.value) / 2)
    assert apart.error == pytest.approx(np.hypot(one.error, other.error) / 2, rel=0.1)
    assert 59 < apart.freedom <= 118
    a = first["a"]
    zero = difference(*over_tasks([{"a": a, "b": a}] * 2)[0].values())
    assert (zero.value, zero.interval, zero.p) == (0, (0, 0), 1)


def test_a_task_of_too_few_units_leaves_the_mean_over_tasks_unknown() -> None:
    rng = np.random.default_rng(0)
    few, many = ({name: model(rng.random(n), prefix=str(n)) for name in "ab"} for n in (6, 60))
    assert np.isnan(difference(*over_tasks([few, many])[0].values()).error)


def test_a_model_with_unequal_numbers_of_seeds_has_no_mean_over_tasks() -> None:
    rng = np.random.default_rng(0)
    one, two = model(rng.random(40)), model(rng.random((2, 40)))
    found, unequal = over_tasks([{"a": one, "b": two, "c": one}, {"a": one, "b": one}])
    assert (list(found), unequal) == (["a"], ["b"])
