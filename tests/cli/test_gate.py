"""`gate` on the command line: exit codes, files, and what a promotion replaces."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from benchmark.results import golden
from benchmark.results.golden import LOG
from tests.cli.test_docs import RECIPES
from tests.command_line import Completed, environment, refused, run_cli
from tests.report.stored_runs import save_run

WORKFLOW, SCRIPT = ".github/workflows/gate.yml", "nightly.sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of `good`, of `same`, almost equal, and of `bad`, on a task; of `few` on another."""
    good = np.random.default_rng(0).random(3000) < 0.7
    same, bad = good.copy(), good.copy()
    same[:5] = True
    bad[good.nonzero()[0][:150]] = False
    for name, values in (("good", good), ("same", same), ("bad", bad), ("few", good[:30])):
        save_run(tmp_path / "results", values, "fold" if name == "few" else "cloning", name)
    return tmp_path


def gate(folder: Path, *words: str) -> Completed:
    return run_cli("gate", *words, "results=results", cwd=folder)


def promote(folder: Path, name: str, reason: str = "a better recipe") -> Completed:
    return gate(folder, name, "baseline=golden", "promote=true", f"reason={reason}")


def names(folder: Path) -> set[str]:
    return {path.parents[2].name for path in folder.glob("*/*/*/*/seed0.parquet")}


def test_pass_fail_and_investigate(folder: Path) -> None:
    assert promote(folder, "good").returncode == 0
    for name, status, word in (("same", 0, "PASS"), ("bad", 1, "FAIL"), ("few", 3, "INVESTIGATE")):
        done = gate(folder, name, "baseline=golden", "junit=gate.xml", "message=gate.txt")
        assert done.returncode == status, done
        assert done.stdout.startswith(f"{word}: {name} is ")
        assert (folder / "gate.txt").read_text() == done.stdout.split("\n")[0] + "\n"
        assert ElementTree.parse(folder / "gate.xml").getroot().tag == "testsuites"
    assert names(folder / "golden") == {"good"}, "a gate alone changes no baseline"


def test_a_promotion_says_when_and_why_and_a_loss_is_not_promoted(folder: Path) -> None:
    first = promote(folder, "good", "the first")
    assert (first.returncode, names(folder / "golden")) == (0, {"good"})
    assert promote(folder, "same").returncode == 0
    assert (names(folder / "golden"), names(folder / "golden.previous")) == ({"same"}, {"good"})
    history = json.loads((folder / "golden" / LOG).read_text())["history"]
    assert [entry["reason"] for entry in history] == ["the first", "a better recipe"]
    assert history[1]["candidate"] == "same" and history[1]["verdict"].startswith("PASS: same is")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", history[1]["when"])

    before = (folder / "golden" / LOG).read_bytes()
    done = promote(folder, "bad")
    assert done.returncode == 1 and "a candidate that fails is not promoted" in done.stderr
    assert names(folder / "golden") == {"same"}
    assert (folder / "golden" / LOG).read_bytes() == before


def test_an_interrupted_promotion_leaves_the_baseline(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(folder, "good")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(golden, "copy2", full)
    assert promote(folder, "same").returncode == 2
    assert names(folder / "golden") == {"good"}
    assert sorted(path.name for path in folder.iterdir()) == ["golden", "results"]


def test_a_promotion_that_was_killed_is_named(folder: Path) -> None:
    """Between moving the baseline away and moving the new one to its place."""
    promote(folder, "good")
    (folder / "golden").rename(folder / "golden.previous")
    for name in ("bad", "same"):
        assert "a promotion was interrupted" in refused(promote(folder, name))
    assert not (folder / "golden").exists()


def test_a_candidate_without_a_task_is_not_promoted(folder: Path) -> None:
    promote(folder, "good")
    assert "few has no results of cloning" in refused(promote(folder, "few"))
    good = np.random.default_rng(0).random(3000) < 0.7
    save_run(folder / "results", good, "fold", "part")
    save_run(folder / "results", good, "cloning", "part", limit=3000)
    assert "part has no results of cloning · linear" in refused(promote(folder, "part"))
    assert names(folder / "golden") == {"good"}


def test_a_baseline_that_was_edited_does_not_pass(folder: Path) -> None:
    promote(folder, "good")
    (file,) = (folder / "golden").glob("*/*/*/*/seed0.json")
    file.write_text(file.read_text().replace("2026-01-01", "2026-01-02"))
    done = gate(folder, "same", "baseline=golden")

    assert done.returncode == 3
    assert "files in golden changed after its promotion" in done.stdout.split("\n")[0]


def test_a_row_of_the_results_is_a_baseline_too(folder: Path) -> None:
    for name, status in (("same", 0), ("bad", 1)):
        assert gate(folder, name, "baseline=results/cloning/good").returncode == status


def test_formats_and_width(folder: Path) -> None:
    promote(folder, "good")
    words = ("same", "baseline=golden")
    text = run_cli("gate", *words, "results=results", cwd=folder, env={"COLUMNS": "80"}).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert gate(folder, *words, "format=markdown").stdout.startswith("# PASS: same is as good")
    found = json.loads(gate(folder, *words, "format=json").stdout)
    (table,) = found["tables"]
    row = dict(zip([column["name"] for column in table["columns"]], table["rows"][0], strict=True))
    assert row["verdict"] == "pass" and row["margin"] == 0.01
    assert gate(folder, *words, "format=csv").stdout.splitlines()[1].startswith("cloning · linear,")


def test_the_workflow_of_the_documentation(folder: Path) -> None:
    """It is YAML with the keys that GitHub reads, and its commands do what it says."""
    workflow = yaml.safe_load(RECIPES[WORKFLOW])
    assert workflow[True]["schedule"][0]["cron"], "YAML takes `on` for a boolean"
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "-m benchmark" in step.get("run", "")]
    promote(folder, "good")
    for name, status in (("bad", 1), ("same", 0)):
        rmtree(folder / "nightly", ignore_errors=True)
        copytree(folder / "results" / "cloning" / name, folder / "nightly" / "cloning" / name)
        words = shlex.split(commands[-1].partition(">>")[0])
        assert words[:4] == ["python", "-m", "benchmark", "gate"]
        done = run_cli(*words[3:], cwd=folder)
        assert done.returncode == status and done.stdout.startswith("# ")
        assert (folder / job["steps"][-1]["with"]["path"]).exists()


@pytest.mark.slow
def test_the_nightly_script_of_the_documentation(tmp_path: Path, toy_conf: Path) -> None:
    """With a small task instead of the suite; a promotion follows the first night."""
    short = f"--config-dir {toy_conf} task=toy model=kmer"
    text = re.sub(r"\+suite=\w+ model=huggingface model.path=\S+", short, RECIPES[SCRIPT])
    assert "task=toy" in text
    (tmp_path / SCRIPT).write_text(text)
    env = environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    def night() -> int:
        return subprocess.run(["bash", SCRIPT], cwd=tmp_path, env=env, check=False).returncode

    assert night() == 2, "there is no baseline"
    (results,) = (tmp_path / "nightly").iterdir()
    words = ["gate", str(results), "baseline=golden", "promote=true", "reason=first"]
    assert run_cli(*words, cwd=tmp_path).returncode == 0
    assert night() == 0
    assert (tmp_path / "gate.txt").read_text().startswith("PASS: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["good", "baseline=none"], "baseline=none is not a folder; make it by promote=true"),
        (["good"], "write gate CANDIDATE baseline=FOLDER"),
        (["good", "baseline=golden", "promote=true"], "give both"),
    ],
)
def test_refusals(folder: Path, words: list[str], message: str) -> None:
    assert message in refused(gate(folder, *words))
