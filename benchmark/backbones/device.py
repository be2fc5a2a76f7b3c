"""Where a module runs, in what precision, and how far two of its answers may be apart."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.core import UserError

Float32 = NDArray[np.float32]


def resolve(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """The device and number type; `auto`: a GPU if there is one, bfloat16 if that GPU has it."""
    allowed = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in ("auto", *allowed):
        raise UserError(f"dtype={dtype} is not known; allowed are auto, {', '.join(allowed)}")
    try:
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # one for each process of a node
        place = torch.device(
            (own if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"device={device} is not there; use device=cpu, or device=cuda on a machine with a GPU"
        ) from None
    bf16 = place.type == "cuda" and torch.cuda.is_bf16_supported()
    return place, allowed[("bfloat16" if bf16 else "float32") if dtype == "auto" else dtype]


@contextmanager
def inference() -> Iterator[None]:
    """No gradients; where torch finds no memory, on a GPU or not, Python's own MemoryError."""
    with memory_errors(), torch.inference_mode():
        yield


@contextmanager
def memory_errors() -> Iterator[None]:
    """Python's own MemoryError where torch finds no memory, on a GPU or not."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
        elif "allocate memory" not in str(error):
            raise
        raise MemoryError(str(error)) from None
