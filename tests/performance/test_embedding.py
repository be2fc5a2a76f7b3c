"""Time of embedding compared with bare loops over padded batches, made beforehand. Not part of CI.

    pytest tests/performance                   # all measurements; on a GPU, if there is one
    PERFORMANCE_DEVICE=cpu PERFORMANCE_DTYPE=bfloat16 pytest tests/performance

The chains have the lengths of the embedded solubility task.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from benchmark.backbones.baselines.untrained import Random
from benchmark.embedding.batching import batches
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import protein_features, residue_features
from benchmark.embedding.store import opened
from benchmark.run.execution import open_caches
from tests.performance.table import Table, device, dtype, interleaved, matrix_rate, memory_rate

BARE: dict[str, float] = {}
"""Seconds of the fastest bare loop."""


def loop(backbone: Random, groups: Sequence[Sequence[str]]) -> Callable[[], None]:
    """Passes of padded batches, whose outputs are discarded."""
    inputs = [backbone.ids(group) for group in groups]

    def forward() -> None:
        with torch.inference_mode():
            for ids, mask in inputs:
                backbone.module(input_ids=ids, attention_mask=mask)

    return forward


def test_embeddings(table: Table, backbone: Random, chains: list[str]) -> None:
    """From strings to NumPy, at most a tenth slower than the bare loop by default."""
    assert backbone.packing and backbone.device.type == device()
    inputs, tokens = [(chain,) for chain in chains], sum(len(chain) + 2 for chain in chains)
    works: dict[str, Callable[[], object]] = {
        f"bare loop, sorted, {budget:,} tokens": loop(
            backbone, [[chains[i] for i in b] for b in batches([*map(len, chains)], budget)]
        )
        for budget in sorted({4096, backbone.batch_tokens})
    }
    bare = list(works)
    works["a vector a protein"] = lambda: protein_features(Embedder(backbone), inputs, "")
    works["a vector a residue"] = lambda: list(residue_features(Embedder(backbone), inputs, ""))
    works["bare loop, 8 chains in the table's order"] = loop(
        backbone, [chains[at : at + 8] for at in range(0, len(chains), 8)]
    )
    seconds = interleaved(works, 2)
    BARE["seconds"] = min(seconds[name] for name in bare)
    weights = sum(p.numel() for p in backbone.module.encoder.parameters())
    reading = weights * 4 // (2 if dtype() == "bfloat16" else 1) / memory_rate()
    for name, needed in seconds.items():
        ratio = table.add(
            f"embedding: {name}", needed, reference=BARE["seconds"], reference_name="bare loop",
            amount=tokens, unit="tokens",
        )  # fmt: skip
        assert ratio <= 1.1 or not name.startswith("a vector"), name
    table.add(
        "embedding: a vector a protein", seconds["a vector a protein"],
        reference=2 * weights * tokens / matrix_rate(dtype()), reference_name="matrix products",
    )  # fmt: skip
    table.add(
        "embedding: one pass at least", reading, reference=reading, reference_name="reading weights"
    )


def test_store(table: Table, backbone: Random, chains: list[str], tmp_path: Path) -> None:
    """Vectors of residues, embedded and stored, then read."""
    inputs = [(chain,) for chain in chains]
    if not BARE:
        pytest.skip("needs the bare loop of test_embeddings")
    with opened(str(tmp_path), 100) as store:
        assert store
        embedder = Embedder(backbone, open_caches(backbone, store, {}, "random"))
        seconds = interleaved({"": lambda: list(residue_features(embedder, inputs, ""))}, 2)[""]
    assert seconds < BARE["seconds"]
    size = 4 * backbone.residue_dim * sum(map(len, chains))
    table.add(
        "store: a vector a residue, read", seconds,
        reference=size / memory_rate(), reference_name="memory bandwidth",
    )  # fmt: skip
