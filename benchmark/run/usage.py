"""Operations, chains and memory of a run, over all processes."""

import gc
import re
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.distributed import all_gather, world_size


def total_usage(usage: Mapping[str, int], choices: Mapping[str, Any]) -> dict[str, int]:
    """Combine the usage of all processes for the Record: sums, and maxima of peaks.

    choices: of the method, with `trained_parameters` of its fit, or of each test set's own fit.
    """
    mine = {**usage, **peak_memory()}
    parts = [part for (part,) in all_gather([mine])] if world_size() > 1 else [mine]
    total: dict[str, int] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        amounts = [part.get(name, 0) for part in parts]
        total[name] = max(amounts) if name.startswith("peak") else sum(amounts)
    fits = [choices, *(found for found in choices.values() if isinstance(found, Mapping))]
    if trained := [fit["trained_parameters"] for fit in fits if "trained_parameters" in fit]:
        total["trained_parameters"] = max(trained)
    return total


def reset_peaks() -> None:
    """Free what earlier jobs of this process left, and measure peaks of memory from now on."""
    gc.collect()
    with suppress(OSError):  # of Linux alone
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets VmHWM
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def peak_memory() -> dict[str, int]:
    """Peak memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)}
    with suppress(OSError):  # ru_maxrss may be that of the parent process
        if high := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            found["peak_bytes"] = int(high[1]) * 1024
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        found["peak_gpu_bytes"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return found
