"""Filters of the tables, and the view of ranks."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.core import UserError
from benchmark.report.cells import Cells, tabulate
from benchmark.report.filters import select
from benchmark.report.ranking import by_rank
from benchmark.results.storage import load_all
from tests.report.stored_runs import save_run
from tests.report.test_leaderboard import record

ONEHOT = {"_target_": "benchmark.backbones.baselines.descriptors.Window"}


def cells() -> Cells:
    return tabulate(
        [
            record("cloning", "esm2_8m", backbone={"digest": "a", "parameters": 7_500_000}),
            record("contact", "esm2_650m", backbone={"digest": "b", "parameters": 650_000_000}),
            record("contact", "mine", area="structure", created="2026-03-01T00:00:00Z"),
            record("contact", "onehot", config={"task": {}, "model": ONEHOT}),
            record("contact", "esm2_8m", method="lora"),
        ]
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"area": "structure"}, {"mine"}),
        ({"suite": "structure"}, {"esm2_650m", "mine", "onehot", "esm2_8m"}),
        ({"method": "lora"}, {"esm2_8m"}),
        ({"task": "cloning,x"}, {"esm2_8m"}),
        ({"family": "esm2"}, {"esm2_8m", "esm2_650m"}),
        ({"family": "baseline"}, {"onehot"}),
        ({"since": "2026-02-01"}, {"mine"}),
        ({"max_parameters": "8M"}, {"esm2_8m", "onehot"}),
        ({"max_parameters": "1e9", "suite": "structure"}, {"esm2_650m", "onehot"}),
    ],
)
def test_filters(words: dict[str, str], expected: set[str]) -> None:
    found = select(cells(), words)
    assert {row.model for rows in found.values() for row in rows} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"area": "structre"}, "unknown area 'structre'; did you mean structure"),
        ({"suite": "all"}, "unknown suite 'all'"),
        ({"since": "May"}, "since=May is not a date; give one as since=2026-01-31"),
        ({"max_parameters": "big"}, "max_parameters=big is not a number"),
        ({"family": "mine", "method": "lora"}, "no result for method=lora family=mine"),
        (
            {"family": "xyz"},
            "unknown family 'xyz'; known: baseline, esm2, esm2_650m, esm2_8m, mine",
        ),
    ],
)
def test_filters_that_fit_nothing_are_refused(words: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        select(cells(), words)


def test_ranks_and_ties(tmp_path: Path) -> None:
    """`b` repeats almost all of `a`, `c` is worse, `d` misses a task, `e` has two checkpoints."""
    rng = np.random.default_rng(0)
    for task in ("pocket_contact", "pocket_ss8"):
        good = rng.random(500) < 0.7
        almost = good.copy()
        almost[:2] = ~good[:2]
        answers = {
            "a": good,
            "b": almost,
            "c": good & (rng.random(500) < 0.7),
            "d": good,
            "e": good,
        }
        for name, values in answers.items():
            if (name, task) != ("d", "pocket_ss8"):
                about = {"area": "structure", "notes": {"source": "package:x"}}
                weights = {"backbone": {"digest": f"{name} {task if name == 'e' else ''}"}}
                save_run(tmp_path, values, task, name, **about, **weights)
    (mean, *single) = by_rank(tabulate(load_all(tmp_path)), tmp_path).tables

    assert mean.title == "Structure, embedded tasks · linear: mean of 2 tasks"
    found = {row[0]: row[2:] for row in mean.rows}
    assert sorted(found) == ["a", "b", "c"], "complete rows alone"
    assert {found["a"][4], found["b"][4]} == {"best", "tied"} and found["c"][2:5] == [3, "3", None]
    assert found["c"][:2] == [3, 0] and len(found["c"]) == 5, "two tasks have no interval"
    assert [len(table.rows) for table in single] == [5, 4]
    assert {row[0]: row[-1] for row in single[0].rows}["d"] in ("best", "tied")


def test_rows_without_predictions_have_no_rank(tmp_path: Path) -> None:
    for name, values in (("a", np.ones(50)), ("b", np.arange(50) % 2)):
        found = save_run(tmp_path, values, model=name)
    (tmp_path / found.path).with_suffix(".parquet").unlink()
    (table,) = by_rank(tabulate(load_all(tmp_path)), tmp_path).tables

    assert [list(row[2:]) for row in table.rows] == [[1, "1", "best"], [None] * 3]
    assert table.notes == ["1 rows have no rank: their predictions are not stored"]
