"""Imports point one way, and the quick verbs stay quick."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from importlinter.cli import lint_imports

from tests.conftest import ROOT

HEAVY = ("torch", "sklearn", "scipy", "pandas", "datasets", "transformers", "pyarrow")


def test_imports_point_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts of pyproject.toml; a new package without a layer breaks them."""
    monkeypatch.chdir(ROOT)

    assert lint_imports(no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize(
    "words",
    [
        *(["list"], ["leaderboard"], ["store"], ["--help"], ["task=contct"]),
        ["why", "results/pocket_ss8/onehot/linear", "results/pocket_ss8/blosum62/linear"],
    ],
)
def test_light_commands_import_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    if words == ["leaderboard"]:  # on a copy, for it writes the tables again
        copytree(ROOT / "results", tmp_path / "results")
        words = [*words, f"results={tmp_path / 'results'}"]
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['benchmark', *{words}]\n"
        "try: runpy.run_module('benchmark', run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert "HEAVY []" in done.stdout, done.stdout[-500:] + done.stderr
