"""Several processes, one run.

    accelerate launch --num_processes 4 -m benchmark task=contact model=esm2_3b

Every process executes the same run. Work on sequences is divided among them, and the results are
gathered in all of them; only the process of rank 0 prints and writes.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import torch

S = TypeVar("S")
T = TypeVar("T")
BUCKET = 25 * 2**20
"""Bytes that are summed over the processes in one call."""


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def map_sharded(
    work: Callable[[Sequence[S]], Iterable[T]], items: Sequence[S], window: int
) -> Iterator[T]:
    """Yield the results of `work` on all items, in their order; each process works on its share.

    `work` returns one result per item. Results are gathered after each `window` of items, which
    bounds the memory.
    """
    if world_size() == 1:
        yield from work(items)
        return
    for start in range(0, len(items), window):
        part = items[start : start + window]
        shares = all_gather(list(work(part[rank() :: world_size()])))
        for at in range(len(part)):
            yield shares[at % world_size()][at // world_size()]


def all_gather(mine: list[T]) -> list[list[T]]:
    """The lists of all processes, in the order of their ranks.

    Arrays travel as bytes without pickling, over the hosts' network also where models are on GPUs.
    """
    import numpy as np
    import torch
    import torch.distributed as dist

    arrays, outline = list[Any](), list[Any]()
    for item in mine:
        if isinstance(item, np.ndarray) and not item.dtype.hasobject:
            arrays.append(np.ascontiguousarray(item))
            outline.append(Outline(item.shape, item.dtype.str, item.nbytes))
        else:
            outline.append(item)
    outlines: list[list[Any]] = [[] for _ in range(world_size())]
    dist.all_gather_object(outlines, outline, group=hosts())
    sizes = [sum(aligned(x.size) for x in part if isinstance(x, Outline)) for part in outlines]
    payload = torch.zeros(max(sizes), dtype=torch.uint8)
    start = 0
    for array in arrays:
        payload[start : start + array.nbytes] = torch.from_numpy(array.reshape(-1).view(np.uint8))
        start += aligned(array.nbytes)
    buffers = [torch.empty_like(payload) for _ in outlines]
    if max(sizes):
        dist.all_gather(buffers, payload, group=hosts())
    both = zip(outlines, buffers, strict=True)
    return [list(restored(part, buffer.numpy())) for part, buffer in both]


class Outline(NamedTuple):
    """An array without its content."""

    shape: tuple[int, ...]
    dtype: str
    size: int
    """Bytes."""


def aligned(size: int) -> int:
    """Bytes of an array in a payload, so that the next one is aligned."""
    return -(-size // 8) * 8


def restored(outline: list[Any], payload: Any) -> Iterator[Any]:
    """The objects of a process, with arrays as views of its payload."""
    start = 0
    for item in outline:
        if isinstance(item, Outline):
            found = payload[start : start + item.size]
            yield found.view(item.dtype).reshape(item.shape)
            start += aligned(item.size)
        else:
            yield item


@cache
def hosts() -> Any:
    """All processes, joined by gloo; the default group joins GPUs by NCCL."""
    import atexit

    import torch.distributed as dist
    from accelerate import PartialState

    PartialState()
    atexit.register(leave)
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def leave() -> None:
    """Destroy all groups: a thread of gloo that outlives the interpreter aborts the process."""
    import torch.distributed as dist

    hosts.cache_clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def broadcast(value: T) -> T:
    """The first process's value, in all of them."""
    return value if world_size() == 1 else all_gather([value])[0][0]


def all_reduce(tensors: "Sequence[torch.Tensor]") -> None:
    """Replace tensors of one dtype and device by their sums over the processes.

    They travel in buckets, so that the memory for copies is small.
    """
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    group = hosts()
    for bucket in buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        dist.all_reduce(flat, group=group if flat.device.type == "cpu" else None)
        parts = torch.split(flat, [tensor.numel() for tensor in bucket])
        for tensor, part in zip(bucket, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def buckets(tensors: "Sequence[torch.Tensor]") -> "Iterator[list[torch.Tensor]]":
    """Consecutive tensors of at most `BUCKET` bytes together; a larger one alone."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.nbytes > BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
