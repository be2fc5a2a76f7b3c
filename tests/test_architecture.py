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


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, which breaks no contract."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("benchmark", "tasks"):
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("*.p*q*", "checkpoints"))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert lint(folder).returncode == 0
    return folder


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
    copy: Path, module: str, code: str
) -> None:
    """A new part of benchmark without a layer, and an import from a higher layer."""
    file = copy / module
    new = [file, *(folder for folder in file.parents if not folder.exists())]
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'"""A new module."""\n{code}')

    done = lint(copy)
    file.unlink()
    for folder in new[1:]:
        folder.rmdir()
    assert done.returncode == 1, done.stdout
    assert "extra" in done.stdout


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the packages in a folder."""
    code = "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    return run_code(code, folder, PYTHONPATH=str(folder))


def run_code(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
    )


LIGHT = [
    *("list", "leaderboard", "store", "--help", "task=contct", "audit --help", "--version"),
    *("dtype=fp16", "model=kmer", "method=lora model=onehot", "task=variant_effect method=linear"),
    *("gate --help", "series --help", "leaderboard area=structure"),
    "why results/pocket_ss8/onehot/linear results/pocket_ss8/blosum62/linear",
]


def test_light_commands_import_no_heavy_library(tmp_path: Path) -> None:
    """One after the other, in one process: what is imported stays."""
    copytree(ROOT / "results", tmp_path / "results")  # the tables are written
    code = (
        "import sys; from pathlib import Path; from tests.command_line import run_cli\n"
        f"for words in {LIGHT}:\n"
        "    run_cli(*words.split(), cwd=Path.cwd())\n"
        f"    print(words, 'HEAVY', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = run_code(code, tmp_path)

    assert done.stdout.splitlines() == [f"{words} HEAVY []" for words in LIGHT], done.stderr
