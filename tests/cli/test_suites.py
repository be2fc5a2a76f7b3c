"""A suite on the command line."""

import json
from pathlib import Path

import pytest

from tests.command_line import run_cli
from tests.tasks.test_contracts import suite_tasks


@pytest.mark.slow
def test_the_pocket_suite_runs_with_a_limit(tmp_path: Path) -> None:
    """One Record for each task of the suite, all marked as limited."""
    done = run_cli("-m", "+suite=pocket", "model=onehot", "limit=12", "device=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(p.read_text()) for p in tmp_path.glob("results/*/*/*/*/seed0.json")]

    assert sorted(record["task"] for record in records) == sorted(suite_tasks("pocket"))
    assert {record["limit"] for record in records} == {12}
    assert not (tmp_path / "results" / "README.md").exists()
