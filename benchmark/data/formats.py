"""Read one file into a table: CSV, TSV or FASTA (also compressed with gzip), or Parquet.

Cells of CSV, TSV and FASTA are text: "NA" is a peptide, "0011" a label of four residues; an empty
cell is null. Text is UTF-8, with or without a byte order mark. Columns without a name (the index
that pandas and R write) are read under the name ""; no setting can name them.
"""

import codecs
import csv
import gzip
import io
import shutil
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core import Array, UserError
from benchmark.data.fasta import read_fasta

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {
    f".{end}{gz}": kind
    for gz in ("", ".gz")
    for end, kind in (("csv", "csv"), ("tsv", "tsv"), ("fasta", "fasta"), ("fa", "fasta"))
} | {".parquet": "parquet"}
NAMES = ", ".join(FORMATS)
SEPARATORS = {"csv": ",", "tsv": "\t"}
SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
EXPANSION = 20
"""Largest ratio of a file's content to its size on disk, beyond HARMLESS bytes."""
HARMLESS = 2**26


def suffix(file: Path) -> str:
    """The suffix of a file's name that determines its format; empty for other files."""
    return next((end for end in FORMATS if file.name.lower().endswith(end)), "")


def open_file(file: Path, where: str) -> tuple["pa.Table", Counter[str]]:
    """Read one file, and count the records left out; `where` names it in errors."""
    kind, left_out = FORMATS[suffix(file)], Counter[str]()
    try:
        if kind == "parquet":
            table = read_parquet(file, where)
        elif kind == "fasta":
            table, left_out = read_fasta(read_text(file, where).decode(), where)
        else:
            table = read_csv(read_text(file, where), SEPARATORS[kind], where)
    except UserError:
        raise
    except (ValueError, OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the disk, not of the file
        reason = " ".join(str(error).split())
        raise UserError(f"{where} is broken or not {kind}: {reason}") from None
    if table.num_rows == 0:
        raise UserError(f"{where} has no rows; it needs at least one")
    return table, left_out


def read_text(file: Path, where: str) -> bytes:
    """The content of a text file, which is UTF-8, without its byte order mark."""
    if suffix(file).endswith(".gz"):
        limit = largest(file)
        with gzip.open(file) as stream:
            content = stream.read(limit + 1)
        check_size(len(content), limit, where)
    else:
        content = file.read_bytes()
    content = content.removeprefix(codecs.BOM_UTF8)
    remedy = "save it as UTF-8 (iconv -f {} -t UTF-8)"
    name = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    if name or b"\0" in content[:1000]:
        raise UserError(f"{where} is {name or 'binary or UTF-16'}; {remedy.format('UTF-16')}")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{where} is not UTF-8: line {line} has the byte 0x{content[error.start]:02x}, perhaps "
            f"of Latin-1; {remedy.format('LATIN1')}"
        ) from None
    if not content.strip():
        raise UserError(f"{where} is empty; it needs a header and rows")
    return content


def largest(file: Path) -> int:
    """Bytes that a compressed file may expand to."""
    wanted = max(HARMLESS, EXPANSION * file.stat().st_size)
    return min(wanted, shutil.disk_usage(file.parent).free)


def check_size(size: int, limit: int, where: str) -> None:
    """Refuse a file that expands too far."""
    if size > limit:
        raise UserError(
            f"{where} expands to more than {limit / 1e6:,.0f} MB, {EXPANSION} times its size or "
            "the free disk; unpack it, see whether it is what you expect, and give that file"
        )


def read_parquet(file: Path, where: str) -> "pa.Table":
    """Read a Parquet file, unless it expands too far."""
    import pyarrow.parquet as pq

    stored = pq.ParquetFile(file)
    groups = range(stored.metadata.num_row_groups)
    size = sum(stored.metadata.row_group(group).total_byte_size for group in groups)
    check_size(size, largest(file), where)
    return with_single_names(stored.read(), where)


def read_csv(content: bytes, separator: str, where: str) -> "pa.Table":
    """Read text columns; empty cells are null."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = next(csv.reader(lines_of(content), delimiter=separator), [])
    for other, words in SEPARATOR_NAMES.items():
        if len(header) == 1 and other in header[0]:
            raise UserError(
                f"{where} is separated by {words}, not {SEPARATOR_NAMES[separator]}; .csv files "
                "have commas and .tsv files tabs"
            )
    parse = arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    read = arrow_csv.ReadOptions(block_size=min(max(len(content) + 1, 1 << 20), 2**31 - 1))
    text = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    try:
        table = arrow_csv.read_csv(pa.BufferReader(content), read, parse, text)
    except pa.ArrowInvalid:
        if reason := ragged(content, separator):
            raise UserError(f"{where}: {reason}") from None
        raise
    return with_single_names(table, where)


def ragged(content: bytes, separator: str) -> str:
    """What is wrong with the first line that has more or fewer cells than the header; or ""."""
    rows = csv.reader(lines_of(content), delimiter=separator)
    names = len(next(rows, []))
    for row in rows:
        if row and len(row) != names:
            hint = "quote cells that contain the separator"
            if len(row) == names + 1:
                hint += ", or name the column of row names, or remove the separator at the end"
            return f"line {rows.line_num} has {len(row)} cells and the header {names}; {hint}"
    return ""


def with_single_names(table: "pa.Table", where: str) -> "pa.Table":
    """Refuse columns of the same name; those without a name are no columns to read."""
    names = Counter(table.column_names)
    if twice := [name for name, count in names.items() if count > 1 and name]:
        raise UserError(f"{where} has {names[twice[0]]} columns {twice[0]!r}; rename or remove one")
    return table


def position(file: Path, row: int) -> str:
    """Where a row stands in its file: its line, from 1; for Parquet its row, from 1."""
    kind = FORMATS[suffix(file)]
    if kind == "parquet":
        return f"row {row + 1} of {file.name}"
    text = lines_of(read_text(file, file.name))
    if kind == "fasta":
        records = (number for number, line in enumerate(text, 1) if line.startswith(">"))
        return f"line {next(islice(records, row, None))} of {file.name}"
    rows, start = csv.reader(text, delimiter=SEPARATORS[kind]), 1
    for found in rows:
        if found and row == -1:
            break
        row -= bool(found)  # of the header, too
        start = rows.line_num + 1
    return f"line {start} of {file.name}"


def lines_of(content: bytes) -> io.TextIOWrapper:
    """A text stream whose line ends are as they are in the file."""
    return io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")


def cells(column: "pa.ChunkedArray") -> list[Any]:
    """A column's values; lists become NumPy arrays, lists of pairs (m, 2); decimals floats."""
    import pyarrow as pa

    lists = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
    if pa.types.is_decimal(column.type):
        return [None if value is None else float(value) for value in column.to_pylist()]
    if not isinstance(column.type, lists):
        return list(column.to_pylist())
    nested = isinstance(column.type.value_type, lists)
    return [
        (as_matrix(cell.values) if nested else cell.values.to_numpy(False))
        if cell.is_valid
        else None
        for cell in column
    ]


def as_matrix(rows: "pa.ListArray") -> Array:
    """Lists of one length as (rows, length); of different lengths as an array of objects."""
    lengths = rows.value_lengths().to_numpy(False)
    if len(lengths) and (lengths == lengths[0]).all():
        return np.asarray(rows.flatten().to_numpy(False)).reshape(len(lengths), -1)
    return np.array([None, *rows.to_pylist()], dtype=object)[1:]
