"""Packed batches: chains end to end in one row without padding, each attending to itself only.

Uses transformers' attention interface, so it works for every architecture that supports that and
takes positions as an argument. On a GPU all chains go through one variable-length kernel
(`torch.nn.attention.varlen`), elsewhere each through one fused kernel call.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmark.backbones.device import to_device

NAME = "packed"
"""Its name among transformers' attention implementations."""


@dataclass(frozen=True)
class Pack:
    """The chains of a packed row, in tokens."""

    lengths: tuple[int, ...]
    bounds: torch.Tensor
    """Running sums of the lengths, from 0, int32, on the model's device."""


PACK: ContextVar[Pack] = ContextVar("pack")


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **other: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each chain of a row; query, key, value are (1, heads, T, d).

    Refuses what it does not implement: windows, capped logits, sinks.
    """
    from torch.nn.functional import scaled_dot_product_attention

    if any(other.get(name) is not None for name in ("sliding_window", "softcap", "s_aux")):
        raise ValueError("no packing: attention in windows, with capped logits or with sinks")
    pack = PACK.get()
    if torch.is_autocast_enabled(query.device.type):  # else rotary positions leave float32
        number = torch.get_autocast_dtype(query.device.type)
        query, key, value = (part.to(number) for part in (query, key, value))
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        q, k, v = [part[0].transpose(0, 1).contiguous() for part in (query, key, value)]
        longest = max(pack.lengths)
        window = (-1, 0) if causal else (-1, -1)
        mixed: Any = varlen_attn(
            q, k, v, pack.bounds, pack.bounds, longest, longest, scale=scaling, window_size=window
        )
        return mixed.unsqueeze(0), None
    parts = (torch.split(part, list(pack.lengths), dim=2) for part in (query, key, value))
    chains = [
        scaled_dot_product_attention(q, k, v, scale=scaling, is_causal=causal)
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(chains, dim=2).transpose(1, 2), None


def register(compiled: bool = False) -> None:
    """Make it known to transformers; compiled: for use within compiled modules."""
    from transformers import AttentionInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if compiled:
        disable: Any = torch.compiler.disable
        AttentionInterface.register(NAME, disable(attend))
    elif NAME not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(NAME, attend)


@contextmanager
def packed(module: Any, lengths: Sequence[int], first: int) -> Iterator[torch.Tensor]:
    """Attention within chains of these lengths; yields the positions, (1, T), from `first`."""
    register()
    device = next(module.parameters()).device
    bounds = np.cumsum([0, *lengths], dtype=np.int32)
    positions = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths) + first
    with attending(module, Pack(tuple(lengths), to_device(bounds, device))):
        yield to_device(positions[None], device)


@contextmanager
def attending(module: Any, pack: Pack) -> Iterator[None]:
    """Attention within the chains of this row."""
    token = PACK.set(pack)
    try:
        with attention(module, NAME):
            yield
    finally:
        PACK.reset(token)


@contextmanager
def attention(module: Any, name: str) -> Iterator[None]:
    """Another implementation of attention: "eager" alone returns maps."""
    before = module.config._attn_implementation
    differs = name != before  # some architectures have only one, and warn when it is set
    if differs:
        module.set_attn_implementation(name)
    try:
        yield
    finally:
        if differs:
            module.set_attn_implementation(before)


def again(module: Any) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a layer's forward pass and its recomputation, for `torch.utils.checkpoint`."""
    pack = PACK.get(None)
    return nullcontext(), nullcontext() if pack is None else attending(module, pack)
