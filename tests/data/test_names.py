"""The user's own ids reach the table of predictions and change nothing else."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmark.core import Splits, UserError
from benchmark.data.digests import digest_splits
from tests.command_line import run_cli as benchmark
from tests.data.test_tables import COMMON, GOOD, protein, write_csv
from tests.tasks import test_variant

WITH_ID = [(*row, f"P{number}") for number, row in enumerate(GOOD)]


def names(splits: Splits) -> list[str]:
    return [e.name for part in (splits.train, splits.valid, *splits.tests.values()) for e in part]


@pytest.mark.parametrize(
    ("header", "column"), [("seq,label,split,id", None), ("seq,label,split,accession", "accession")]
)
def test_names_from_a_column(tmp_path: Path, header: str, column: str | None) -> None:
    source = write_csv(tmp_path / "a.csv", WITH_ID, header)
    columns = {**COMMON["columns"], "id": column}

    assert names(protein(source, columns=columns).load()) == ["P0", "P1", "P2", "P3"]


def test_an_empty_id_is_no_name_and_a_missing_column_is_refused(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", [(*row, "") for row in GOOD], "seq,label,split,id")
    assert names(protein(source).load()) == [""] * 4
    with pytest.raises(UserError, match="has no column 'entry'; it has seq, label, split, id"):
        protein(source, columns={**COMMON["columns"], "id": "entry"}).load()


def test_names_change_no_digest_id_or_order(tmp_path: Path) -> None:
    with_id = protein(write_csv(tmp_path / "a.csv", WITH_ID, "seq,label,split,id")).load()
    without = protein(write_csv(tmp_path / "b.csv", GOOD)).load()

    assert names(without) == [""] * 4
    assert digest_splits(with_id) == digest_splits(without)
    assert [e._replace(name="") for e in with_id.train] == list(without.train)


def test_names_from_fasta_headers(tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(
        ">sp|P1|A_B a protein SET=train TARGET=1\nACD\n>SET=valid TARGET=0\nACE\n"
        ">P3 SET=test TARGET=0\nWW\n"
    )
    assert names(protein(f"file:{tmp_path / 'a.fasta'}").load()) == ["sp|P1|A_B", "", "P3"]


def test_names_of_variants_are_their_mutations(tmp_path: Path) -> None:
    rows = test_variant.assay()
    test_variant.write(tmp_path / "ONE.csv", rows)
    for folds in (None, "random"):
        splits = test_variant.task(tmp_path, folds=folds).load()
        assert set(names(splits)) == {row[0] for row in rows}


@pytest.mark.slow
def test_predictions_have_a_name_column_if_there_are_names(tmp_path: Path, toy_conf: Path) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    table = tmp_path / "toy.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{head},id", *(f"{r},P{i}" for i, r in enumerate(rows))]))
    again = benchmark(*words, cwd=tmp_path)
    assert "skipped: result exists" in again.stdout, "the same run: names are not in its key"
    assert benchmark(*words, "rerun=true", cwd=tmp_path).returncode == 0
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.parquet")

    found = pq.read_table(path).to_pylist()
    columns = ["test", "id", "name", "group", "seq", "label", "prediction", "value.accuracy"]
    assert list(found[0]) == columns
    chains = [row.split(",")[0] for row in rows]
    assert all(chains[int(row["name"][1:])] == row["seq"] for row in found)
