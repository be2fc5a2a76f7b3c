"""Length-sorted batches under a token budget, with results in the order of the input."""

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmark.core import Backbone, UserError

T = TypeVar("T")
Start = Callable[[Sequence[str]], Callable[[], Sequence[T]]]
"""Starts to compute a batch, and returns the function that waits for its results."""
WINDOW = 32
"""Batches whose chains are sorted by length together: more means less padding, fewer means less
memory for results that wait for earlier chains."""
WINDOW_BYTES = 2**30
"""Of a window's residue vectors, unless one batch is larger."""


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


def window_tokens(backbone: Backbone) -> int:
    """Residues whose batches are formed together."""
    fitting = WINDOW_BYTES // (4 * getattr(backbone, "residue_dim", 1))
    return max(backbone.batch_tokens, min(WINDOW * backbone.batch_tokens, fitting))


def map_batches(
    embed: Callable[[Sequence[str]], Sequence[T]], chains: Sequence[str], backbone: Backbone
) -> Iterator[T]:
    """Embed chains in batches; yield each chain's result in the order of the chains."""

    def start(batch: Sequence[str]) -> Callable[[], Sequence[T]]:
        rows = embed(batch)
        return lambda: rows

    return start_batches(start, chains, backbone)


def start_batches(start: Start[T], chains: Sequence[str], backbone: Backbone) -> Iterator[T]:
    """As `map_batches`; the next batch is started before the results of one are waited for."""
    begin = 0
    while begin < len(chains):
        stop, tokens = begin, 0
        while stop < len(chains) and (stop == begin or tokens < window_tokens(backbone)):
            tokens += len(chains[stop])
            stop += 1
        yield from window_results(start, chains[begin:stop], backbone)
        begin = stop


def window_results(start: Start[T], window: Sequence[str], backbone: Backbone) -> list[T]:
    """The result of each chain of a window.

    A batch that does not fit in memory is halved, and so is the backbone's budget from then on.
    """
    lengths = [len(chain) for chain in window]
    results: dict[int, T] = {}
    started: deque[tuple[list[int], Callable[[], Sequence[T]]]] = deque()

    def finish() -> None:
        batch, wait = started.popleft()
        rows = wait()
        if len(rows) != len(batch):
            raise UserError(f"the backbone returned {len(rows)} rows for {len(batch)} chains")
        results.update(zip(batch, rows, strict=True))

    waiting = batches(lengths, backbone.batch_tokens)[::-1]
    while waiting:
        batch = waiting.pop()
        try:
            started.append((batch, start([window[i] for i in batch])))
        except MemoryError:
            if started:  # the batch before may still take memory
                finish()
                waiting.append(batch)
                continue
            lower_budget(backbone, [lengths[i] for i in batch])
            rest = [i for part in [batch, *waiting[::-1]] for i in part]
            parts = batches([lengths[i] for i in rest], backbone.batch_tokens)
            waiting = [[rest[at] for at in part] for part in parts][::-1]
        if len(started) > 1:
            finish()
    while started:
        finish()
    return [results[i] for i in range(len(window))]


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
