"""New chains from masked language models, which fill masks in several passes (mask-refill).

Of the M masks of a chain, pass p of P fills those up to the (M p / P)-th, rounded up, in an order
that is stated; each residue of a pass is drawn given what earlier passes have filled. A chain has
no likelihood, and does not end by itself: its length is given.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from benchmark.backbones.sampling import choose, processors
from benchmark.core import MASK, RESIDUES, Array, Backbone, Sampled, Sampling
from benchmark.embedding.batching import map_batches

ORDERS = ("random", "confidence")
"""Random positions; or those first whose drawn residues are the most probable (Chang et al. 2022,
MaskGIT, without its noise)."""


def refill(
    backbone: Backbone,
    templates: Sequence[str],
    settings: Sampling,
    seeds: Sequence[int],
    passes: int | None,
    order: str,
) -> list[Sampled]:
    """Replace each `MASK` of the templates; passes=None: one for each mask of a chain.

    Temperature, top-k and top-p are as for causal models, among the 20 residues.
    """
    chains = [list(template) for template in templates]
    masks = [[at for at, letter in enumerate(chain) if letter == MASK] for chain in chains]
    streams = [np.random.default_rng(seed) for seed in seeds]
    ranks = [stream.permutation(len(open_)) for stream, open_ in zip(streams, masks, strict=True)]
    waiting = [np.array(open_, int)[rank] for open_, rank in zip(masks, ranks, strict=True)]
    counts = [len(places) for places in waiting]
    most = max(counts, default=0) if passes is None else passes
    for number in range(1, most + 1):
        filled = [
            min(number if passes is None else -(-count * number // passes), count)
            for count in counts
        ]
        due = [
            n - (count - len(left)) for n, count, left in zip(filled, counts, waiting, strict=True)
        ]
        rows = [row for row, now in enumerate(due) if now]
        texts = ["".join(chains[row]) for row in rows]
        tables: Iterator[Array] = map_batches(backbone.masked_log_probs, texts, backbone)
        for row, table in zip(rows, tables, strict=True):
            now = due[row]
            places = waiting[row] if order == "confidence" else waiting[row][:now]
            letters, sure = drawn(table[places], settings, streams[row])
            if order == "confidence":
                best = np.argsort(-sure, kind="stable")[:now]
                letters, places = letters[best], places[best]
                waiting[row] = np.delete(waiting[row], best)
            else:
                waiting[row] = waiting[row][now:]
            for at, letter in zip(places, letters, strict=True):
                chains[row][at] = RESIDUES[letter]
    return [Sampled("".join(chain), float("nan"), False) for chain in chains]


def drawn(table: Array, settings: Sampling, stream: np.random.Generator) -> tuple[Array, Array]:
    """Residues (n,) drawn from log-probabilities (n, 20), and their log-probabilities."""
    logs = scores = torch.from_numpy(table).float()
    numbers = torch.from_numpy(stream.random(len(table), np.float32))
    for processor in processors(settings):
        scores = processor(torch.empty(len(table), 0, dtype=torch.long), scores)
    chosen = choose(scores, None if settings.temperature == 0 else numbers)
    return chosen.numpy(), logs.gather(1, chosen[:, None])[:, 0].numpy()
