"""Where a run took place: versions, commit, hardware, time."""

import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "scipy", "peft", "datasets")
SOURCE = ("benchmark", "tasks", "conf", "pyproject.toml", "constraints.txt")
"""What decides a score: changes elsewhere leave a commit clean."""


def environment() -> dict[str, Any]:
    """Versions, commit, and hardware of this process."""
    facts: dict[str, Any] = {
        "benchmark": package_version("plm-benchmark"),
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
        **commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch := sys.modules.get("torch"):
        facts["threads"] = torch.get_num_threads()
        if torch.cuda.is_initialized():
            facts["gpu"] = torch.cuda.get_device_name()
    return facts


def package_version(name: str) -> str:
    """A package's version, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def commit() -> dict[str, Any]:
    """Commit of this source tree, and whether its code differs; nothing for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists():
        return {}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", *SOURCE)),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def now() -> str:
    """The time, UTC, to the microsecond: it orders Records."""
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{int(seconds % 1 * 1e6):06d}Z"
