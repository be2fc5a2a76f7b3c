"""The Parquet table of predictions next to a Record, with one row per test example.

Columns: `test`, `id`, `group`, `seq`, those of the task (`label` and `prediction`, say), and for
each example metric `value.<metric>`, NaN where it is undefined, and, unless every size is 1,
`size.<metric>`. A metric's score is `finish` of the mean of its values weighted by size.
`benchmark.results.compact` describes the light form.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import Array, ExampleValues, UserError
from benchmark.data.cell_values import CHAIN_BREAK
from benchmark.data.formats import cells
from benchmark.data.homology import Audit

VALUES = "values.parquet"
"""In a task's folder: the values of all its runs, where predictions are not stored in full."""
OF_EXAMPLE = ("test", "id", "group", "label", "length", "band")
"""Columns of `VALUES` that are of the examples, and so of all runs."""


@dataclass(frozen=True)
class PredictionTable:
    """The stored predictions of a run."""

    path: Path
    columns: Mapping[str, list[Any]]

    @property
    def metrics(self) -> list[str]:
        """Example metrics whose values are stored."""
        return [name.removeprefix("value.") for name in self.columns if name.startswith("value.")]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row as column name -> value."""
        rows = zip(*self.columns.values(), strict=True)
        return (dict(zip(self.columns, row, strict=True)) for row in rows)

    def values(self, metric: str, test: str | None = None) -> tuple[Array, Array]:
        """Values and sizes of an example metric, (n,) each; NaN: undefined.

        test: of this test set alone.
        """
        if metric not in self.metrics:
            raise UserError(
                f"{self.path} has no value per example of {metric}; it has those of "
                f"{', '.join(self.metrics) or 'no metric'}: run it again with rerun=true"
            )
        here = np.array([test is None or name == test for name in self.columns["test"]])
        values = np.array(self.columns[f"value.{metric}"], np.float64)
        sizes = np.array(self.columns.get(f"size.{metric}", np.ones(len(here))), np.float64)
        return values[here], np.where(np.isnan(values), 0.0, sizes)[here]


def read_predictions(path: Path) -> PredictionTable:
    """Read the predictions next to a Record at `path`, or its columns of `VALUES`."""
    import pyarrow.parquet as pq

    file, light = path.with_suffix(".parquet"), path.parents[3] / VALUES
    full = file.exists() or not light.exists()
    source, prefix = (file, "") if full else (light, f"{run_name(path)}:")
    try:
        with pq.ParquetFile(source) as table:  # read_table starts pandas
            stored = table.schema_arrow.names
            names = [name for name in stored if name.startswith(prefix) or name in OF_EXAMPLE]
            columns = table.read(columns=names)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the disk, not of the file
        raise UserError(f"{source} is damaged; run it again with rerun=true") from None
    return PredictionTable(
        source, {name.removeprefix(prefix): cells(columns[name]) for name in names}
    )


def has_predictions(path: Path) -> bool:
    """Whether there are predictions next to a Record at `path`, or in its task's `VALUES`."""
    return path.with_suffix(".parquet").exists() or (path.parents[3] / VALUES).exists()


def lengths_and_bands(
    columns: Mapping[str, Sequence[Any]], audit: Audit | None
) -> dict[str, list[Any]]:
    """Number of residues of each example, over its chains, and its identity band, if known."""
    found = {name: list(columns[name]) for name in ("length", "band") if name in columns}
    if "length" not in found and "seq" in columns:
        found["length"] = [len(chains.replace(CHAIN_BREAK, "")) for chains in columns["seq"]]
    if audit:  # may be newer than what is stored
        bands = {test: iter(audit.bands(test)) for test in dict.fromkeys(columns["test"])}
        found["band"] = [next(bands[test]) for test in columns["test"]]
    return found


def require_columns(path: Path, names: Collection[str]) -> None:
    """Refuse a file of `VALUES` that was written before version 0.4."""
    if path.name == VALUES and not {"group", "length"} <= set(names):
        raise UserError(
            f"{path} lacks the columns group and length, which it has since version 0.4; run its "
            "task again with rerun=true, then benchmark.results.compact"
        )


def run_name(path: Path) -> str:
    """The prefix of a run's columns in `VALUES`, given the path of its Record or predictions."""
    return "/".join([*path.parts[-4:-1], path.stem])


def value_columns(tests: Sequence[Mapping[str, ExampleValues]]) -> dict[str, list[float]]:
    """Columns with the values per example of all test sets, concatenated."""
    columns = dict[str, list[float]]()
    for metric in tests[0]:
        values = np.concatenate([test[metric].values for test in tests])
        sizes = np.concatenate([test[metric].sizes for test in tests])
        columns[f"value.{metric}"] = values.tolist()
        if (sizes[~np.isnan(values)] != 1).any():
            columns[f"size.{metric}"] = sizes.tolist()
    return columns


def as_fasta(columns: Mapping[str, Sequence[Any]]) -> str:
    """Generated sequences with their id, prompt, log-likelihood of a residue, and end."""
    names = "id", "seq", "log_likelihood", "ended", "sequence"
    return "".join(
        f">{name} prompt={prompt} log_likelihood={mean:.6g} ended={str(ended).lower()}\n{chain}\n"
        for name, prompt, mean, ended, chain in zip(*(columns[n] for n in names), strict=True)
    )


def column(values: Sequence[Any]) -> Any:
    """A pyarrow array with a cell per example: text, number, list, or (L, size) as nested lists."""
    import pyarrow as pa

    first = np.asarray(values[0])
    if first.ndim == 0:
        return pa.array([v.item() if isinstance(v, np.ndarray) else v for v in values])
    if first.ndim == 1:
        return pa.array([np.asarray(value) for value in values])
    flat = np.concatenate(values).astype(np.float32)
    ends = np.cumsum([0, *(len(value) for value in values)], dtype=np.int32)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    return pa.ListArray.from_arrays(pa.array(ends), inner)
