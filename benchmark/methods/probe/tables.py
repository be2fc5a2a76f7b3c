"""Tables of features, (rows, columns) float32: on a GPU, in memory, or in a file.

Where a table is held does not change results on a CPU; a GPU's differ by rounding.
"""

import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Backbone, UserError

if TYPE_CHECKING:
    import torch

MEMORY = 4 * 2**30
"""Bytes of the largest table that is held in memory; larger ones are files."""
DISK = 200 * 2**30
"""Bytes of the largest table in a file."""
CHUNK = 16_384
"""Rows processed at a time; fewer of wide tables."""
NUMBERS = 2**26
"""Numbers processed at a time."""


def backbone_device(backbone: Backbone) -> str:
    """The device of a backbone, as torch names it.

    `backbone.device` is read only where there may be a GPU: reading it may open the checkpoint.
    """
    if os.environ.get("SCIPY_ARRAY_API") != "1" and "torch" not in sys.modules:
        return "cpu"
    return str(getattr(backbone, "device", "cpu"))


def fit_device(backbone: Backbone) -> "torch.device | None":
    """The GPU to fit on, or None for the CPU: scikit-learn must be able to compute there."""
    device = backbone_device(backbone)
    if not device.startswith("cuda"):
        return None
    reason = why_not_dispatched()
    if not reason:
        import torch

        return torch.device(device)
    print(f"note: the probe is fitted on the CPU, not on {device}: {reason}", file=sys.stderr)
    return None


def why_not_dispatched() -> str:
    """Why scikit-learn cannot compute with tensors; "": it can."""
    import sklearn
    from scipy.special import expit

    if tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 9):
        return f"scikit-learn {sklearn.__version__} is older than 1.9"
    if os.environ.get("SCIPY_ARRAY_API") != "1" or isinstance(expit, np.ufunc):
        return "SCIPY_ARRAY_API=1 was not set before SciPy was imported"  # which wraps its ufuncs
    return ""


def new_table(rows: int, columns: int, folder: Path, device: "torch.device | None" = None) -> Any:
    """An unfilled table: a tensor on `device` if one is given and has room, else an array.

    folder: of the file of a large table.
    """
    size = 4 * rows * columns
    if device is not None:
        import torch

        if device.type != "cuda" or size < 0.8 * free_device_memory(device):
            return torch.empty(rows, columns, device=device)
        shape = f"{rows:,} x {columns:,} features ({size / 1e9:.1f} GB)"
        print(f"note: {device} has no room for {shape}; they stay on the CPU", file=sys.stderr)
    if not size:
        return np.empty((rows, columns), np.float32)
    if size <= min(MEMORY, available_memory() // 2):
        # aligned as a file's pages are, so that sums have the same bits
        return np.frombuffer(mmap.mmap(-1, size), np.float32).reshape(rows, columns)
    if size > min(DISK, shutil.disk_usage(folder).free):
        room = min(DISK, shutil.disk_usage(folder).free) / 1e9
        raise UserError(
            f"{rows:,} x {columns:,} features need a file of {size / 1e9:.1f} GB and {folder} has "
            f"room for {room:.1f} GB (at most {DISK / 1e9:.0f}); set TMPDIR to a folder on a "
            "larger disk, or lower method.max_residues, method.max_chains or limit"
        )
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        # a sparse file would kill the process where the disk fills up
        os.posix_fallocate(file.fileno(), 0, size)
    return np.memmap(file.name, np.float32, "r+", shape=(rows, columns))


def available_memory() -> int:
    """Bytes of memory that new tables may take without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def free_device_memory(device: "torch.device") -> int:
    """Bytes that are free on a GPU."""
    import torch

    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0]


def like(array: Array, table: Any, dtype: str | None = None) -> Any:
    """An array where the table is, of its dtype or of the one named."""
    if isinstance(table, np.ndarray):
        return array.astype(dtype or table.dtype, copy=False)
    import torch

    wanted = getattr(torch, dtype) if dtype else table.dtype
    return torch.tensor(array, dtype=wanted, device=table.device)


def to_float64(part: Any) -> Any:
    """A part of a table in float64, where it is."""
    return part.astype(np.float64) if isinstance(part, np.ndarray) else part.double()


def to_numpy(array: Any) -> NDArray[Any]:
    """An array on the host."""
    return np.asarray(array if isinstance(array, np.ndarray) else array.cpu())


def namespace(table: Any) -> Any:
    """The library of a table: NumPy or torch."""
    if isinstance(table, np.ndarray):
        return np
    import torch

    return torch
