"""The light form of results gives the scores of the full one; committed Records in tables."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree, ignore_patterns

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra.utils import instantiate

from benchmark.core import UserError
from benchmark.data.digests import digest_splits
from benchmark.data.homology import Audit
from benchmark.report import leaderboard
from benchmark.report.render import render
from benchmark.report.rescore import complete
from benchmark.results import storage
from benchmark.results.compact import compact
from benchmark.results.predictions import VALUES, read_predictions
from benchmark.results.storage import load_all
from tests.command_line import run_cli
from tests.conftest import composed

METRICS = "task.metrics=[accuracy,roc_auc,f1_macro]"


@pytest.fixture
def full(tmp_path: Path, toy_conf: Path) -> Path:
    """Two runs with all their predictions."""
    for model in ("kmer", "onehot"):
        words = (f"--config-dir={toy_conf}", "task=toy", f"model={model}", METRICS)
        assert run_cli(*words, cwd=tmp_path).returncode == 0
    return tmp_path / "results"


def test_the_light_form_has_the_scores_by_band_of_the_full_one(
    full: Path, toy_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = Path(copytree(full, full.with_name("light")))
    compact(light / "toy")
    assert not list(light.rglob("seed*.parquet")) and (light / "toy" / VALUES).is_file()
    for record in load_all(full):
        one, other = (read_predictions(folder / record.path) for folder in (full, light))
        np.testing.assert_array_equal(
            other.values("accuracy", "test"), one.values("accuracy", "test")
        )
        np.testing.assert_allclose(other.columns["prediction"], one.columns["prediction"], 1e-6)

    monkeypatch.chdir(full.parent)
    task = instantiate(composed("task=toy", METRICS, folder=toy_conf).task, _convert_="all")
    splits = task.load()
    identity = np.linspace(0, 1, len(splits.tests["test"]))
    audit = Audit({"made": "by hand"}, {"test": identity > 0.9}, {"test": identity})
    by_length = {"short": {"examples": 4, "units": 4, "scores": {"accuracy": 0.5}, "intervals": {}}}
    for folder in (full, light):
        for record in load_all(folder):
            strata = {"test": {**record.strata.get("test", {}), **by_length}}
            storage.write_record(replace(record, strata=strata), folder)
        complete(task, splits, digest_splits(splits), audit, folder)
    for one, other in zip(load_all(full), load_all(light), strict=True):
        assert one.audit == other.audit == audit.facts and len(one.strata["test"]) > 4
        assert one.strata["test"].items() >= by_length.items(), "strata of the task itself stay"
        for band, stratum in one.strata["test"].items():
            found = other.strata["test"][band]
            for kind in ("scores", "intervals"):
                for metric, value in stratum[kind].items():
                    assert found[kind][metric] == pytest.approx(value, abs=1e-6)


def test_the_light_form_describes_the_examples(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are compared without the task's data."""
    record = load_all(full)[0]
    whole = read_predictions(full / record.path).columns
    identity = np.linspace(0, 1, len(whole["id"]))
    audit = Audit({"made": "by hand"}, {"test": identity > 0.9}, {"test": identity})
    monkeypatch.setattr("benchmark.results.compact.read_audit", lambda *_: audit)
    compact(full / "toy")

    light = read_predictions(full / record.path).columns
    assert light["length"] == [len(chain) for chain in whole["seq"]]
    assert light["band"] == audit.bands("test")
    for name in ("test", "id", "group", "label"):
        np.testing.assert_array_equal(light[name], whole[name])


def test_runs_with_bands_against_different_proteins_do_not_share_a_file(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(read_predictions(full / load_all(full)[0].path).columns["id"])
    near, far = (Audit({}, {"test": np.full(size, x)}, {"test": np.zeros(size)}) for x in (1, 0))
    audits = iter((near, far))
    monkeypatch.setattr("benchmark.results.compact.read_audit", lambda *_: next(audits))
    with pytest.raises(UserError, match="bands against different proteins; run audit with one"):
        compact(full / "toy")
    assert len(list(full.rglob("seed*.parquet"))) == 2, "nothing is removed"


def test_a_light_form_without_them_is_not_extended(full: Path) -> None:
    path = full / "toy" / VALUES
    pq.write_table(pa.table({"test": ["test"], "id": ["a"]}), path)
    with pytest.raises(UserError, match="lacks the columns group and length"):
        compact(full / "toy")
    assert len(list(full.rglob("seed*.parquet"))) == 2, "nothing is removed"


def test_runs_of_other_data_do_not_share_a_file(full: Path, tmp_path: Path, toy_conf: Path) -> None:
    words = (f"--config-dir={toy_conf}", "task=toy", "model=kmer", METRICS, "limit=12")
    assert run_cli(*words, cwd=tmp_path).returncode == 0

    with pytest.raises(UserError, match="different test examples"):
        compact(full / "toy")
    assert len(list(full.rglob("seed*.parquet"))) == 3, "nothing is removed"


def relabel(path: Path, first: float) -> None:
    """Give a run's first example another label and its second an unknown one."""
    table = pq.read_table(path)
    labels = [first, np.nan, *table["label"].to_pylist()[2:]]
    place = table.column_names.index("label")
    pq.write_table(table.set_column(place, "label", pa.array(labels, pa.float64())), path)


def test_runs_with_other_labels_do_not_share_a_file(full: Path) -> None:
    """Their examples have the same ids; unknown labels are equal."""
    one, other = full.rglob("seed*.parquet")
    relabel(one, 0.0)
    relabel(other, 7.0)
    with pytest.raises(UserError, match=r"different test examples \(their label differs\)"):
        compact(full / "toy")
    assert one.exists() and other.exists(), "nothing is removed"

    relabel(other, 0.0)
    compact(full / "toy")
    assert pq.read_table(full / "toy" / VALUES)["label"].to_pylist()[0] == 0.0


def test_committed_records_join_a_users_own(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the same tasks alone, and a user's own come last, so that they win."""
    mine = Path(copytree(full, tmp_path / "own", ignore=ignore_patterns("onehot")))
    own = load_all(mine)
    assert "onehot" not in render(leaderboard.write(mine)[1], "csv")
    monkeypatch.setattr(storage, "FOLDERS", (full,))
    both = storage.with_reference(own, mine)

    assert [record.model for record in both] == ["kmer", "kmer", "onehot"]
    assert storage.with_reference([], mine) == []
    assert storage.with_reference(own, full) == own, "the committed folder itself"
    assert "onehot" in render(leaderboard.write(mine)[1], "csv")


def test_in_the_clone_results_go_to_a_folder_that_git_ignores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.default_results() == Path("results")
    monkeypatch.chdir(storage.CLONE)
    assert storage.default_results() == Path("results/local")
