"""The light form of a results folder, in which committed Records are stored.

`python -m benchmark.results.compact RESULTS` replaces the predictions next to the Records of each
task by one file `<task>/values.parquet`, from which models are compared without the task's data. It
has one row per test example: `test`, `id`, `group` (its resampling unit), `length` (residues over
all chains), `label` if it has at most `SHORT` numbers, and its identity `band` if an audit of the
data is in RESULTS. For each run, columns `<model>/<method>/<key>/seed<k>:<column>` have the values
and sizes of its example metrics, and its predictions if they have at most `SHORT` numbers each.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import UserError
from benchmark.data.formats import cells
from benchmark.data.homology import read_audit
from benchmark.files import replacing
from benchmark.results.predictions import (
    OF_EXAMPLE,
    VALUES,
    column,
    lengths_and_bands,
    require_columns,
    run_name,
)
from benchmark.results.storage import load

SHORT = 16
"""Numbers of the longest stored prediction, from which areas and correlations are computed."""


def compact(task: Path) -> None:
    """Write the values of all runs in a task's folder, then delete their predictions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, files = task / VALUES, sorted(task.glob("*/*/*/seed*.parquet"))
    before = pq.read_table(path) if path.exists() else pa.table({})
    require_columns(path, before.column_names or OF_EXAMPLE)
    columns = {name: before[name] for name in before.column_names}
    if columns:
        columns.setdefault("label", None)
    for file in files:
        table = pq.read_table(file)
        examples = {name: table[name] for name in ("test", "id", "group")}
        label = table["label"] if "label" in table.column_names else None
        is_short = label is not None and single_precision(label) is not None
        examples["label"] = label if is_short else None
        for name, values in examples.items():
            if as_text(columns.setdefault(name, values)) != as_text(values):
                raise UserError(
                    f"{file} and the runs next to it have different test examples (their {name} "
                    "differs); move the runs of other data to another folder"
                )
        record = load(file.with_suffix(".json"))
        audit = read_audit(task.parent, record.data, record.audit.get("against", ""))
        needed = {"test", "length", "seq"} & set(table.column_names)
        facts = lengths_and_bands({name: table[name].to_pylist() for name in needed}, audit)
        for name, values in facts.items():
            if columns.setdefault(name, pa.chunked_array([values])).to_pylist() != values:
                raise UserError(
                    f"{file} and the runs next to it have identity bands against different "
                    "proteins; run audit with one task.bands_against= for all of them"
                )
        for name in table.column_names:
            if name == "prediction" or name.startswith(("value.", "size.")):
                columns[f"{run_name(file)}:{name}"] = single_precision(table[name])
    table = pa.table({name: cell for name, cell in columns.items() if cell is not None})
    with replacing(path) as new:
        pq.write_table(table, new, compression="zstd", compression_level=19)
    for file in files:
        file.unlink()


def as_text(stored: Any) -> str:
    """A pyarrow column, or None, as text, in which missing labels (NaN) are equal."""
    return repr(None if stored is None else stored.to_pylist())


def single_precision(stored: Any) -> Any:
    """A pyarrow column as float32; None if its cells are text, long or of unequal shapes."""
    values = cells(stored)
    if isinstance(values[0], str):
        return None
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1 or np.prod(shapes.pop()) > SHORT:
        return None
    return column([np.asarray(value, np.float32) for value in values])


if __name__ == "__main__":
    for folder in Path(sys.argv[1]).iterdir():
        if any(folder.glob("*/*/*/seed*.parquet")):
            compact(folder)
