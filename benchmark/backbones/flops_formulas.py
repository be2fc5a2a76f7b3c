"""Parameters, and FLOPs of a pass and of training, from an architecture's shape.

Three conventions with different results; state which one is used:

- `parameters`, `forward_flops`: Serrano et al. 2024 (arXiv 2406.07249), who count parameters as
  Kaplan et al. 2020 and FLOPs as Hoffmann et al. 2022 (appendix F): no biases, no norms, embedding
  and softmax counted. The paper's equations were not at hand: this is the standard reconstruction.
- `kaplan_parameters`, `training_flops`: N = 12 L h^2 and C = 6 N D (Kaplan et al. 2020), as Cheng
  et al. 2024 use them.
- `gated_parameters`: the blocks of models with a gated feed-forward layer, as ProteinGLM.

The measured work of a run is in its Record (`benchmark.backbones.flops`).
"""

from typing import NamedTuple

TRAINING = 3
"""A step costs a forward pass and a backward pass of twice its FLOPs."""


class Shape(NamedTuple):
    """An encoder like ESM-2: plain feed-forward layers, and RoBERTa's head."""

    layers: int
    dim: int
    ffn: int
    """Inner width of the feed-forward layers."""
    heads: int
    vocabulary: int


class Parameters(NamedTuple):
    """Numbers in matrices."""

    embedding: int
    blocks: int
    head: int
    """Dense layer and decoder; the decoder counts although it is often tied to the embedding."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def parameters(shape: Shape) -> Parameters:
    """Without biases and norms."""
    dim, decoder = shape.dim, shape.vocabulary * shape.dim
    block = 4 * dim**2 + 2 * dim * shape.ffn
    return Parameters(decoder, shape.layers * block, dim**2 + decoder)


def forward_flops(shape: Shape, tokens: int) -> int:
    """FLOPs of a forward pass over one sequence."""
    weights = 2 * tokens * parameters(shape).total
    attention = 4 * tokens**2 * shape.dim + 3 * shape.heads * tokens**2
    return weights + shape.layers * attention


def sequence_training_flops(shape: Shape, tokens: int) -> int:
    """FLOPs of forward and backward pass over one sequence."""
    return TRAINING * forward_flops(shape, tokens)


def kaplan_parameters(layers: int, dim: int) -> int:
    """N: parameters of the blocks, with feed-forward layers of width 4 x `dim`."""
    return 12 * layers * dim**2


def gated_parameters(layers: int, dim: int, ffn: int) -> int:
    """Parameters of the blocks, with feed-forward layers of three matrices."""
    return layers * (4 * dim**2 + 3 * dim * ffn)


def training_flops(parameters: int, tokens: float) -> float:
    """C = 6 N D, for D training tokens in all."""
    return 2 * TRAINING * parameters * tokens
