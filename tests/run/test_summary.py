"""The summary after a run names unit, sizes, overlap and changes in plain words."""

from dataclasses import replace
from typing import Any

import pytest

from benchmark.report.cells import tabulate
from benchmark.report.leaderboard import leaderboard
from benchmark.results.record import WITHOUT_OVERLAP
from benchmark.run.summary import count, summary
from tests.report.test_leaderboard import record


def test_summary_of_a_run_with_every_caveat() -> None:
    apart = {"examples": 1, "units": 1, "scores": {"roc_auc": 0.4}, "intervals": {}}
    notes = {
        "unit": "homology cluster",
        "sizes": {"train": 2626, "test": 1234},
        "published_sizes": {"train": 1706},
        "changes": {"train": {"rows": 2626, "truncated": 12}, "test": {"rows": 1234}},
        "also_in_train": {"test": 1000},
        "chains_in_train": {"test": {"0": 1, "2": 1233}},
        "classes": ["Golgi body", "nucleus"],
        "left_out": {"rows of the split pred": 1000},
        "unread_columns": [f"c{number}" for number in range(14)],
        "unread_files": ["README.md"],
    }
    strata = {"test": {WITHOUT_OVERLAP: apart}}
    first = ", ".join(f"c{number}" for number in range(12))

    assert summary([record(limit=200, strata=strata, notes=notes)]).splitlines() == [
        "solubility · a · linear: roc_auc 0.500 [0.400, 0.600] (95% CI, 600 homology clusters)",
        "limit=200: not ranked",
        "sizes differ from the published ones: train 2,626 (published: 1,706)",
        "test: 1,000 of 1,234 examples are also in train",
        "number of chains also in train: 0 in 1, 2 in 1,233 test examples",
        "test without overlap: roc_auc 0.400 (1 example)",
        "classes: 0 Golgi body, 1 nucleus",
        f"not read: 1,000 rows of the split pred; columns {first} and 2 more; files README.md",
        "train, 2,626 rows: 12 truncated",
    ]


def test_too_few_units_have_no_interval() -> None:
    few = record(intervals={"test": {}}, units={"test": 9})

    assert summary([few]).endswith("(9 resampling units: too few for a confidence interval)")


def test_a_mean_over_test_sets_is_named() -> None:
    scores = {test: {"roc_auc": 0.5} for test in ("mean", "a", "b")}
    more: dict[str, Any] = {
        "scores": scores,
        "intervals": {test: {"roc_auc": (0.4, 0.6)} for test in scores},
    }
    more |= {"units": dict.fromkeys(scores, 60), "data": {"train": "1", "a": "2", "b": "3"}}
    old, new = record(**more), record(**more, aggregates={"mean": {"a": 0.5, "b": 0.5}})

    for one in (old, new):
        assert summary([one]).endswith("(95% CI, 60 resampling units; mean of 2 test sets)")
        report = leaderboard(tabulate([replace(one, scored=dict.fromkeys(scores, 9))]))
        assert report.tables[0].columns[1].detail == "roc_auc ↑, mean of 2 test sets, n = 9"


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "protein", "1 protein"),
        (2, "protein of a pair", "2 proteins of a pair"),
        (3, "antibody", "3 antibodies"),
        (1200, "HLA", "1,200 HLAs"),
        (2, "assay", "2 assays"),
    ],
)
def test_units_are_counted_in_words(number: int, noun: str, text: str) -> None:
    assert count(number, noun) == text
