"""How a bad input is tried, and what its refusal must look like."""

import re
from pathlib import Path
from typing import NamedTuple

from tests.command_line import run_cli

PROGRESS = re.compile(r"[\w -]+: [\d,]+ of [\d,]+")
"""A line that a slow machine writes while it works."""


class Bad(NamedTuple):
    """Words of a command line that are refused, and what the one line must say."""

    words: str
    """Separated by spaces; in the folder of the bad files."""
    cause: str
    """Part of the line that says what came."""
    remedy: str
    """Part of the line that says what is allowed, or what to do."""


def check_refusal(bad: Bad, folder: Path, *more: str) -> None:
    """Run the command in `folder`; `more` are words that may contain spaces."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run_cli(*bad.words.split(), *more, cwd=folder)
    lines = [line for line in done.stderr.splitlines() if line.strip() and not PROGRESS.match(line)]
    assert done.returncode == 2, done
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    assert bad.cause in lines[0], lines[0]
    assert bad.remedy in lines[0], lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert after == before, "something was written"
