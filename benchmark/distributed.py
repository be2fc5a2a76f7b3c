"""Several processes, one run.

    accelerate launch --num_processes 4 -m benchmark task=contact model=esm2_3b

Every process executes the same run. Work on sequences is divided among them, and the results are
gathered in all of them; only the process of rank 0 prints and writes.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

S = TypeVar("S")
T = TypeVar("T")


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
    """The lists of all processes, in the order of their ranks."""
    import torch.distributed as dist
    from accelerate import PartialState

    PartialState()  # joins the processes, by gloo on CPUs and NCCL on GPUs
    shares: list[list[T]] = [[] for _ in range(world_size())]
    dist.all_gather_object(shares, mine)
    return shares


def broadcast(value: T) -> T:
    """The first process's value, in all of them."""
    return value if world_size() == 1 else all_gather([value])[0][0]


def all_reduce(tensors: "Sequence[torch.Tensor]") -> None:
    """Replace tensors of one dtype by their sums over the processes, in one call."""
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist
    from accelerate import PartialState

    PartialState()
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
