"""Embeddings of chains, in order: read from the caches, or computed in batches and stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmark.core import Backbone, EmbeddingCache, Float32, Level
from benchmark.distributed import map_sharded
from benchmark.embedding.batching import Start, start_batches, window_tokens

EMBEDDING_VERSION = 1
"""Raised by hand when a change of batching, pooling or alignment changes embeddings."""
CHAINS_PER_GATHER = 1024
"""Chains between two exchanges of results, with several processes."""


@dataclass(frozen=True)
class Embedder:
    """Embeds chains with a backbone, and reads and writes its caches.

    Several processes divide the chains among them.
    """

    backbone: Backbone
    caches: Mapping[Level, EmbeddingCache] = field(default_factory=dict)

    def proteins(self, chains: Sequence[str]) -> Iterator[Float32]:
        """Yield the vector of each chain, (protein_dim,)."""
        self.backbone.require("protein_embeddings", "this combination of task and method")
        return self._sharded("protein", chains)

    def residues(self, chains: Sequence[str]) -> Iterator[Float32]:
        """Yield the vectors of each chain's residues, (L, residue_dim)."""
        self.backbone.require("residue_embeddings", "this combination of task and method")
        return self._sharded("residue", chains)

    def _sharded(self, level: Level, chains: Sequence[str]) -> Iterator[Float32]:
        start, cache = partial(self.backbone.start, level), self.caches.get(level)
        return map_sharded(
            lambda share: read_or_embed(start, self.backbone, cache, share),
            chains,
            CHAINS_PER_GATHER,
        )


def read_or_embed(
    start: Start[Float32],
    backbone: Backbone,
    cache: EmbeddingCache | None,
    chains: Sequence[str],
) -> Iterator[Float32]:
    """Yield the vectors of one process's share of the chains.

    Chains that the cache lacks fill whole batches and are stored after each window of batches;
    the others are read one at a time, so that few vectors are in memory.
    """
    if cache:
        cache.verify(lambda part: list(start_batches(start, part, backbone)), backbone.dtype)

    def compute(missing: list[str]) -> list[Float32]:
        rows = start_batches(start, missing, backbone)
        vectors = [np.asarray(row, np.float32) for row in rows]
        return cache.put(missing, vectors) if cache else vectors

    begin = stop = 0
    while begin < len(chains):
        missing: dict[str, None] = {}
        tokens = 0
        while stop < len(chains) and tokens < window_tokens(backbone):
            chain = chains[stop]
            if chain not in missing and not (cache and chain in cache):
                missing[chain] = None
                tokens += len(chain)
            stop += 1
        computed = dict(zip(missing, compute(list(missing)), strict=True))
        for chain in chains[begin:stop]:
            vector = computed.get(chain)
            if vector is None and cache:
                vector = cache.get(chain)
            if vector is None:  # its entry was damaged
                (vector,) = compute([chain])
            yield vector
        begin = stop
