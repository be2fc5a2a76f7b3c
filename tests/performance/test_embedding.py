"""Time of embedding, as ratios in one run. Not part of CI.

    pytest tests/performance                   # on a GPU, if there is one
    PERFORMANCE_DEVICE=cpu PERFORMANCE_DTYPE=bfloat16 pytest tests/performance

On a CPU the weights have the shape of ESM-2 8M, on a GPU that of ESM-2 650M; the chains have the
lengths of the embedded solubility task. The floor is the time of the matrix products alone, at the
rate that this machine reaches with them.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.baselines.untrained import Random
from benchmark.embedding.batching import batches
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import protein_features, residue_features
from benchmark.embedding.store import opened
from benchmark.run.identity import open_caches
from tests.conftest import make_task

DEVICE = os.environ.get("PERFORMANCE_DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
DTYPE = os.environ.get("PERFORMANCE_DTYPE", "float32" if DEVICE == "cpu" else "bfloat16")
LAYERS, DIM, HEADS = (6, 320, 20) if DEVICE == "cpu" else (33, 1280, 20)
TOKENS = 4096 if DEVICE == "cpu" else 65536
COUNT = 100 if DEVICE == "cpu" else 3000
SECONDS: dict[str, float] = {}


@pytest.fixture(scope="module")
def backbone() -> Random:
    return Random(
        layers=LAYERS, dim=DIM, heads=HEADS, init_seed=0, layer=-1, pooling="mean",
        device=DEVICE, dtype=DTYPE, batch_tokens=TOKENS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def chains() -> list[str]:
    splits = make_task("pocket_solubility").load()
    return [example.chains[0] for example in splits.train][:COUNT]


def measure(benchmark: Any, name: str, work: Callable[[], object]) -> None:
    def whole() -> None:
        work()
        if DEVICE != "cpu":
            torch.cuda.synchronize()

    benchmark.pedantic(whole, rounds=3, warmup_rounds=1)
    SECONDS[name] = benchmark.stats.stats.min


def forward(backbone: Random, inputs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    with torch.inference_mode():
        for ids, mask in inputs:
            backbone.module(input_ids=ids, attention_mask=mask)


def test_bare_loop(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """Token ids made beforehand, sorted by length, nothing kept: the ideal of a padded loop."""
    made = batches([len(chain) for chain in chains], TOKENS)
    inputs = [backbone.ids([chains[i] for i in batch]) for batch in made]
    tokens = sum(int(mask.sum()) for _, mask in inputs)
    SECONDS["tokens"] = tokens
    SECONDS["padding"] = 1 - tokens / sum(mask.numel() for _, mask in inputs)
    measure(benchmark, "bare", lambda: forward(backbone, inputs))


def test_fixed_batches(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """Eight chains a batch in the order of the table, padded: what most programs do."""
    inputs = [backbone.ids(chains[i : i + 8]) for i in range(0, len(chains), 8)]
    measure(benchmark, "fixed", lambda: forward(backbone, inputs))


def test_proteins(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """One vector a protein, from strings to NumPy."""
    inputs = [(chain,) for chain in chains]
    measure(benchmark, "proteins", lambda: protein_features(Embedder(backbone), inputs, "train"))


def test_residues(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """A vector for each residue, from strings to NumPy."""
    inputs = [(chain,) for chain in chains]
    measure(
        benchmark, "residues", lambda: list(residue_features(Embedder(backbone), inputs, "train"))
    )


def test_padded_proteins(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """As `test_proteins`, but without packing."""
    inputs = [(chain,) for chain in chains]
    backbone.packing = False
    measure(benchmark, "unpacked", lambda: protein_features(Embedder(backbone), inputs, "train"))
    backbone.packing = True


def test_warm_residues(benchmark: Any, backbone: Random, chains: list[str], tmp_path: Path) -> None:
    """As `test_residues`, read from the store, and what writing them there costs."""
    inputs = [(chain,) for chain in chains]
    with opened(str(tmp_path), 100) as store:
        assert store
        embedder = Embedder(backbone, open_caches(backbone, store, {}, "random"))
        started = time.perf_counter()
        list(residue_features(embedder, inputs, "train"))
        SECONDS["filling"] = time.perf_counter() - started
        measure(benchmark, "warm", lambda: list(residue_features(embedder, inputs, "train")))


def test_floor(benchmark: Any, backbone: Random, chains: list[str]) -> None:
    """The matrix products of all layers, without attention, norms or activations."""
    rows = min(TOKENS, int(SECONDS["tokens"]))
    parameter = next(backbone.module.parameters())
    x = torch.randn(rows, DIM, device=parameter.device, dtype=parameter.dtype)
    wide = torch.randn(rows, 4 * DIM, device=parameter.device, dtype=parameter.dtype)
    square, up, down = (
        torch.randn(*shape, device=parameter.device, dtype=parameter.dtype)
        for shape in ((DIM, DIM), (DIM, 4 * DIM), (4 * DIM, DIM))
    )
    times = LAYERS * SECONDS["tokens"] / rows

    def work() -> None:
        for _ in range(round(times)):
            for _ in range(4):
                torch.mm(x, square)
            torch.mm(x, up)
            torch.mm(wide, down)

    measure(benchmark, "floor", work)
    SECONDS["floor"] *= times / round(times)
    SECONDS["flops"] = 24 * DIM**2 * LAYERS * SECONDS["tokens"]


def test_report(capsys: pytest.CaptureFixture[str], backbone: Random) -> None:
    """The ratios, and the floor beside them."""
    s = SECONDS
    rate = s["flops"] / s["floor"] / 1e9
    with capsys.disabled():
        print(f"\n{DEVICE} {DTYPE}, {LAYERS} layers of {DIM}, {torch.get_num_threads()} threads")
        print(f"{s['tokens']:,.0f} tokens, {s['tokens'] / s['proteins']:,.0f} a second")
        print(f"padding: {s['padding']:.1%} sorted by length; packed none ({backbone.packing=})")
        for name in ("proteins", "residues", "filling", "warm", "unpacked", "fixed", "floor"):
            print(f"{name:<10} {s[name]:8.3f} s {s[name] / s['bare']:6.2f} of the bare loop")
        share = s["floor"] / s["proteins"]
        print(f"floor: {rate:,.0f} GFLOP/s by matrix products; proteins reach {share:.0%} of it")
    assert np.isfinite(list(s.values())).all()
