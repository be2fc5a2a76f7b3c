"""Predictions as columns of a Parquet table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


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
