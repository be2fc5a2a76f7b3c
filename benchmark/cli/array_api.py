"""SciPy's switch for arrays of other libraries, which the probe needs to fit on a GPU."""

import os
from collections.abc import Sequence
from pathlib import Path

NVIDIA = "/dev/nvidiactl", "/dev/dxg"
"""Device files of NVIDIA's driver, on Linux and in Windows' subsystem."""


def allow_gpu_arrays(argv: Sequence[str]) -> None:
    """Set SCIPY_ARRAY_API=1, which SciPy reads when it is imported, if the run may use a GPU.

    Neither torch nor SciPy is imported to find out. A value that is set already is left as it is.
    """
    given = [word.partition("=")[2] for word in argv if word.lstrip("+").startswith("device=")]
    device = given[-1] if given else "auto"
    present = any(Path(file).exists() for file in NVIDIA)
    if "cuda" in device or ("auto" in device and present):
        os.environ.setdefault("SCIPY_ARRAY_API", "1")
