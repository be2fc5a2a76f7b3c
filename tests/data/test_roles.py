"""Roles of columns, missing cells and class words, on tables that are not in ../shared/cases."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import UserError
from tasks.contact import Contact
from tasks.residue import Residue, SecondaryStructure
from tests.data.test_tables import COMMON, GOOD, protein, write_csv, write_parquet


def columns(**roles: Any) -> dict[str, Any]:
    return {**COMMON["columns"], **roles}


def labels(examples: Any) -> list[float]:
    return [float(example.label) for example in examples]


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("seq,label,set,validation", {}),
        ("seq,label,part,dev", {"split": "part", "validation": "dev"}),
    ],
)
def test_flags_of_validation(tmp_path: Path, header: str, roles: dict[str, str]) -> None:
    rows = [("ACD", 0, "train", ""), ("CDE", 1, "train", "TRUE"), ("DEF", 2, "test", "False")]
    rows += [("EFG", 1, "train", "0"), ("FGH", 0, "train", "1")]
    splits = protein(write_csv(tmp_path / "a.csv", rows, header), columns=columns(**roles)).load()

    assert [e.chains[0] for e in splits.train] == ["ACD", "EFG"]
    assert [e.chains[0] for e in splits.valid] == ["CDE", "FGH"]
    assert not splits.report.valid and not splits.report.unread_columns


def test_flags_in_the_train_file_of_a_folder(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("ACD", 0, True), ("CDE", 1, None)], "seq,label,Validation")
    write_csv(tmp_path / "test.csv", [("DEF", 2)], "seq,label")
    splits = protein(f"file:{tmp_path}").load()

    assert [e.chains[0] for e in splits.valid] == ["ACD"] and len(splits.train) == 1


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [(7, *GOOD[0][:2], "human", 0.5), (8, "WWW", 1, "yeast", 0.1)]
    for name in ("train", "test"):
        write_csv(
            folder / f"{name}.csv",
            [(*r[:1], r[1] + name[0].upper(), *r[2:]) for r in rows],
            ",seq,label,organism,pH",
        )
    write_csv(folder / "valid.csv", [("AAA", 1)], "seq,label")
    (folder / "README.md").write_text("about")
    (folder / "._train.csv").write_bytes(b"\0\5\26\7")
    (folder / ".DS_Store").write_bytes(b"x")
    report = protein(f"file:{folder}").load().report

    assert report.unread_columns == ["(no name)", "organism", "pH"]
    assert report.unread_files == ["README.md"] and report.left_out == {"hidden files": 2}


def test_split_pred_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*GOOD, ("MMM", None, "pred"), ("MMW", None, "pred"), ("ACW", 1, "test7")]
    splits = protein(write_csv(tmp_path / "a.csv", rows)).load()

    assert splits.report.left_out == {"rows of the split pred": 2}
    assert list(splits.tests) == ["test", "test7"]


def test_class_words_are_numbered_in_sorted_order_and_recorded(tmp_path: Path) -> None:
    words = ["nucleus", "Golgi body", "cytosol", "nucleus"]
    rows = [(seq, word, split) for (seq, _, split), word in zip(GOOD, words, strict=True)]
    rows += [("MMM", "cytosol", "train"), ("MMW", "", "test")]
    splits = protein(write_csv(tmp_path / "a.csv", rows), allow={"unknown_labels": 0.5}).load()

    assert splits.report.classes == ["Golgi body", "cytosol", "nucleus"]
    assert labels(splits.train) == [2, 0, 1]
    assert labels(splits.valid) == [1] and labels(splits.tests["test"]) == [2, -1]


def test_a_column_per_label(tmp_path: Path) -> None:
    rows = [(*row[:1], 1, "0", row[2]) for row in GOOD[:3]] + [("WWWW", "", "1.0", "test")]
    task = protein(
        write_csv(tmp_path / "a.csv", rows, "seq,membrane,nucleus,split"), "multilabel", 2,
        columns=columns(label=["nucleus", "membrane"]),
    )  # fmt: skip
    splits = task.load()

    assert splits.train[0].label.tolist() == [0, 1]
    assert splits.tests["test"][0].label.tolist() == [1, -1]


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NULL", "none", "N/A", "n.d."])
def test_one_meaning_of_missing(tmp_path: Path, cell: str) -> None:
    """In labels, groups and validation flags alike."""
    rows = [(*row, "x", "no") for row in GOOD] + [("MMM", cell, "train", "NA", cell[:0])] * 1
    rows = [
        (seq, y, split, group, {"no": 0}.get(flag, flag)) for seq, y, split, group, flag in rows
    ]
    task = protein(
        write_csv(tmp_path / "a.csv", rows, "seq,label,split,group,validation"), "regression", 1,
        columns=columns(group="group"), allow={"unknown_labels": 0.5}, missing=["n.d."],
    )  # fmt: skip
    splits = task.load()

    assert np.isnan(labels(splits.train)[2])
    assert splits.report.changes["train"]["unknown_labels"] == 1
    assert len({e.group for e in splits.train}) == 2, "a missing group is one's own"


def test_missing_values_of_parquet(tmp_path: Path) -> None:
    source = write_parquet(
        tmp_path / "a.parquet", seq=["ACD", "CDE", "DEF", "EFG"], split=[row[2] for row in GOOD],
        label=[1.0, float("nan"), None, -1.0], group=["", None, "a", "a"],
        id=["P0", None, "P2", "P3"],
    )  # fmt: skip
    splits = protein(
        source, "regression", 1, columns=columns(group="group"), allow={"unknown_labels": 1}
    ).load()

    assert labels(splits.tests["test"]) == [-1], "a legal value in regression"
    assert splits.train[0].group != splits.train[1].group
    assert [e.name for e in splits.train] == ["P0", ""]


SS8: dict[str, Any] = {**COMMON, "source": "", "kind": "classification", "size": 8}


def test_states_of_dssp() -> None:
    """The loop under its other names, unknown residues, and the P of DSSP 4."""
    usual = SecondaryStructure(**SS8, states="GHIBESTC").parse("HECT", ("AAAA",)).tolist()
    for loop in "-L _":
        task = SecondaryStructure(**SS8, states=f"GHIBEST{loop}")
        assert task.parse(f"HE{loop}T", ("AAAA",)).tolist() == usual
        assert task.parse("HEPT", ("AAAA",)).tolist() == usual
        assert task.changed("HEPP") == {"poly-proline_residues_read_as_loop": 2}
    marked = SecondaryStructure(**{**SS8, "missing": ["?", "-"]}, states="GHIBESTC")
    assert marked.parse("H?-T", ("AAAA",)).tolist() == [usual[0], -1, -1, usual[3]]
    assert marked.parse(["H", None, "C", "T"], ("AAAA",)).tolist() == [usual[0], -1, *usual[2:]]
    with pytest.raises(ValueError, match=r"state '\?'; .* task.missing=\['\?'\]"):
        SecondaryStructure(**SS8, states="GHIBESTC").parse("H?-T", ("AAAA",))


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        ("1101", [2]), ([1, 1, 0, 1], [2]), ([True, True, False, True], [2]), ([0, 3], [1, 2]),
        (None, []), ([], [0, 1, 2, 3]),
    ],
)  # fmt: skip
def test_masks_of_residues(tmp_path: Path, mask: Any, hidden: list[int]) -> None:
    source = write_parquet(
        tmp_path / "a.parquet", seq=["ACDE"] * 3, label=["HE?E" if 2 in hidden else "HEEE"] * 3,
        split=["train", "valid", "test"], valid_mask=[mask] * 3,
    )  # fmt: skip
    fields = {**SS8, "source": source, "size": 2, "allow": {"unknown_labels": 1}, "states": "HE"}
    task = Residue(**{**fields, "columns": columns(mask="valid_mask"), "missing": ["?"]})
    label = np.asarray(task.load().train[0].label)

    assert np.flatnonzero(label == -1).tolist() == hidden
    assert set(label[label != -1]) <= {0, 1}


def test_a_value_per_residue_with_missing_ones() -> None:
    task = Residue(**{**SS8, "kind": "regression", "size": 1, "missing": ["x"]}, states=None)

    np.testing.assert_array_equal(
        task.parse("0.5;-1;;NA;x", ("ACDEF",)), [0.5, -1, np.nan, np.nan, np.nan]
    )
    assert np.isnan(task.parse(None, ("ACD",))).all()
    with pytest.raises(ValueError, match=r"label .* is not a number"):
        task.parse("0.5;high;1", ("ACD",))


def test_a_mask_of_contacts(tmp_path: Path) -> None:
    source = write_parquet(
        tmp_path / "a.parquet", seq=["A" * 12] * 3, label=[[[0, 9], [1, 11]]] * 3,
        split=["train", "valid", "test"], mask=["011111111110"] * 3,
    )  # fmt: skip
    splits = Contact(**{**COMMON, "source": source}, min_separation=7).load()

    assert np.asarray(splits.train[0].label).tolist() == [[0, 9], [1, 11], [0, 0], [11, 11]]
    # pairs of 0 or 11 that are 6 or more apart: 6 with each, one of them with both
    assert splits.report.changes["test"] == {
        "rows": 1,
        "unresolved_residues": 2,
        "unknown_answers": 11,
    }


def test_pairs_of_biotrainer(tmp_path: Path) -> None:
    """The second protein is another record's; an interaction in both directions is one."""
    (tmp_path / "a.fasta").write_text(
        ">A INTERACTOR=B TARGET=0 SET=train\nACD\n>B INTERACTOR=A TARGET=0 SET=train\nCDE\n"
        ">C INTERACTOR=B TARGET=1 SET=val\nDEF\n>D INTERACTOR=D TARGET=1 SET=test\nEFG\n"
    )
    splits = protein(f"file:{tmp_path / 'a.fasta'}").load()

    assert [e.chains for e in splits.train] == [("ACD", "CDE")]
    assert [e.chains for e in splits.valid] == [("DEF", "CDE")]
    assert [e.chains for e in splits.tests["test"]] == [("EFG", "EFG")]
    assert splits.report.left_out == {"interactions given in both directions": 1}


def test_a_partner_column(tmp_path: Path) -> None:
    rows = [(row[0], "MKV", *row[1:]) for row in GOOD]
    source = write_csv(tmp_path / "a.csv", rows, "seq,other,label,split")

    assert protein(source, columns=columns(partner="other")).load().train[0].chains == (
        "ACDE",
        "MKV",
    )


def test_words_in_headers(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(
        "".join(
            f">sp|P{i} Putative kinase OS=Homo sapiens SET={split} TARGET=1\n{seq}\n"
            for i, (seq, _, split) in enumerate(GOOD)
        )
    )
    splits = protein(f"file:{tmp_path / 'a.fasta'}", columns=columns(group="OS")).load()

    assert len({e.group for e in splits.train}) == 1
    assert splits.report.unread_columns == ["description"]


def test_stop_codons_at_the_end_are_removed_and_counted(tmp_path: Path) -> None:
    rows = [("ACDE*", 0, "train"), *GOOD[1:]]
    splits = protein(write_csv(tmp_path / "a.csv", rows)).load()

    assert splits.train[0].chains == ("ACDE",)
    assert splits.report.changes["train"] == {"rows": 2, "stop_codons": 1}


def test_a_column_that_is_there_twice_by_case_is_ambiguous(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [("ACD", 1, "train", "x")], "seq,label,Split,SPLIT")
    with pytest.raises(UserError, match=r"columns Split and SPLIT; name one as task.columns.split"):
        protein(source).load()
