"""Parameters, and FLOPs of a pass and of training, from an encoder's shape.

Serrano et al. 2024 (arXiv 2406.07249) count parameters as Kaplan et al. 2020 and FLOPs as Hoffmann
et al. 2022 (appendix F): no biases, no norms, embedding and softmax counted. The paper's equations
were not at hand: this is the standard reconstruction. The measured work of a run is in its Record
(`benchmark.backbones.flops`).
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


def training_flops(parameters: int, tokens: float) -> float:
    """C = 6 N D (Kaplan et al. 2020), for D training tokens in all."""
    return 2 * TRAINING * parameters * tokens
