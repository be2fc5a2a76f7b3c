"""One test for each exit code that a command can end with today."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.core import ExitCode
from tests.command_line import ROOT, run_cli
from tests.report.stored_runs import save_run

UNRUNNABLE = ["-m", "task=pocket_metal", "model=huggingface", "limit=10"]
"""A multirun whose only run fails: it lacks model.path."""


def test_codes_are_as_documented() -> None:
    """The table of benchmark/README.md, which scripts and CI jobs rely on."""
    table = (ROOT / "benchmark" / "README.md").read_text().split("### Exit codes")[1]
    rows = re.findall(r"^\| (\d+) \|", table.split("\n## ")[0], re.M)

    assert [int(row) for row in rows] == list(ExitCode) == [0, 1, 2, 3, 70, 130]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list", "suites"], ExitCode.DONE),
        (UNRUNNABLE, ExitCode.FAILED),
        (UNRUNNABLE[1:], ExitCode.USER_ERROR),
        (["lst"], ExitCode.USER_ERROR),
        (["gate", "b", "baseline=results/cloning/a", "results=results"], ExitCode.INVESTIGATE),
    ],
)
def test_a_command_ends_with_its_code(words: list[str], code: ExitCode, tmp_path: Path) -> None:
    """Ten proteins are too few for a gate to decide."""
    for name in "ab":
        save_run(tmp_path / "results", np.arange(10) % 2, model=name)
    assert run_cli(*words, cwd=tmp_path).returncode == code


@pytest.mark.parametrize(
    ("error", "code"),
    [(ZeroDivisionError("x / 0"), ExitCode.BUG), (KeyboardInterrupt(), ExitCode.INTERRUPTED)],
)
def test_bugs_and_interruptions_have_codes(
    error: BaseException, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise error

    monkeypatch.setattr(main, "run_verb", fails)
    done = run_cli("list", cwd=tmp_path)

    assert done.returncode == code and done.stderr.count("\n") == 1
    if code == ExitCode.BUG:
        (log,) = re.findall(r"traceback in (\S+),", done.stderr)
        assert "ZeroDivisionError: x / 0" in Path(log).read_text()
        Path(log).unlink()
        assert "Traceback" in run_cli("list", "debug=true", cwd=tmp_path).stderr
