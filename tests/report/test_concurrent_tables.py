"""Two processes that write the same tables at once."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.report import leaderboard
from benchmark.results.record import Record
from benchmark.results.storage import TITLE, load_all, save
from tests.command_line import environment
from tests.report.test_leaderboard import record

WRITER = """
import sys
from pathlib import Path
from benchmark.report.leaderboard import write
for _ in range(60):
    write(Path(sys.argv[1]))
"""


def test_tables_are_complete_while_two_processes_write_them(tmp_path: Path) -> None:
    """A reader finds whole files at any time, and no temporary file is left."""
    for model in "abc":
        save(record(model=model), {"prediction": [0.5]}, tmp_path)
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen(command, env=environment()) for _ in range(2)]
    markdown, table, seen = tmp_path / "README.md", tmp_path / "leaderboard.csv", 0
    while any(writer.poll() is None for writer in writers):
        if markdown.exists() and table.exists():
            text = markdown.read_text()
            assert text.startswith(TITLE) and text.endswith("\n") and "| c |" in text
            with table.open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            assert {row["model"] for row in rows} == set("abc")
            assert all(None not in row.values() for row in rows)
            seen += 1

    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen > 1
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_ends_meanwhile_is_in_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote its own tables, which these replace; a Record may also be replaced."""
    first = record(model="first")
    save(first, {"prediction": [0.5]}, tmp_path)
    ended = [record(model="second"), replace(first, area="structure")]

    def load_slowly(results: Path) -> list[Record]:
        found = load_all(results)
        if ended:
            save(ended.pop(0), {"prediction": [0.5]}, tmp_path)
        return found

    monkeypatch.setattr(leaderboard, "load_all", load_slowly)
    leaderboard.write(tmp_path)

    with (tmp_path / "leaderboard.csv").open(newline="") as stream:
        rows = {row["model"]: row["area"] for row in csv.DictReader(stream)}
    assert rows == {"first": "structure", "second": first.area}
