"""Shared by the kinds that read a table: a row is an example, a cell its label."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import Array, Chains, Readout, Splits, Task
from benchmark.data.cell_values import is_missing
from benchmark.data.tables import Table


@dataclass(frozen=True, kw_only=True)
class TableTask(Table, Task):
    """A task whose examples are the rows of a table."""

    @abstractmethod
    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label from a cell; ValueError says what is wrong with it."""

    def load(self) -> Splits:
        """Read the examples."""
        return self.read(self.parse, self.readout)


def read_answers(cell: Any, readout: Readout) -> Array:
    """Check numbers, as text or not, against the kind and size of an answer.

    Several numbers in a text are divided by ";". Unknown answers are None, NaN, or text like "" and
    "NA" (`is_missing`), and also -1 for classification and multilabel; -1 is an ordinary value in
    regression. Regression returns float64 with NaN, the others int64 with -1.
    """
    unknown = np.nan if readout.kind == "regression" else -1
    if isinstance(cell, str) and ";" in cell:
        cell = cell.split(";")
    if is_missing(cell):
        cell = [unknown] * readout.size if readout.kind == "multilabel" else unknown
    values = np.asarray(cell)
    if values.ndim and values.dtype.kind in "OU":
        values = np.asarray([unknown if is_missing(v) else v for v in values.flat], object)
        values = values.reshape(np.shape(cell))
    try:
        numbers = values.astype(np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"label {shorten(cell)} is not a number") from None
    if np.isinf(numbers).any():
        raise ValueError("a label is infinite; unknown labels are empty or NaN")
    if readout.kind == "regression":
        return numbers
    numbers = np.where(np.isnan(numbers), -1, numbers)
    last = readout.size - 1 if readout.kind == "classification" else 1
    if wrong := sorted({float(n) for n in numbers.flat if n != int(n) or not -1 <= n <= last}):
        raise ValueError(
            f"label {wrong[0]:g} is outside its range; allowed are the integers 0 to {last}, "
            "and -1 for unknown"
        )
    if readout.kind == "multilabel" and numbers.shape[-1:] != (readout.size,):
        raise ValueError(f"label has the shape {numbers.shape}, not one entry for {readout.size}")
    return numbers.astype(np.int64)


def shorten(cell: Any) -> str:
    """A cell in a sentence."""
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:36]}..."
