"""Vectors of chains, in order: read from the store, or embedded in batches and kept there."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Backbone, Level
from benchmark.distributed import map_sharded
from benchmark.embedding.batching import WINDOW, map_batches

Float32 = NDArray[np.float32]


EMBEDDING_VERSION = 1
"""Raised by hand when batching, pooling or alignment change what is embedded."""
CHAINS_PER_GATHER = 1024
"""Chains whose vectors are exchanged at a time, where several processes divide the work."""


def embed(
    how: Callable[[Sequence[str]], Sequence[Float32]],
    backbone: Backbone,
    level: Level,
    chains: Sequence[str],
) -> Iterator[Float32]:
    """What `how` makes of each chain, in order: (dim,) a protein, or (L, dim) a chain's residues.

    Several processes divide the chains among them.
    """
    return map_sharded(
        lambda share: kept_or_made(how, backbone, level, share), chains, CHAINS_PER_GATHER
    )


def kept_or_made(
    how: Callable[[Sequence[str]], Sequence[Float32]],
    backbone: Backbone,
    level: Level,
    chains: Sequence[str],
) -> Iterator[Float32]:
    """Vectors of one process's share of the chains.

    Chains that the store lacks fill whole batches, and are kept when a window of batches is done;
    those that it holds are read when their turn comes, so few vectors are in memory at a time.
    """
    shelf = backbone.store[level] if backbone.store else None
    if shelf:
        shelf.verify(lambda part: list(map_batches(how, part, backbone)), backbone.dtype)

    def make(missing: list[str]) -> list[Float32]:
        rows = map_batches(how, missing, backbone)
        vectors = [np.asarray(row, np.float32) for row in rows]
        return shelf.put(missing, vectors) if shelf else vectors

    start = stop = 0
    while start < len(chains):
        missing: dict[str, None] = {}
        tokens = 0
        while stop < len(chains) and tokens < WINDOW * backbone.batch_tokens:
            chain = chains[stop]
            if chain not in missing and not (shelf and chain in shelf):
                missing[chain] = None
                tokens += len(chain)
            stop += 1
        made = dict(zip(missing, make(list(missing)), strict=True))
        for chain in chains[start:stop]:
            vector = made.get(chain)
            if vector is None and shelf:
                vector = shelf.get(chain)
            if vector is None:  # its entry was damaged
                (vector,) = make([chain])
            yield vector
        start = stop
