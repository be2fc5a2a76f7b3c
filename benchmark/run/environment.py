"""The environment of a run: package versions, commit, hardware, time."""

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "scipy", "peft", "datasets")
SOURCE = ("benchmark", "tasks", "conf", "pyproject.toml", "constraints.txt")
"""Files that may affect a score; changes to other files do not make a commit dirty."""
DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of the drivers of NVIDIA, of AMD, and of Windows's for Linux."""


def may_have_gpu() -> bool:
    """Whether torch may find a GPU; it is not imported to find out."""
    return any(Path(file).exists() for file in DRIVERS)


def environment() -> dict[str, Any]:
    """Package versions, commit, and hardware of this process; the backbone knows its own GPU."""
    from threadpoolctl import threadpool_info

    return {
        "benchmark": package_version("plm-benchmark"),
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
        **commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def package_version(name: str) -> str:
    """A package's version, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def commit() -> dict[str, Any]:
    """Commit of this source tree, and whether `SOURCE` differs from it; {} if it is installed."""
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists():
        return {}

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(root), *words]  # writes nothing
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with suppress(OSError, subprocess.CalledProcessError):
        dirty = bool(git("status", "--porcelain", "--", *SOURCE))
        return {"commit": git("rev-parse", "HEAD"), "dirty": dirty}
    return {}


def processor() -> str:
    """Name of the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def now() -> str:
    """The current time, UTC, to the microsecond, because Records are ordered by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
