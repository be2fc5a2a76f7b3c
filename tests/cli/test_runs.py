"""A run through the command line: its Record, predictions, tables and summary."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.checkpoints import save_proteinglm
from tests.command_line import refused, run_cli
from tests.conftest import random_chain


def test_a_run_writes_a_record_predictions_and_tables(tmp_path: Path, toy_conf: Path) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    done = run_cli(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    low, high = record["intervals"]["test"]["accuracy"]
    score = record["scores"]["test"]["accuracy"]

    assert low <= score <= high
    assert record["usage"]["peak_bytes"] > 1e7 and "forward_flops" not in record["usage"]
    assert record["scored"]["test"] == record["examples"]["test"] == 30
    assert f"accuracy {score:.3f} [{low:.3f}, {high:.3f}] (95% CI, 30 proteins)" in done.stdout
    assert str(path.relative_to(tmp_path)) in done.stdout
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    assert list(rows[0]) == ["test", "id", "group", "seq", "label", "prediction", "value.accuracy"]
    right = sum((row["prediction"] > 0.5) == row["label"] for row in rows)
    assert right / len(rows) == pytest.approx(score), "the predictions reproduce the score"
    table = (tmp_path / "results" / "README.md").read_text()
    assert f"| kmer (baseline) | **{score:.3f}** [{low:.3f}, {high:.3f}] |" in table
    assert not list((tmp_path / "results").rglob(".*")), "no temporary file is left"

    again = run_cli(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert "skipped: result exists" in again.stdout
    path.with_suffix(".parquet").unlink()
    assert "skipped: result exists" not in run_cli(*words, cwd=tmp_path).stdout
    assert path.with_suffix(".parquet").exists()
    other = run_cli(*words, "seed=1", "method.max_iter=250", cwd=tmp_path)
    assert "skipped: result exists" not in other.stdout
    assert len(list((tmp_path / "results").glob("toy/kmer/linear/*/*.json"))) == 2


@pytest.mark.slow
def test_a_cross_validated_run_ranks_by_the_mean(tmp_path: Path, toy_conf: Path) -> None:
    """The column of splits read as folds: every row is predicted exactly once."""
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", "task.columns.fold=split")
    done = run_cli(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    folds = {"test": 30, "train": 80, "valid": 20}
    scores = {name: found["accuracy"] for name, found in record["scores"].items()}

    assert list(scores) == ["mean", *folds]
    assert scores["mean"] == pytest.approx(sum(scores[fold] for fold in folds) / 3)
    assert record["scored"] == record["units"] == {"mean": 130, **folds}
    assert record["examples"] == {"train": 0, "valid": 0, **folds, "mean": 130}
    assert {"test", "test, its train", "test, its valid"} <= set(record["data"])
    assert (
        f"accuracy {scores['mean']:.3f} [" in done.stdout
        and "(95% CI, 130 proteins; mean of 3 test sets)" in done.stdout
    )
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    assert len({row["id"] for row in rows}) == len(rows) == 130
    assert "n = 130 |" in (tmp_path / "results" / "README.md").read_text()
    few = run_cli(*words, "limit=10", cwd=tmp_path)
    assert "(95% CI, 30 proteins; mean of 3 test sets)" in few.stdout, few.stderr


@pytest.mark.slow
def test_chains_apart_and_joined_have_columns_of_their_own(tmp_path: Path, pair_conf: Path) -> None:
    """The Record says how the chains of a pair are embedded; tables keep the two forms apart."""
    words = ("--config-dir", str(pair_conf), "task=pairs", "model=kmer")
    features = {}
    for chains in ("apart", "joined"):
        done = run_cli(*words, f"task.chains={chains}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        newest = max(tmp_path.glob("results/pairs/*/*/*/*.json"), key=os.path.getmtime)
        record = json.loads(newest.read_text())
        features[chains] = record["choices"]["sample"]["train"]["features"]
        assert record["config"]["task"]["chains"] == chains
        assert record["backbone"]["linker"] == {"apart": None, "joined": "G" * 25}[chains]
        assert record["data_report"]["unit"] == "protein of a pair"
        assert sum(record["data_report"]["chains_in_train"]["test"].values()) == 40
        assert "number of chains also in train: " in done.stdout
    assert features == {"apart": 842, "joined": 421}
    assert "pairs #2" in (tmp_path / "results" / "README.md").read_text()
    wrong = run_cli(*words, "task.chains=glued", cwd=tmp_path)
    assert "chains=glued is not known; allowed are apart, joined" in refused(wrong)


def test_a_limited_run_is_marked_and_left_out_of_the_tables(tmp_path: Path, toy_conf: Path) -> None:
    done = run_cli(
        "--config-dir", str(toy_conf), "task=toy", "model=kmer", "limit=12", cwd=tmp_path
    )

    assert "limit=12: not ranked" in done.stdout
    assert not (tmp_path / "results" / "README.md").exists()
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    assert json.loads(path.read_text())["examples"] == {"train": 12, "valid": 12, "test": 12}


def test_contact_with_a_local_proteinglm(tmp_path: Path) -> None:
    """`task=contact model=mlm10b` on a mirror with three chains a split."""
    rng = np.random.default_rng(0)
    mirror = tmp_path / "mirror" / "biomap-research" / "contact_prediction_binary"
    mirror.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        chains = [random_chain(rng, 40) for _ in range(3)]
        pairs = [[[i, i + 8] for i in range(0, 30, 3)]] * 3
        pq.write_table(pa.table({"seq": chains, "label": pairs}), mirror / f"{split}.parquet")
    folder = save_proteinglm(tmp_path)
    words = ("task=contact", "model=mlm10b", f"model.path={folder}", f"mirror={tmp_path}/mirror")
    done = run_cli(*words, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("contact/tiny-proteinglm-mlm/linear/*/seed0.json")
    record = json.loads(path.read_text())
    assert record["backbone"]["layers"] == 2
    assert record["backbone"]["published"]["parameters"] == 10682514944
    assert not any("facts" in name for name in record["settings"])
    again = run_cli(*words, "model.facts={}", cwd=tmp_path)
    assert "skipped: result exists" in again.stdout, "facts about a model are not in the key"
