"""Two processes that write the same tables at once."""

import csv
import subprocess
import sys
from pathlib import Path

from benchmark.results.storage import TITLE, save
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
