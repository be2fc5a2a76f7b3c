"""Rows and labels of tables: what is read is what is there, and every bad row is named."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.core import UserError
from benchmark.data.cell_values import read_chains
from tasks.contact import Contact
from tasks.protein import Protein
from tasks.residue import Residue, SecondaryStructure

COMMON: dict[str, Any] = {
    "area": "function",
    "version": 1,
    "metrics": ["accuracy"],
    "revision": None,
    "columns": {"sequence": "seq", "label": "label"},
    "unit": {"name": "protein", "chain": None, "substitutions": None},
    "chains": "apart",
    "max_length": None,
    "allow": {},
    "sizes": {},
    "missing": [],
    "mirror": None,
}


def protein(source: str = "", kind: Any = "classification", size: int = 3, **more: Any) -> Protein:
    return Protein(**{**COMMON, "source": source, "kind": kind, "size": size, **more})


def write_csv(path: Path, rows: list[tuple[Any, ...]], header: str = "seq,label,split") -> str:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return f"file:{path}"


GOOD = [("ACDE", 0, "train"), ("CDEF", 1, "train"), ("AAAA", 1, "valid"), ("WWWW", 2, "test")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("AC1E", 0, "train"), "line 2 of a.csv: letter '1' in the sequence"),
        (("", 0, "train"), "line 2 of a.csv: no sequence"),
        (("AC||DE", 0, "train"), "an empty chain"),
        (("ACDE", 7, "train"), "line 2 of a.csv: label 7 is outside its range; .* are .* 0 to 2"),
        (("ACDE", "x", "train"), r"label column has numbers \(1\) and words \('x'\)"),
        (("ACDE", 0.5, "train"), "label 0.5 is outside its range"),
        (("ACDE", None, "train"), "1 of 2 rows of split train .* have no known label"),
        (("ACXE", 0, "train"), "1 of 2 rows of split train .* letters outside the 20"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: tuple[Any, ...], message: str) -> None:
    source = write_csv(tmp_path / "a.csv", [row, *GOOD[1:]])

    with pytest.raises(UserError, match=message):
        protein(source).load()


def write_parquet(path: Path, **columns: list[Any]) -> str:
    pq.write_table(pa.table(columns), path)
    return f"file:{path}"


def test_lists_of_labels_from_parquet(tmp_path: Path) -> None:
    split = ["train", "valid", "test"]
    source = write_parquet(
        tmp_path / "a.parquet",
        seq=["ACD"] * 3,
        split=split,
        label=[[0, 1, -1], [2, 2, 2], [1, 1, 0]],
    )
    fields = {**COMMON, "source": source, "kind": "classification", "size": 3, "states": None}
    assert np.asarray(Residue(**fields).load().train[0].label).tolist() == [0, 1, -1]
    source = write_parquet(
        tmp_path / "b.parquet", seq=["ACD"] * 3, split=split, label=[[0, 1], [1, None], None]
    )
    task = protein(source, "multilabel", 2, allow={"unknown_labels": 1.0})
    splits = task.load()
    assert [p[0].label.tolist() for p in (splits.valid, splits.tests["test"])] == [
        [1, -1],
        [-1, -1],
    ]


@pytest.mark.parametrize("label", [[[0, 9, 1], [15, 2, 3]], [[0, 9], [5]], [[0.5, 3.0]]])
def test_contacts_that_are_no_pairs_are_refused(tmp_path: Path, label: Any) -> None:
    split = ["train", "valid", "test"]
    source = write_parquet(
        tmp_path / "a.parquet", seq=["A" * 20] * 3, split=split, label=[label] * 3
    )
    with pytest.raises(UserError, match=r"row 1 of a.parquet: .* not a list of pairs"):
        Contact(**{**COMMON, "source": source}, min_separation=7).load()


def test_groups_that_share_chains_are_one_and_none_is_ones_own(tmp_path: Path) -> None:
    rows = [("AC", 0, "train", "a"), ("AC", 1, "train", "b"), ("DE", 1, "train", "b")]
    rows += [("FG", 1, "train", None), ("HI", 1, "train", None), *((*r, "z") for r in GOOD[2:])]
    source = write_csv(tmp_path / "a.csv", rows, "seq,label,split,cluster")
    columns = {"sequence": "seq", "label": "label", "group": "cluster"}
    groups = [e.group for e in protein(source, columns=columns).load().train]

    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": "abc"}, "task.max_length=abc is not allowed; give 1 or more, or null"),
        ({"max_length": -3}, "task.max_length=-3 is not allowed; give 1 or more, or null"),
        ({"allow": {"truncated": "abc"}}, "task.allow.truncated=abc is not allowed; give a share"),
        ({"allow": {"truncated": 7}}, "task.allow.truncated=7 is not allowed; give a share"),
        ({"allow": {"cut": 0.1}}, "unknown key of task.allow 'cut'; known: truncated"),
        ({"unit": "foo"}, "task.unit=foo is not allowed; give names with their values"),
        ({"columns": "foo"}, "task.columns=foo is not allowed"),
        ({"sizes": "foo"}, "task.sizes=foo is not allowed"),
        ({"metrics": [1]}, "is not a list of names"),
    ],
)
def test_settings_of_a_table_that_cannot_be(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        protein(write_csv(tmp_path / "a.csv", GOOD), **settings).load()


def test_missing_column_and_missing_test(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", GOOD, "sequence,label,split")
    with pytest.raises(UserError, match="has no column 'seq'; it has sequence, label, split"):
        protein(source).load()
    source = write_csv(tmp_path / "b.csv", GOOD[:3])
    with pytest.raises(UserError, match="needs at least train and test"):
        protein(source).load()


def test_truncation_is_counted_allowed_and_cuts_labels(tmp_path: Path) -> None:
    rows = [("ACDEFG", "HHHCCC", s) for s in ("train", "valid", "test")] + [("AC", "HC", "train")]
    source = write_csv(tmp_path / "a.csv", rows)
    fields = {**COMMON, "source": source, "kind": "classification", "size": 2, "states": "HC"}
    task = Residue(**{**fields, "max_length": 4, "allow": {"truncated": 1.0}})
    splits = task.load()

    assert splits.train[0].chains == ("ACDE",)
    assert np.asarray(splits.train[0].label).tolist() == [0, 0, 0, 1]
    assert splits.report.changes["train"] == {"rows": 2, "truncated": 1, "residues_cut": 2}
    with pytest.raises(UserError, match="max_length, more than the task allows"):
        Residue(**{**fields, "max_length": 4}).load()


def test_labels_by_kind() -> None:
    real = protein(kind="regression", size=1)
    assert float(real.parse("0.5", ("A",))) == 0.5
    assert np.isnan(real.parse(None, ("A",)))
    assert protein().parse(None, ("A",)) == -1
    labels = protein(kind="multilabel", size=3)
    assert labels.parse([1, 0, None], ("A",)).tolist() == [1, 0, -1]
    with pytest.raises(ValueError, match="shape"):
        labels.parse([1, 0], ("A",))


def test_secondary_structure_is_reordered_to_ours() -> None:
    fields = {**COMMON, "source": "", "kind": "classification", "size": 3}
    task = SecondaryStructure(**fields, states="CEH")

    assert task.parse("CEH", ("AAA",)).tolist() == [2, 1, 0]
    assert task.parse([0, 2, -1], ("AAA",)).tolist() == [2, 0, -1]
    with pytest.raises(ValueError, match="2 labels for a chain of 3"):
        task.parse("CE", ("AAA",))


def test_contacts_are_sorted_separated_and_checked() -> None:
    task = Contact(**COMMON, source="", min_separation=7)
    label = task.parse([[0, 0], [9, 1], [1, 9], [3, 4]], ("A" * 10,))

    assert label.tolist() == [[1, 9]]
    assert task.parse([], ("AAA",)).shape == (0, 2)
    with pytest.raises(ValueError, match="outside a chain of 3 residues"):
        task.parse([[0, 3]], ("AAA",))


def test_chains_are_split_and_upper_case() -> None:
    assert read_chains("acd|EFX") == ("ACD", "EFX")
