"""Device, dtype, and errors of memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.core import UserError


def resolve(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Device and dtype; `auto`: a GPU if there is one, bfloat16 if that GPU supports it."""
    allowed = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in ("auto", *allowed):
        raise UserError(f"dtype={dtype} is not known; allowed are auto, {', '.join(allowed)}")
    try:
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # one for each process of a node
        target = torch.device(
            (own if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"device={device} is not available; use device=cpu, or cuda on a machine with a GPU"
        ) from None
    bf16 = target.type == "cuda" and torch.cuda.is_bf16_supported()
    return target, allowed[("bfloat16" if bf16 else "float32") if dtype == "auto" else dtype]


@contextmanager
def inference() -> Iterator[None]:
    """No gradients, and `memory_errors`."""
    with memory_errors(), torch.inference_mode():
        yield


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise Python's MemoryError where torch runs out of memory, on a GPU or not."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
        elif "allocate memory" not in str(error):
            raise
        raise MemoryError(str(error)) from None
