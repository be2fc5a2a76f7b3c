"""Which code is part of a run's key: a user's by its content, ours by declared versions."""

import re
import shutil
from pathlib import Path

import pytest

from tests.command_line import run_cli, run_process
from tests.conftest import ROOT, marked_slow

EDITED = {
    "task.metrics=[mine3.shift]": (
        "import numpy as np\nfrom benchmark.core import example_metric\n"
        "@example_metric(higher_is_better=True)\n"
        "def shift(predictions, examples):\n    return np.full(len(examples), 1.0)\n"
    ),
    "method._target_=mine3.Mine": (
        "from benchmark.methods.probe.linear import Linear\nclass Mine(Linear):\n    pass\n"
    ),
    "model._target_=mine3.Mine": (
        "from benchmark.backbones.baselines.descriptors import Kmer\nclass Mine(Kmer):\n    pass\n"
    ),
    "task._target_=mine3.Mine": (
        "from tasks.protein import Protein\nclass Mine(Protein):\n    pass\n"
    ),
}


@pytest.mark.parametrize("word", marked_slow(EDITED, *list(EDITED)[2:]))
def test_a_users_edited_code_is_another_run(tmp_path: Path, toy_conf: Path, word: str) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", word)
    text = EDITED[word]
    for content in (text, text + "# edited\n", text):
        (tmp_path / "mine3.py").write_text(content)
        done = run_cli(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "skipped: result exists" in done.stdout, "the first code again"
    first, second = (str(path) for path in tmp_path.glob("results/toy/kmer/linear/*/seed0.json"))
    reasons = run_cli("why", first, second, cwd=tmp_path).stdout
    assert re.search(r"^versions\.\w+", reasons, re.M) and "different runs" in reasons


@pytest.mark.slow
def test_our_own_code_is_in_no_key(tmp_path: Path, toy_conf: Path) -> None:
    """A copy of the program with an edited comment skips the run; rerun=true repeats it."""
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    assert run_cli(*words, cwd=tmp_path).returncode == 0
    for name in ("benchmark", "tasks", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.parquet"))
    for name in ("core/task", "data/splits", "run/evaluation", "methods/probe/linear"):
        file = tmp_path / "benchmark" / f"{name}.py"
        file.write_text(file.read_text() + "# a comment\n")
    again = run_process(*words, cwd=tmp_path)
    assert "skipped: result exists" in again.stdout and "other code of the same" in again.stdout
    assert "skipped" not in run_process(*words, "rerun=true", cwd=tmp_path).stdout
    assert len(list(tmp_path.glob("results/toy/kmer/linear/*"))) == 1


@pytest.mark.slow
def test_changed_user_code_is_another_run(tmp_path: Path, toy_conf: Path) -> None:
    """The key covers a metric's file and what that imports from its package."""
    (tmp_path / "mine2").mkdir()
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 1.0\n")
    (tmp_path / "mine2" / "shift.py").write_text(
        "import numpy as np\nfrom benchmark.core import corpus_metric\nfrom mine2 import helper\n"
        "@corpus_metric(higher_is_better=True)\ndef shift(predictions, examples, weights):\n"
        "    return np.full(len(weights), helper.OFFSET)\n"
    )
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    words += ("task.metrics=[mine2.shift.shift]",)
    assert "shift 1.000" in run_cli(*words, cwd=tmp_path).stdout
    assert "skipped: result exists" in run_cli(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 2.0\n")

    assert "shift 2.000" in run_cli(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 1.0\n")
    assert "skipped: result exists" in run_cli(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = float('nan')\n")
    undefined = run_cli(*words, "results=other", cwd=tmp_path)
    assert undefined.returncode == 0 and "shift undefined" in undefined.stdout, undefined.stderr
