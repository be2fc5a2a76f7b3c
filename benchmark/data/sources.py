"""Read tables from the hub, a mirror of it, this package, or the user's files.

`source:` in a task's yaml is one of

- `hub:<org>/<name>`: read with the `datasets` library; with `mirror=DIR` (or BENCHMARK_MIRROR)
  DIR/<org>/<name>/{train,valid,test}.parquet or .csv is read instead, with test.<name>.* as further
  test sets;
- `package:<name>.parquet`: small real data inside this package (benchmark/pocket);
- `file:PATH`: a folder laid out like a mirror, or one file of these formats with a column `split`.

A FASTA file has the columns `seq`, `id` (the first word of the header) and one for each KEY=VALUE
of its headers; TARGET is `label`, SET is `split`, and VALIDATION=True makes that `valid`, as in the
files of FLIP and biotrainer.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core import Array, DataReport, UserError
from benchmark.pocket import FOLDER

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".csv": "csv",
    ".fasta": "fasta",
    ".fa": "fasta",
}
VALID_NAMES = ("valid", "validation", "val", "dev")
FIRST = ("test", "fold", "superfamily", "family")
"""Order of test sets, of which the first ranks: the hardest level of SCOP; others by name."""


def read_tables(
    source: str, mirror: str | None, revision: str | None, whole: bool
) -> tuple[dict[str, "pa.Table"], DataReport]:
    """Read a source's splits by name, train first, and report where they were read.

    whole: the source is one table without splits, of any name.
    """
    kind, _, name = source.partition(":")
    report = DataReport(source=source, mirror=kind == "hub" and bool(mirror))
    if kind == "hub" and mirror:
        tables = read_files(Path(mirror) / name, f"the mirror of {name}", whole)
    elif kind == "hub":
        tables, commit = _from_hub(name, revision)
        report = DataReport(source=source, revision=commit)
    elif kind == "package":
        tables = read_files(FOLDER / name, f"the embedded {name}", whole)
    elif kind == "file":
        tables = read_files(Path(name).expanduser(), f"the source {name}", whole)
    else:
        raise UserError(f"source {source!r} is not known; it starts with hub:, package: or file:")
    if whole and len(tables) > 1:
        raise UserError(
            f"{source} has the tables {', '.join(tables)}; a task with folds or without training "
            "reads a single table"
        )
    if whole:
        return tables, report
    splits: dict[str, pa.Table] = {}
    for name, table in tables.items():
        if (known := split_name(name, source)) in splits:
            raise UserError(f"{source} has two splits that mean {known}; leave one")
        splits[known] = table
    order = {name: place for place, name in enumerate(("train", "valid", *FIRST))}
    names = sorted(splits, key=lambda name: (order.get(name, len(order)), name))
    if "train" not in splits or not set(names) - {"train", "valid"}:
        raise UserError(
            f"{source} has the splits {', '.join(tables)}; it needs at least train and test"
        )
    return {name: splits[name] for name in names}, report


def split_name(name: object, source: str) -> str:
    """Our name of a source's split: train, valid, test, or X for a further test set test.X."""
    if name in VALID_NAMES:
        return "valid"
    first, _, further = str(name).partition(".")
    if name in ("train", "test") or (
        first == "test" and further not in ("", "train", *VALID_NAMES)
    ):
        return further or first
    raise UserError(
        f"{source} has a split {name!r}; allowed are train, {' or '.join(VALID_NAMES)}, test, and "
        "test.NAME for further test sets"
    )


def read_files(path: Path, what: str, whole: bool) -> dict[str, "pa.Table"]:
    """Read a folder of files by name, or one file: by its column `split`, or as a `whole`."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if suffix(file)]
        names = [file.name[: -len(suffix(file))] for file in files]
        if len(set(names)) < len(files):
            raise UserError(f"{what} holds a table in two formats; leave one of them")
        if files:
            return {name: open_file(file, what) for name, file in zip(names, files, strict=True)}
        raise UserError(f"{what} holds no table; put {' or '.join(FORMATS)} files there")
    if not suffix(path) or not path.is_file():
        formats = " or ".join(FORMATS)
        raise UserError(
            f"{what} is not there: {path.absolute()} is no folder and no {formats} file"
        )
    table = open_file(path, what)
    if whole:
        return {path.name[: -len(suffix(path))]: table}
    if "split" not in table.column_names:
        raise UserError(f"{what} has no column 'split'; it names each row's split")
    return by_value(table, "split")


def by_value(table: "pa.Table", column: str) -> dict[str, "pa.Table"]:
    """The rows of each value of a column, in the order in which the values first occur."""
    names = table[column].to_pylist()
    return {
        str(name): table.filter([other == name for other in names]) for name in dict.fromkeys(names)
    }


def suffix(file: Path) -> str:
    """The suffix of a file's name that determines its format; empty for other files."""
    return next((end for end in FORMATS if file.name.lower().endswith(end)), "")


def open_file(file: Path, what: str) -> "pa.Table":
    """Read one file; the values of CSV and FASTA are text."""
    import pyarrow.parquet as pq

    kind = FORMATS[suffix(file)]
    try:
        if kind == "parquet":
            return pq.ParquetFile(file).read()
        return read_csv(file) if kind == "csv" else read_fasta(file)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the disk, not of the file
        raise UserError(f"{what}: {file.name} is broken or not {kind}: {error}") from None


def read_csv(file: Path) -> "pa.Table":
    """Read text columns: "NA" is a peptide, "0011" a label of four residues; empty is null."""
    import pyarrow as pa
    from pyarrow import csv

    with pa.input_stream(str(file), "gzip" if suffix(file) == ".csv.gz" else None) as stream:
        content = stream.read_buffer()
    parse = csv.ParseOptions(newlines_in_values=True)
    read = csv.ReadOptions(block_size=min(max(len(content) + 1, 1 << 20), 2**31 - 1))
    names = csv.open_csv(pa.BufferReader(content), read, parse).schema.names
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")
    text = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return csv.read_csv(pa.BufferReader(content), read, parse, text)


def read_fasta(file: Path) -> "pa.Table":
    """Read sequences, the first words of headers, and their KEY=VALUE pairs, as text columns."""
    import pyarrow as pa
    from biotite.sequence.io.fasta import FastaFile

    rows, names = [], {"TARGET": "label", "SET": "split"}
    for header, sequence in FastaFile.read_iter(str(file)):
        words = header.split()
        row: dict[str, str | None] = {"seq": sequence}
        if words and "=" not in words[0]:
            row["id"] = words[0]
        values: dict[str, str] = dict(word.split("=", 1) for word in words if "=" in word)
        if values.get("VALIDATION") == "True":
            values["SET"] = "valid"
        rows.append(row | {names.get(key, key): value or None for key, value in values.items()})
    columns = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in columns})


def _from_hub(name: str, revision: str | None) -> tuple[dict[str, "pa.Table"], str]:
    """Read a data set from the hub, and its commit; with HF_HUB_OFFLINE=1 an earlier download."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    datasets.enable_progress_bars()
    try:
        with suppress(OfflineModeIsEnabled):
            # first, because it fails at once without a network, and resolves the revision
            revision = HfApi().dataset_info(name, revision=revision, timeout=20).sha
        loaded = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # the network stack below raises many unrelated types
        raise UserError(
            f"cannot get {name} from the hub ({type(error).__name__}); connect to the network (and "
            "log in with `hf auth login` if its page asks for it), set HF_HUB_OFFLINE=1 to use an "
            f"earlier download, or give mirror=DIR with DIR/{name}/train.parquet and test.parquet "
            "(valid.parquet if there is one)"
        ) from None
    tables = {split: loaded[split].data.table for split in loaded}
    return tables, revision or "an earlier download"


def cells(column: "pa.ChunkedArray") -> list[Any]:
    """A column's values; lists become NumPy arrays, lists of pairs (m, 2)."""
    import pyarrow as pa

    lists = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
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
