"""Measurements of speed: each line is printed once it is known, and all of them at the end.

A figure has a reference, the time of the least work that is needed: a bare loop, the matrix
products alone, or one reading of the memory.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

DEVICE_VARIABLE, DTYPE_VARIABLE = "PERFORMANCE_DEVICE", "PERFORMANCE_DTYPE"
HEADER = f"{'':<52}{'seconds':>9}{'reference':>10}{'ratio':>7}  reference"


def device() -> str:
    """`PERFORMANCE_DEVICE`, or a GPU if there is one."""
    import torch

    return os.environ.get(DEVICE_VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")


def dtype() -> str:
    """`PERFORMANCE_DTYPE`, or bfloat16 on a GPU."""
    return os.environ.get(DTYPE_VARIABLE) or ("float32" if device() == "cpu" else "bfloat16")


@dataclass(frozen=True)
class Measurement:
    """A figure of the table. amount: units that were processed, for the rate."""

    name: str
    seconds: float
    reference: float | None = None
    reference_name: str = ""
    amount: float = 0
    unit: str = ""

    def __str__(self) -> str:
        text = f"{self.name:<52}{self.seconds:>9.4f}"
        if self.reference is not None:
            ratio = self.seconds / self.reference
            text += f"{self.reference:>10.4f}{ratio:>7.2f}  {self.reference_name}"
        if self.amount:
            text = f"{text:<78}{self.amount / self.seconds:>14,.0f} {self.unit}/s"
        return text


@dataclass
class Table:
    """All measurements of a session, by `show` printed at once and by the conftest at the end."""

    show: Callable[[str], None]
    rows: list[Measurement | str] = field(default_factory=list)

    def add(
        self,
        name: str,
        seconds: float,
        *,
        reference: float | None = None,
        reference_name: str = "",
        amount: float = 0,
        unit: str = "",
    ) -> float:
        """Add a line; return its ratio to the reference (1 without a reference)."""
        self._append(Measurement(name, seconds, reference, reference_name, amount, unit))
        return seconds / reference if reference else 1.0

    def note(self, line: str) -> None:
        """Add a line of text."""
        self._append(line)

    def _append(self, row: Measurement | str) -> None:
        self.rows.append(row)
        self.show(str(row))


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """The least time of each work, in seconds, of so many rounds in which each has its turn.

    Each is called once before. Turns make ratios fair on a machine whose speed changes.
    `PERFORMANCE_CLOCK=process_time` counts the time of this process alone, on a busy machine.
    """
    clock = getattr(time, os.environ.get("PERFORMANCE_CLOCK", "perf_counter"))
    for work in works.values():
        work()
    synchronize()
    least = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = clock()
            work()
            synchronize()
            least[name] = min(least[name], clock() - started)
    return least


def synchronize() -> None:
    """Wait for the GPU, if it is used."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


@cache
def matrix_rate(number: str) -> float:
    """FLOP/s of large matrix products of a dtype on this device."""
    import torch

    size = 1024 if device() == "cpu" else 8192
    a = torch.randn(size, size, device=device(), dtype=getattr(torch, number))
    return 2 * size**3 / interleaved({"product": lambda: torch.mm(a, a)}, 5)["product"]


@cache
def memory_rate() -> float:
    """Bytes/s read and written by a copy in the device's memory."""
    import torch

    a = torch.empty(2**26 if device() == "cpu" else 2**30, dtype=torch.uint8, device=device())
    b = torch.empty_like(a)
    return 2 * a.numel() / interleaved({"copy": lambda: b.copy_(a)}, 5)["copy"]
