"""Length-sorted batches under a token budget, with results in the order of the input."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmark.core import Backbone, UserError

T = TypeVar("T")
WINDOW = 32
"""Batches whose chains are sorted by length together: more means less padding, fewer means less
memory for results that wait for earlier chains."""


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Group indices by similar length, so that chains x longest chain stays within `max_tokens`.

    The longest come first, so that a lack of memory shows at once. A chain longer than the budget
    is a batch of its own. Every index occurs exactly once.
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
    embed: Callable[[Sequence[str]], Sequence[T]], chains: Sequence[str], backbone: Backbone
) -> Iterator[T]:
    """Embed chains in batches; yield each chain's result in the order of the chains.

    A batch that does not fit in memory is halved, and so is the backbone's budget from then on.
    """
    start = 0
    while start < len(chains):
        stop, tokens = start, 0
        while stop < len(chains) and (stop == start or tokens < WINDOW * backbone.batch_tokens):
            tokens += len(chains[stop])
            stop += 1
        window = chains[start:stop]
        results: dict[int, T] = {}
        waiting = batches([len(chain) for chain in window], backbone.batch_tokens)[::-1]
        while waiting:
            batch = waiting.pop()
            try:
                rows = embed([window[i] for i in batch])
            except MemoryError:
                lower_budget(backbone, [len(window[i]) for i in batch])
                rest = [i for part in [batch, *waiting[::-1]] for i in part]
                parts = batches([len(window[i]) for i in rest], backbone.batch_tokens)
                waiting = [[rest[at] for at in part] for part in parts][::-1]
                continue
            if len(rows) != len(batch):
                raise UserError(f"the backbone returned {len(rows)} rows for {len(batch)} chains")
            results.update(zip(batch, rows, strict=True))
        yield from (results[i] for i in range(len(window)))
        start = stop


def lower_budget(backbone: Backbone, lengths: Sequence[int]) -> None:
    """Halve the budget after a batch of these lengths did not fit in memory."""
    if len(lengths) == 1:
        raise UserError(
            f"one chain of {lengths[0]} residues does not fit in memory; cut all chains with "
            "task.max_length=..., or spread the model with model.device_map=auto"
        ) from None
    backbone.batch_tokens = max(1, len(lengths) * max(lengths) // 2)
    print(
        f"out of memory; batches of {backbone.batch_tokens:,} residues from now on", file=sys.stderr
    )
