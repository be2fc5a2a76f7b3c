"""The data report: every change of the data is in it and in the Record, without empty values."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from benchmark.core import DataReport
from benchmark.results.migrations import migrate
from benchmark.results.storage import load_all
from tests.conftest import ROOT
from tests.data.test_tables import GOOD, protein, write_csv


def test_an_empty_report_has_no_facts() -> None:
    assert DataReport().facts() == {}
    changes = {"test": {"rows": 3}}
    assert DataReport(mirror=True, changes=changes).facts() == {"mirror": True, "changes": changes}


def test_report_of_a_table(tmp_path: Path) -> None:
    rows = [("ACDEFG", 0, "train"), *GOOD[:2], ("ACXE", 1, "valid"), ("CDEF", 2, "test")]
    source = write_csv(tmp_path / "a.csv", rows)
    allow = {"truncated": 1.0, "unknown_letters": 1.0}
    task = protein(source, max_length=4, allow=allow, sizes={"train": 3, "valid": 1, "test": 9})

    assert task.load().report.facts() == {
        "source": source,
        "unit": "protein",
        "sizes": {"train": 3, "valid": 1, "test": 1},
        "published_sizes": {"train": 3, "valid": 1, "test": 9},
        "changes": {
            "train": {"rows": 3, "truncated": 1, "residues_cut": 2},
            "valid": {"rows": 1, "unknown_letters": 1},
            "test": {"rows": 1},
        },
        "also_in_train": {"test": 1},
    }


def test_report_of_pairs_counts_chains_in_train(tmp_path: Path) -> None:
    rows = [
        ("AC|DE", 0, "train"),
        ("FF|GG", 0, "valid"),
        ("AC|HH", 1, "test"),
        ("DE|AC", 1, "test"),
    ]
    report = protein(write_csv(tmp_path / "a.csv", rows)).load().report

    assert report.chains_in_train == {"test": {"1": 1, "2": 1}}
    assert report.also_in_train == {}, "a pair in the other order has other chains"


def test_report_of_a_mirror_and_of_held_out_groups(tmp_path: Path) -> None:
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        write_csv(folder / f"{name}.csv", [("AC" + "D" * i, 1) for i in range(20)], "seq,label")
    report = protein("hub:org/name", mirror=str(tmp_path)).load().report

    assert report.mirror and not report.revision
    assert report.valid == (
        "10% of the train groups; the source has no valid and no groups, so homologs may be in "
        "both train and valid"
    )


def test_minus_one_is_a_known_answer_in_regression_alone(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [("ACDE", -1, s) for s in ("train", "valid", "test")])
    assert protein(source, "regression", 1).load().report.changes["test"] == {"rows": 1}
    splits = protein(source, allow={"unknown_labels": 1.0}).load()

    assert splits.report.changes["test"] == {"rows": 1, "unknown_labels": 1, "unknown_answers": 1}


def old_record() -> dict[str, Any]:
    """A Record in format 1."""
    (path,) = (ROOT / "tests/results/format1").glob("pocket_metal/*/*/*/seed0.json")
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert values["format"] == 1
    return values


def test_notes_of_format_1_become_the_data_report_and_the_audit() -> None:
    notes = {"source": "x", "mean": "the plain mean", "also_in_train": {}, "audit": {"version": 1}}
    found = migrate({**old_record(), "notes": notes})

    assert "notes" not in found and found["format"] == 2
    assert found["data_report"] == {"source": "x", "aggregate": "the plain mean"}
    assert found["audit"] == {"version": 1}
    assert migrate(old_record())["audit"] == {}


def test_every_committed_record_has_a_data_report(capsys: pytest.CaptureFixture[str]) -> None:
    names = {field.name for field in fields(DataReport)}
    for record in load_all(ROOT / "results"):
        assert set(record.data_report) <= names and record.data_report["source"]
    assert not capsys.readouterr().err
