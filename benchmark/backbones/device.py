"""Device, dtype, memory, and transfers between a device and the host."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray

from benchmark.core import UserError

CPU_NUMBERS, CPU_LEAST, CPU_MOST = 2**19, 512, 4096
"""On a CPU: numbers in a hidden state of one batch, which fits the cache; limits of its tokens."""
GPU_WIDTHS = 64
"""Hidden states that a token needs in memory while a block is computed, generously."""
GPU_LEAST, GPU_MOST = 4096, 65_536
"""Limits of a batch on a GPU; larger ones are not faster."""
MEMORY_ERRORS = ("allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""Parts of the messages of PyTorch, CUDA, cuBLAS and cuDNN."""


def resolve(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Device and dtype; `auto`: a GPU if there is one, bfloat16 if that GPU supports it.

    `cuda` without a number is this process's own GPU among those of the machine.
    """
    allowed = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in ("auto", *allowed):
        raise UserError(f"dtype={dtype} is not known; allowed are auto, {', '.join(allowed)}")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    local, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if name == "cuda":
        if local >= found > 0:
            raise UserError(
                f"process {local} of this machine has no GPU of its own, because there are {found};"
                f" start at most {found} processes"
            )
        name = f"cuda:{local}"
    try:
        target = torch.device(name)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"device={device} is not available; use device=cpu, or cuda on a machine with a GPU"
        ) from None
    if target.type == "cuda":
        torch.cuda.set_device(target)  # for what asks for the current one: NCCL, names, memory
    bf16 = target.type == "cuda" and torch.cuda.is_bf16_supported()
    return target, allowed[("bfloat16" if bf16 else "float32") if dtype == "auto" else dtype]


def token_budget(batch_tokens: int | str, width: int, parameter: torch.Tensor) -> int:
    """Residues in a batch; `auto`: on a CPU by the model's width alone, on a GPU by free memory.

    width: of the hidden states. parameter: one of the model's, for device and dtype.
    """
    if batch_tokens != "auto":
        return int(batch_tokens)
    if parameter.device.type != "cuda":
        return min(max(CPU_NUMBERS // width, CPU_LEAST), CPU_MOST)
    fitting = free_memory(parameter.device) // 2 // (GPU_WIDTHS * width * parameter.element_size())
    return min(max(fitting, GPU_LEAST), GPU_MOST)


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that tensors may still take."""
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device)  # torch reuses what it has reserved
    return free - torch.cuda.memory_allocated(device)


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
        if not any(part in str(error) for part in MEMORY_ERRORS):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(str(error)) from None


def to_device(values: Any, device: torch.device) -> torch.Tensor:
    """An array, or numbers in lists, as a tensor on the device; the host does not wait for it."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def to_host(tensor: torch.Tensor) -> Callable[[], NDArray[Any]]:
    """Start to copy a tensor to the host; the function returned waits for it, float32.

    On a GPU the copy goes to pinned memory in a stream of its own: the next batch can be computed
    meanwhile.
    """
    if not tensor.is_cuda:
        found = tensor.cpu().float().numpy()
        return lambda: found
    stream = copy_stream(tensor.device)
    stream.wait_stream(torch.cuda.current_stream(tensor.device))
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.cuda.stream(stream):
        pinned.copy_(tensor, non_blocking=True)
        done = stream.record_event()
    tensor.record_stream(stream)

    def wait() -> NDArray[Any]:
        done.synchronize()
        result: NDArray[Any] = pinned.to(torch.float32, copy=True).numpy()
        return result

    return wait


@cache
def copy_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of a GPU's copies to the host."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
