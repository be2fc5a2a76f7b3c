"""Imports point one way, and light commands import no heavy library."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from importlinter.cli import lint_imports

from tests.command_line import environment
from tests.conftest import ROOT

HEAVY = ("torch", "sklearn", "scipy", "pandas", "datasets", "transformers", "pyarrow")


def test_imports_point_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts of pyproject.toml."""
    monkeypatch.chdir(ROOT)

    assert lint_imports(no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("benchmark/extra.py", ""),
        ("benchmark/extra/__init__.py", ""),
        ("benchmark/metrics/extra.py", "from benchmark.report import cells\n"),
        ("tasks/extra.py", "from benchmark.backbones import transformer\n"),
    ],
)
def test_a_new_module_outside_the_layers_breaks_a_contract(
    tmp_path: Path, module: str, code: str
) -> None:
    """A new part of benchmark without a layer, and an import from a higher layer."""
    for name in ("benchmark", "tasks"):
        copytree(ROOT / name, tmp_path / name, ignore=ignore_patterns("*.p*q*", "checkpoints"))
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert lint(tmp_path).returncode == 0
    (tmp_path / module).parent.mkdir(exist_ok=True)
    (tmp_path / module).write_text(f'"""A new module."""\n{code}')

    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "extra" in done.stdout


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the packages in a folder."""
    code = "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "words",
    [
        *(["list"], ["leaderboard"], ["store"], ["--help"], ["task=contct"]),
        *(["audit", "--help"], ["--version"], ["dtype=fp16"], ["model=kmer"]),
        *(["method=lora", "model=onehot"], ["task=variant_effect", "method=linear"]),
        *(["gate", "--help"], ["series", "--help"], ["leaderboard", "area=structure"]),
        [
            "why",
            *(
                str(ROOT / "results/pocket_ss8" / model / "linear")
                for model in ("onehot", "blosum62")
            ),
        ],
    ],
)
def test_light_commands_import_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    if words[0] == "leaderboard":  # on a copy, as it writes the tables
        copytree(ROOT / "results", tmp_path / "results")
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['benchmark', *{words}]\n"
        "try: runpy.run_module('benchmark', run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )

    assert "HEAVY []" in done.stdout, done.stdout[-500:] + done.stderr
