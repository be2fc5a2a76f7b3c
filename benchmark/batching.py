"""Length-sorted batches under a token budget, with results in the order that was asked."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmark.core import UserError

T = TypeVar("T")
WINDOW = 32
"""Batches' worth of chains that are sorted by length together: more wastes less padding, less
keeps fewer results waiting for their turn."""


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Group indices by similar length, so that chains x longest chain stays within `max_tokens`.

    The longest come first, so that what does not fit in memory fails at once. A chain longer than
    the budget is a batch of its own. Every index occurs exactly once.
    """
    grouped: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if grouped and (len(grouped[-1]) + 1) * width <= max_tokens:
            grouped[-1].append(index)
        else:
            grouped.append([index])
            width = max(1, lengths[index])
    return grouped


def map_batches(
    embed: Callable[[Sequence[str]], Sequence[T]], chains: Sequence[str], max_tokens: int
) -> Iterator[T]:
    """Embed chains in batches; yield each chain's result in the order of the chains."""
    start = 0
    while start < len(chains):
        stop, tokens = start, 0
        while stop < len(chains) and (stop == start or tokens < WINDOW * max_tokens):
            tokens += len(chains[stop])
            stop += 1
        window = chains[start:stop]
        results: dict[int, T] = {}
        for batch in batches([len(chain) for chain in window], max_tokens):
            rows = embed([window[i] for i in batch])
            if len(rows) != len(batch):
                raise UserError(f"the backbone gave {len(rows)} rows for {len(batch)} chains")
            results.update(zip(batch, rows, strict=True))
        yield from (results[i] for i in range(len(window)))
        start = stop
