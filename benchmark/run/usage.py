"""What a run took: operations, chains, memory, of all processes."""

import re
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.distributed import all_gather, world_size


def total_usage(spent: Mapping[str, int], choices: Mapping[str, Any]) -> dict[str, int]:
    """What a run cost in all processes, for its Record.

    choices: of the method; `trained_parameters` is told there, or by the test sets' own fits.
    """
    mine = {**spent, **peak_memory()}
    shares = all_gather([mine]) if world_size() > 1 else [[mine]]
    cost: dict[str, int] = {}
    for (share,) in shares:
        for name, amount in share.items():
            have = cost.get(name, 0)
            cost[name] = max(have, amount) if name.startswith("peak") else have + amount
    fits = [choices, *(found for found in choices.values() if isinstance(found, Mapping))]
    if trained := [fit["trained_parameters"] for fit in fits if "trained_parameters" in fit]:
        cost["trained_parameters"] = max(trained)
    return cost


def peak_memory() -> dict[str, int]:
    """The most memory that this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)}
    with suppress(OSError):  # ru_maxrss may be that of the process that started this one
        status = Path("/proc/self/status").read_text()
        if high := re.search(r"VmHWM:\s+(\d+) kB", status):
            found["peak_bytes"] = int(high[1]) * 1024
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        found["peak_gpu_bytes"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return found
