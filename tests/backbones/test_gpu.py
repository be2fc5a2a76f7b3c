"""Backbones on a CUDA device; skipped without one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.backbones.transformer import Transformer
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.rounding import ROUNDING, distance
from tests.conftest import make_backbone, random_chain

pytestmark = pytest.mark.gpu
CHAINS = [random_chain(np.random.default_rng(n), n) for n in (1, 7, 30, 64, 150, 31)]


def cuda(esm_folder: Path, dtype: str) -> Transformer:
    backbone = make_backbone("huggingface", esm_folder, "device=cuda", f"dtype={dtype}")
    assert isinstance(backbone, Transformer) and backbone.device.type == "cuda"
    return backbone


def test_embeddings_in_float32_equal_those_of_the_cpu(esm_folder: Path) -> None:
    cpu = make_backbone("huggingface", esm_folder, "device=cpu", "dtype=float32")
    gpu = cuda(esm_folder, "float32")

    np.testing.assert_allclose(
        gpu.embed_proteins(CHAINS), cpu.embed_proteins(CHAINS), rtol=0, atol=1e-3
    )
    for one, other in zip(gpu.embed_residues(CHAINS), cpu.embed_residues(CHAINS), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-3)


def test_packed_batches_equal_padded_ones_in_bfloat16(esm_folder: Path) -> None:
    """Packed attention uses the variable-length kernel. bfloat16 has 8 bits of mantissa."""
    backbone = cuda(esm_folder, "bfloat16")
    assert backbone.packing, "packing is off on this device"
    packed = backbone.embed_residues(CHAINS)
    backbone.packing = False
    padded = backbone.embed_residues(CHAINS)

    for one, other in zip(packed, padded, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-2 * scale)


def test_vectors_copied_while_others_are_computed_are_those_of_single_batches(
    esm_folder: Path,
) -> None:
    """Transfers go on in a stream of their own."""
    backbone = cuda(esm_folder, "bfloat16")
    backbone.batch_tokens = 400
    chains = [random_chain(np.random.default_rng(n), 30 + n % 90) for n in range(300)]
    found = list(Embedder(backbone).residues(chains))
    for chain, row in zip(chains, found, strict=True):
        alone = backbone.embed_residues([chain])[0]
        np.testing.assert_allclose(row, alone, rtol=0, atol=2e-2 * np.abs(alone).max())


def test_a_lack_of_memory_halves_the_budget(
    esm_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = cuda(esm_folder, "float32")
    free, _ = torch.cuda.mem_get_info()
    filler = torch.empty(free - 2**28, dtype=torch.uint8, device="cuda")
    backbone.batch_tokens = 4_000_000
    backbone.packing = False
    rng = np.random.default_rng(0)
    rows = list(Embedder(backbone).proteins([random_chain(rng, 300) for _ in range(9000)]))
    del filler
    assert len(rows) == 9000 and np.isfinite(rows).all()
    assert backbone.batch_tokens < 4_000_000 and "out of memory" in capsys.readouterr().err


def test_compiled_blocks_agree_in_bfloat16(esm_folder: Path) -> None:
    backbone = cuda(esm_folder, "bfloat16")
    expected = backbone.embed_residues(CHAINS)
    backbone.compile = True
    found = backbone.embed_residues(CHAINS)
    assert backbone.compiled and distance(found, expected) <= ROUNDING["bfloat16"]
