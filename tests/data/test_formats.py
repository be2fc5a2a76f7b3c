"""One table in every format gives the same examples, bit for bit."""

import csv
import gzip
import io
import random
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.core import RESIDUES, Splits
from benchmark.data.digests import digest_splits
from benchmark.data.formats import FORMATS, position
from tests.data.test_tables import GOOD, protein, write_csv

CELL = st.text("ACDE,\"' x\n", min_size=1, max_size=6).map(str.strip).filter(bool)
ROW = st.tuples(
    st.text(RESIDUES, min_size=1, max_size=12),
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-5, 5).map(float)),
    st.sampled_from(["train", "valid", "test", "test.hard"]),
    st.sampled_from([None, "a", "b"]),
)
HEAD = [("ACD", 1.0, "train", "a"), ("CDE", -1.0, "valid", None), ("DEF", 0.5, "test", "b")]
NAMES = ("seq", "label", "split", "cluster")
WORDS = {"label": "TARGET", "split": "SET"}


def columns_of(rows: list[Any], extra: list[str], order: random.Random) -> dict[str, list[Any]]:
    """The table by column, in any order of rows and columns, with a column that nobody reads."""
    rows = [(f"P{number}", *row) for number, row in enumerate(rows)]
    order.shuffle(rows)
    ids, *found = map(list, zip(*rows, strict=True))
    columns = {
        "id": ids,
        **dict(zip(NAMES, found, strict=True)),
        "note": (extra * len(rows))[: len(rows)],
    }
    names = list(columns)
    order.shuffle(names)
    return {name: columns[name] for name in names}


def as_text(columns: dict[str, list[Any]], separator: str, index: bool, line_end: str) -> str:
    """CSV or TSV, with an index as pandas writes it."""
    head, *cells = [[name, *map(repr_cell, values)] for name, values in columns.items()]
    table = [head, *cells]
    if index:
        table.insert(0, ["", *map(str, range(len(head) - 1))])
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator=line_end).writerows(
        zip(*table, strict=True)
    )
    return stream.getvalue()


def repr_cell(value: Any) -> str:
    return "" if value is None else str(value)


def as_fasta(columns: dict[str, list[Any]], line_end: str) -> str:
    """Headers with keys in the order of the columns; sequences in lines of five residues."""
    lines = []
    for row in zip(*columns.values(), strict=True):
        values = dict(zip(columns, row, strict=True))
        keys = [
            f"{WORDS.get(name, name)}={repr_cell(value)}"
            for name, value in values.items()
            if name not in ("id", "seq", "note")
        ]
        lines.append(" ".join([f">{values['id']} a note", *keys]))
        lines += [values["seq"][at : at + 5] for at in range(0, len(values["seq"]), 5)]
    return line_end.join([*lines, ""])


def sorted_examples(splits: Splits) -> dict[str, list[Any]]:
    """Every example, in an order that does not depend on that of the rows."""
    parts = {"train": splits.train, "valid": splits.valid, **splits.tests}
    return {
        name: sorted((e.name, e.chains, e.group, e.label.tobytes()) for e in examples)
        for name, examples in parts.items()
    }


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ROW, max_size=12), st.lists(CELL, min_size=1, max_size=3), st.randoms())
def test_one_table_in_every_format(
    tmp_path: Path, rows: list[Any], extra: list[str], order: random.Random
) -> None:
    rows = [*HEAD, *rows]
    columns = {"sequence": "seq", "label": "label", "group": "cluster"}
    found, reports = [], []
    for end, index, mark, line_end in product(
        FORMATS, (0, 1), (b"", b"\xef\xbb\xbf"), ("\n", "\r\n")
    ):
        kind, file = FORMATS[end], tmp_path / f"table{end}"
        table = columns_of(rows, extra, order)
        if kind == "parquet":
            if mark or line_end == "\r\n":
                continue
            stored = pa.table(table)
            if index:
                stored = stored.append_column("__index_level_0__", pa.array(range(len(rows))))
            pq.write_table(stored, file)
        else:
            text = (
                as_fasta(table, line_end)
                if kind == "fasta"
                else as_text(table, {"csv": ",", "tsv": "\t"}[kind], bool(index), line_end)
            )
            content = mark + text.encode()
            file.write_bytes(gzip.compress(content) if end.endswith(".gz") else content)
        task = protein(
            f"file:{file}", "regression", 1, columns=columns, allow={"unknown_labels": 1}
        )
        splits = task.load()
        found.append(sorted_examples(splits))
        reports.append(len(splits.report.unread_columns))

    assert all(one == found[0] for one in found)
    assert set(reports) <= {1, 2}, "the note, and the index where there is one"


def test_rows_in_the_same_order_have_the_same_digest(tmp_path: Path) -> None:
    plain = protein(write_csv(tmp_path / "a.csv", GOOD)).load()
    (tmp_path / "a.fasta").write_text(
        "".join(f">P{i} SET={s} TARGET={y}\n{seq}\n" for i, (seq, y, s) in enumerate(GOOD))
    )
    for name in ("b.tsv", "c.csv.gz", "d.tsv.gz"):
        text = (tmp_path / "a.csv").read_text()
        text = text.replace(",", "\t") if ".tsv" in name else text
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
    for name in ("a.fasta", "b.tsv", "c.csv.gz", "d.tsv.gz"):
        assert digest_splits(protein(f"file:{tmp_path / name}").load()) == digest_splits(plain)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", 'seq,note\nAC,"two\nlines"\n\nDE,x\nFG,"more, and\n\nmore"\nHI,\n', [2, 5, 6, 9]),
        ("a.tsv", "seq\tnote\r\nAC\tx\r\nDE\ty\r\n", [2, 3]),
        ("a.fasta", "; a comment\n\n>P1\nAC\nDE\n>P2\nFG\n", [3, 6]),
    ],
)
def test_a_row_is_named_by_its_line(
    tmp_path: Path, name: str, content: str, lines: list[int]
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    named = [position(tmp_path / name, row) for row in range(len(lines))]

    assert named == [f"line {line} of {name}" for line in lines]
