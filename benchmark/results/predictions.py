"""The table of predictions beside a Record: a row for each test example, as Parquet.

Columns: `test`, `id`, `group`, `seq`, those of the task (`label` and `prediction`, say); and for
each example metric `value.<metric>`, NaN where it is undefined, and, unless every size is 1,
`size.<metric>`. A metric's score is `finish` of the mean of its values weighted by size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core import Array, ExampleValues, UserError
from benchmark.data.sources import cells

if TYPE_CHECKING:
    import pyarrow as pa


VALUES = "values.parquet"
"""In a task's folder: the values of all its runs, where predictions are not stored in full."""


@dataclass(frozen=True)
class PredictionTable:
    """Predictions of a run, read back."""

    path: Path
    columns: Mapping[str, list[Any]]

    @property
    def metrics(self) -> list[str]:
        """Example metrics whose values are stored."""
        names = (name.partition(".") for name in self.columns)
        return [metric for kind, _, metric in names if kind == "value" and metric]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows by the names of columns."""
        for row in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, row, strict=True))

    def values(self, metric: str, test: str) -> tuple[Array, Array]:
        """Values and sizes of an example metric in one test set, (n,) each; NaN: undefined."""
        if metric not in self.metrics:
            raise UserError(
                f"{self.path} has no value per example of {metric}; it has those of "
                f"{', '.join(self.metrics) or 'no metric'}: run it again with rerun=true"
            )
        here = np.array(self.columns["test"]) == test
        values = np.array(self.columns[f"value.{metric}"], np.float64)
        sizes = np.array(self.columns.get(f"size.{metric}", np.ones(len(here))), np.float64)
        return values[here], np.where(np.isnan(values), 0.0, sizes)[here]


def read_predictions(path: Path) -> PredictionTable:
    """Read the table beside a Record, or its columns of `VALUES`, given the path of either."""
    import pyarrow.parquet as pq

    file, light = path.with_suffix(".parquet"), path.parents[3] / VALUES
    if file.exists() or not light.exists():
        table = pq.read_table(file)
        return PredictionTable(file, {name: cells(table[name]) for name in table.column_names})
    prefix = f"{run_name(path)}:"
    names = [name for name in pq.read_schema(light).names if name.startswith(prefix)]
    table = pq.read_table(light, columns=["test", "id", *names])
    columns = {name.removeprefix(prefix): cells(table[name]) for name in table.column_names}
    return PredictionTable(light, columns)


def run_name(path: Path) -> str:
    """The prefix of a run's columns in `VALUES`, given the path of its Record or predictions."""
    return "/".join([*path.parts[-4:-1], path.stem])


def value_columns(tests: Sequence[Mapping[str, ExampleValues]]) -> dict[str, list[float]]:
    """Columns of the values per example of all test sets, one after the other."""
    columns = dict[str, list[float]]()
    for metric in tests[0]:
        values = np.concatenate([test[metric].values for test in tests])
        sizes = np.concatenate([test[metric].sizes for test in tests])
        columns[f"value.{metric}"] = values.tolist()
        if (sizes[~np.isnan(values)] != 1).any():
            columns[f"size.{metric}"] = sizes.tolist()
    return columns


def column(values: Sequence[Any]) -> "pa.Array":
    """One cell an example: a text or number, or a list of them, or (L, size) as a list of lists."""
    import pyarrow as pa

    first = np.asarray(values[0])
    if first.ndim == 0:
        return pa.array(
            [value.item() if isinstance(value, np.ndarray) else value for value in values]
        )
    if first.ndim == 1:
        return pa.array([np.asarray(value) for value in values])
    flat = np.concatenate(values).astype(np.float32)
    ends = np.cumsum([0, *(len(value) for value in values)], dtype=np.int32)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    return pa.ListArray.from_arrays(pa.array(ends), inner)
