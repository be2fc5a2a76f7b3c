"""The work of the tables grows with the number of Records, counted in JSON texts that are read."""

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmark.report import cells as cells_module
from benchmark.report.leaderboard import leaderboard, runs_table
from benchmark.report.render import render
from benchmark.report.table import Report
from tests.report.test_leaderboard import record


def texts_read(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """JSON texts that the tables read for Records of so many models."""
    read = 0
    loads = json.loads

    def counting(text: str) -> Any:
        nonlocal read
        read += 1
        return loads(text)

    runs = [replace(record(model=f"m{i % (count // 2)}"), key=str(i)) for i in range(count)]
    with monkeypatch.context() as patched:
        patched.setattr(cells_module.json, "loads", counting)
        cells = cells_module.tabulate(runs)
        render(leaderboard(cells), "markdown")
        render(Report([runs_table(cells)]), "csv")
    return read


def test_the_tables_read_each_rows_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = texts_read(50, monkeypatch), texts_read(200, monkeypatch)
    assert 0 < few <= 2 * 50 and many <= 4.2 * few
