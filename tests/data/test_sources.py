"""Sources: what is read equals what is in the files, and a mistake is one sentence."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import UserError
from benchmark.data.digests import digest_examples, digest_splits
from tests.conftest import ROOT
from tests.data.test_tables import GOOD, protein, write_csv


def test_one_file_with_a_split_column(tmp_path: Path) -> None:
    splits = protein(write_csv(tmp_path / "a.csv", GOOD)).load()

    assert [e.chains for e in splits.train] == [("ACDE",), ("CDEF",)]
    assert [int(e.label) for e in splits.tests["test"]] == [2]
    assert len(splits.valid) == 1


def test_mirror_folder_with_named_test_sets(tmp_path: Path) -> None:
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    for name in ("train", "valid", "test", "test.family"):
        write_csv(folder / f"{name}.csv", [("ACD", 1), ("ACD", 1)], "seq,label")
    splits = protein("hub:org/name", mirror=str(tmp_path)).load()

    assert list(splits.tests) == ["test", "family"]
    assert [e.id[-2:] for e in splits.train] == ["-0", "-1"], (
        "repeated chains have ids of their own"
    )
    assert splits.train[0].group == splits.train[1].group, "same chains, one unit"


def test_a_changed_file_is_seen(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", GOOD)
    before = digest_examples(protein(source).load().train)
    write_csv(tmp_path / "a.csv", [("ACDE", 1, "train"), *GOOD[1:]])

    assert digest_examples(protein(source).load().train) != before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp:x", "starts with hub:, package: or file:"),
        ("file:/nowhere.csv", "is not there"),
        ("hub:org/absent", "cannot get org/absent from the hub .* mirror=DIR"),
        ("package:absent.parquet", "is not there"),
    ],
)
def test_a_missing_source_says_what_to_do(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        protein(source).load()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train", "test", "holdout"], "a split 'holdout'; allowed are train"),
        (["train", "test", "valid", "val"], "two splits that mean valid"),
        (["train", "test", "test.valid"], "a split 'test.valid'"),
        (
            ["train", "test", None],
            "line 4 of a.csv has no split; allowed are train, valid and test",
        ),
    ],
)
def test_splits_have_known_names(tmp_path: Path, names: list[Any], message: str) -> None:
    rows = [("ACD", 1, name) for name in names]
    with pytest.raises(UserError, match=message):
        protein(write_csv(tmp_path / "a.csv", rows)).load()


def test_a_test_set_with_a_name_alone(tmp_path: Path) -> None:
    rows = [*GOOD[:3], ("ACD", 1, "test.family"), ("ACDE", 1, "test.family")]
    splits = protein(write_csv(tmp_path / "a.csv", rows)).load()

    assert list(splits.tests) == ["family"]
    assert splits.report.also_in_train == {"family": 1}


def test_the_hardest_test_set_ranks(tmp_path: Path) -> None:
    sets = ("family", "fold", "superfamily", "another")
    rows = [*GOOD[:3], *(("ACDE" + "W" * i, 1, f"test.{name}") for i, name in enumerate(sets))]
    source = write_csv(tmp_path / "a.csv", rows)

    assert list(protein(source).load().tests) == ["fold", "superfamily", "family", "another"]
    rows.append(("ACDF", 1, "test"))
    assert next(iter(protein(write_csv(tmp_path / "b.csv", rows)).load().tests)) == "test"


def test_a_compressed_table(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", GOOD)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    plain, packed = (protein(f"file:{tmp_path / name}").load() for name in ("a.csv", "a.csv.gz"))

    assert digest_examples(plain.train) == digest_examples(packed.train)


def test_fasta_in_the_format_of_flip(tmp_path: Path) -> None:
    """Headers in any order, sequences of several lines, a name that is there twice."""
    (tmp_path / "a.fasta").write_text(
        ">P1 SET=train VALIDATION=False TARGET=1 CLUSTER=x\nACD\nEFG\n"
        ">P1 TARGET=2 SET=train VALIDATION=True\nACD\n"
        ">P3 TARGET= SET=test\nWW\n>P4 SET=test TARGET=0\nWWW\n"
    )
    columns = {"sequence": "seq", "label": "label", "group": "CLUSTER"}
    splits = protein(
        f"file:{tmp_path / 'a.fasta'}", columns=columns, allow={"unknown_labels": 0.5}
    ).load()

    assert [(e.chains, int(e.label), e.group) for e in splits.train] == [(("ACDEFG",), 1, "x")]
    assert [e.chains for e in splits.valid] == [("ACD",)]
    assert [int(np.asarray(e.label)) for e in splits.tests["test"]] == [-1, 0]
    (tmp_path / "b.fa").write_text("ACD\n")
    with pytest.raises(UserError, match="the text 'ACD' before the first '>'"):
        protein(f"file:{tmp_path / 'b.fa'}").load()


def test_na_is_a_peptide(tmp_path: Path) -> None:
    rows = [("NA", 0, "train"), *GOOD]
    assert protein(write_csv(tmp_path / "a.csv", rows)).load().train[0].chains == ("NA",)


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")

    with pytest.raises(UserError, match=r"a\.parquet is broken"):
        protein(f"file:{tmp_path / 'a.parquet'}").load()


def test_a_mirror_as_the_hub_has_it(tmp_path: Path) -> None:
    """Shards in data/, beside the files that a download leaves there."""
    data = tmp_path / "org" / "name" / "data"
    data.mkdir(parents=True)
    for number, rows in enumerate((GOOD[:1], GOOD[1:2])):
        write_csv(data / f"train-{number:05}-of-00002.csv", [r[:2] for r in rows], "seq,label")
    write_csv(data / "validation-00000-of-00001-0123abcd.csv", [GOOD[2][:2]], "seq,label")
    write_csv(data / "test-00000-of-00001.csv", [GOOD[3][:2], ("A1", 0)], "seq,label")
    for name in (".gitattributes", "README.md"):
        (data.parent / name).write_text("about")
    (data.parent / ".huggingface").mkdir()
    task = protein("hub:org/name", mirror=str(tmp_path))
    with pytest.raises(UserError, match=r"line 3 of test-00000-of-00001.csv: letter '1'"):
        task.load()
    write_csv(data / "test-00000-of-00001.csv", [GOOD[3][:2]], "seq,label")
    splits = task.load()
    one_file = protein(write_csv(tmp_path / "a.csv", GOOD)).load()

    assert digest_splits(splits) == digest_splits(one_file)
    assert splits.report.unread_files == ["README.md"]
    assert splits.report.left_out == {"hidden files": 2}
    write_csv(data / "train-00001-of-00002.csv", [("A1", 0)], "seq,label")
    with pytest.raises(UserError, match=r"line 2 of train-00001-of-00002.csv"):
        task.load()


def test_local_files_do_not_import_the_library_of_the_hub(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", GOOD)
    code = f"""
import sys
from tests.data.test_tables import protein
protein({source!r}).load()
assert "datasets" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
