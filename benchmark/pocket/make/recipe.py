"""Settings of a pocket language model's training, its untrained module, batches and cost."""

import math
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.backbones.alphabet import ESM_TOKENS
from benchmark.pocket.make import flops_formulas as flops

VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *ESM_TOKENS, ".", "-", "<null_1>", "<mask>"]
ID = {token: index for index, token in enumerate(VOCABULARY)}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What determines the weights, besides corpus and precision."""

    objective: Literal["masked", "causal"]
    layers: int
    dim: int
    heads: int
    tokens: int
    """Tokens read in training, with special tokens."""
    batch_tokens: int
    """Tokens read per step."""
    crop: int
    """Largest number of residues read from a chain."""
    lr: float
    """Peak learning rate; decays to a tenth of it."""
    warmup: float
    """Share of the steps."""
    weight_decay: float
    clip: float
    """Largest norm of the gradient."""
    seed: int

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return max(1, round(self.tokens / self.batch_tokens))

    @property
    def initial_deviation(self) -> float:
        """Of untrained weights (Nguyen & Salazar 2019); transformers' 0.02 is for wide models."""
        return math.sqrt(2 / (5 * self.dim))

    @property
    def gated_ffn(self) -> int:
        """Inner width of a Llama's three matrices: as many weights as two of 4 x dim have."""
        return 16 * round(self.dim * 8 / 3 / 16)


def build(recipe: Recipe) -> Any:
    """The untrained module, with its head."""
    from transformers import EsmConfig, EsmForMaskedLM, LlamaConfig, LlamaForCausalLM

    shape: dict[str, Any] = {
        "vocab_size": len(VOCABULARY),
        "initializer_range": recipe.initial_deviation,
        "hidden_size": recipe.dim,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "pad_token_id": ID["<pad>"],
        "bos_token_id": ID["<cls>"],
        "eos_token_id": ID["<eos>"],
    }
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        if recipe.objective == "causal":
            shape |= {"intermediate_size": recipe.gated_ffn, "use_cache": False}
            return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))
        shape |= {"intermediate_size": 4 * recipe.dim, "mask_token_id": ID["<mask>"]}
        shape |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        shape |= {"position_embedding_type": "rotary", "token_dropout": True}
        return EsmForMaskedLM(EsmConfig(**shape))


def read_lengths(corpus: Sequence[Sized], recipe: Recipe) -> NDArray[np.int64]:
    """Tokens read from each chain, (n,)."""
    return np.array([min(len(chain), recipe.crop) + 2 for chain in corpus])


def plan(lengths: NDArray[np.int64], recipe: Recipe) -> Iterator[NDArray[np.int64]]:
    """The chains of each step, by index: each once per epoch, in a new random order."""
    epoch = 0
    while True:
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(lengths))
        ends = np.cumsum(lengths[order])
        start = 0
        while start < len(order):
            done = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, done + recipe.batch_tokens, side="right"))
            yield order[start:stop]
            start = stop
        epoch += 1


def cost(corpus: Sequence[Sized], recipe: Recipe) -> dict[str, float]:
    """Tokens read in a whole training, and its FLOPs: 6 N D, and as Serrano et al. 2024 count them.

    N is theirs in both: matrices, with embedding and head, without biases and norms; a decoder
    counts although it is the embedding.
    """
    lengths = read_lengths(corpus, recipe)
    steps = islice(plan(lengths, recipe), recipe.steps)
    seen = np.bincount(np.concatenate([lengths[rows] for rows in steps]))
    gated = recipe.objective == "causal"
    ffn = recipe.gated_ffn * 3 // 2 if gated else 4 * recipe.dim  # three matrices, counted as two
    shape = flops.Shape(recipe.layers, recipe.dim, ffn, recipe.heads, len(VOCABULARY))
    dense = recipe.dim**2 if gated else 0  # a Llama's head is its decoder alone
    weights = flops.parameters(shape).total - dense
    tokens = int(seen @ np.arange(len(seen)))
    exact = sum(
        int(count) * (flops.TRAINING * flops.forward_flops(shape, length) - 6 * length * dense)
        for length, count in enumerate(seen)
    )
    return {
        "parameters": weights,
        "tokens": tokens,
        "flops_6nd": flops.training_flops(weights, tokens),
        "flops_exact": exact,
    }
