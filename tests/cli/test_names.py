"""Names of models, listings, help and the width of tables."""

import json
import shutil
from pathlib import Path

import pytest

from benchmark.cli.verbs import VERBS
from tests.command_line import refused, run_cli
from tests.conftest import ROOT


def test_a_local_checkpoint_and_its_name(tmp_path: Path, toy_conf: Path, esm_folder: Path) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=esm2_8m", f"model.path={esm_folder}")
    assert run_cli(*words, cwd=tmp_path).returncode == 0
    assert run_cli(*words, "name=step-7", "device=cpu", cwd=tmp_path).returncode == 0

    assert {path.name for path in (tmp_path / "results" / "toy").iterdir()} == {
        "tiny-esm",
        "step-7",
    }


@pytest.mark.slow
def test_two_checkpoints_of_one_name_are_reported(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """The tables show the newest weights; repeating the run of the older ones says so."""
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", "name=last")
    other = Path(shutil.copytree(esm_folder, tmp_path / "b"))
    (other / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')
    first = run_cli(*words, f"model.path={esm_folder}", cwd=tmp_path)
    assert "newer weights" not in first.stdout
    assert run_cli(*words, f"model.path={other}", cwd=tmp_path).returncode == 0
    again = run_cli(*words, f"model.path={esm_folder}", cwd=tmp_path)

    assert "skipped: result exists" in again.stdout
    assert (
        "the tables show newer weights of the name last; name=WORD sets them apart" in again.stdout
    )


def test_a_foreign_readme_is_not_overwritten(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    done = run_cli("--config-dir", str(toy_conf), "task=toy", "results=.", cwd=tmp_path)

    assert "holds a README.md that is not a leaderboard" in refused(done)
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_list_names_everything(tmp_path: Path) -> None:
    done = run_cli("list", cwd=tmp_path)

    assert done.returncode == 0
    for group in ("task", "model", "method", "suite"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            assert file.stem in done.stdout


def test_help_shows_the_settings(tmp_path: Path) -> None:
    done = run_cli("--help", cwd=tmp_path)

    assert done.returncode == 0
    for word in ("limit: null", "+suite=pocket", *(f"python -m benchmark {v} " for v in VERBS)):
        assert word in done.stdout


def test_tables_are_as_wide_as_their_numbers(tmp_path: Path, toy_conf: Path) -> None:
    """A narrow terminal truncates no number; the folder may have a space in its name."""
    results = tmp_path / "my results"
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", f"results={results}")
    assert run_cli(*words, "name=a-name-that-takes-some-room", cwd=tmp_path).returncode == 0
    done = run_cli("leaderboard", f"results={results}", cwd=tmp_path, env={"COLUMNS": "40"})

    assert done.returncode == 0, done.stderr
    (path,) = results.glob("toy/*/linear/*/seed0.json")
    record = json.loads(path.read_text())
    low, high = record["intervals"]["test"]["accuracy"]
    assert f"[{low:.3f}, {high:.3f}]" in done.stdout and "…" not in done.stdout


@pytest.mark.parametrize("place", ["first", "last"])
def test_options_may_stand_anywhere(tmp_path: Path, toy_conf: Path, place: str) -> None:
    words, options = ["task=toy", "model=kmer,onehot"], ["-m", "--config-dir", str(toy_conf)]
    done = run_cli(*(options + words if place == "first" else words + options), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("results/toy/*/linear/*/seed0.json"))) == 2


@pytest.mark.slow
def test_another_dtype_is_another_run_and_another_row(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    words = ["--config-dir", str(toy_conf), "task=toy", "model=huggingface", "device=cpu"]
    for dtype in ("float32", "bfloat16"):
        done = run_cli(*words, f"model.path={esm_folder}", f"dtype={dtype}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    folders = list(tmp_path.glob("results/toy/*/linear/*"))
    table = (tmp_path / "results" / "README.md").read_text()

    assert len(folders) == 2
    assert "(dtype=float32)" in table and "(dtype=bfloat16)" in table
