"""Imports point one way, and the quick verbs stay quick."""

import ast
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import ROOT

HEAVY = ("torch", "sklearn", "scipy", "pandas", "datasets", "transformers", "pyarrow")
ALLOWED = {
    "core": set(),
    "batching": {"core"},
    "progress": set(),
    "ranks": set(),
    "metrics": {"core", "metrics"},
    "sources": {"core"},
    "units": {"core"},
    "data": {"core", "sources", "units"},
    "embed": {"core", "batching", "ranks"},
    "rounding": set(),
    "features": {"core", "embed", "progress"},
    "database": {"files"},
    "store": {"core", "catalogue", "database", "rounding"},
    "backbones": {"core", "data", "backbones", "rounding"},
    "methods": {
        *("core", "backbones", "batching", "features", "files", "methods", "progress", "ranks"),
    },
    "evaluate": {"core"},
    "code": {"core"},
    "cost": set(),
    "seeds": set(),
    "files": set(),
    "results": {"core", "catalogue", "files"},
    "leaderboard": {"core", "files", "quoted", "results", "seeds"},
    "catalogue": {"core"},
    "compose": {"catalogue"},
    "run": {
        *("core", "catalogue", "code", "data", "evaluate", "metrics", "results", "store"),
        *("ranks", "seeds", "strata"),
    },
    "check": {"core", "backbones", "rounding"},
    "verbs": {
        *("core", "audit", "breakdown", "catalogue", "compose", "leaderboard", "metrics"),
        *("check", "quoted", "results", "store"),
    },
    "pocket": {
        *("backbones", "core", "cost", "data", "files", "leaderboard", "mmseqs", "pocket"),
        "results",
    },
    "mmseqs": {"core"},
    "strata": {"core", "evaluate", "files", "results"},
    "audit": {
        *("core", "data", "evaluate", "metrics", "mmseqs", "progress", "results", "sources"),
        "strata",
    },
    "breakdown": {"core", "leaderboard", "results", "strata"},
    "quoted": {"core", "catalogue"},
}


def imports(path: str) -> set[str]:
    """Modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    "path", [str(file.relative_to(ROOT)) for file in (ROOT / "benchmark").rglob("*.py")]
)
def test_engine_imports_point_one_way(path: str) -> None:
    part = path.split("/")[1].removesuffix(".py")
    names = {name for name in imports(path) if name.split(".")[0] in ("benchmark", "tasks")}

    assert not any(name.split(".")[0] == "tasks" for name in names)
    if part in ALLOWED:
        ours = {name.split(".")[1] for name in names if "." in name}
        assert ours <= ALLOWED[part], part


@pytest.mark.parametrize(
    "words", [["list"], ["leaderboard"], ["store"], ["--help"], ["task=contct"]]
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
