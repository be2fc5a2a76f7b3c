"""Backbones on a CUDA device; skipped without one."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.backbones.transformer import Transformer
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
