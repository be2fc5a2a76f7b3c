"""A cache of keys and values that does not copy itself for each new token, as `DynamicCache` does.

On a CPU the copies are more than half of the time that sampling from a small model takes.
"""

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

LEAST = 64
"""Tokens that a new buffer has room for."""


class BufferedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values as views of buffers, which double when they are full."""

    buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Any:
        """Append (B, heads, new, width) keys and values; return all, (B, heads, T, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.get_seq_length(), (key_states, value_states)
        stop = start + key_states.shape[-2]
        if self.buffers is None or stop > self.buffers[0].shape[-2]:
            room = max(LEAST, 2 * start, stop)
            grown = [x.new_empty(*x.shape[:-2], room, x.shape[-1]) for x in new]
            if self.buffers:
                for buffer, old in zip(grown, self.buffers, strict=True):
                    buffer[..., :start, :] = old[..., :start, :]
            self.buffers = grown[0], grown[1]
        for buffer, states in zip(self.buffers, new, strict=True):
            buffer[..., start:stop, :] = states
        self.keys, self.values = (buffer[..., :stop, :] for buffer in self.buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, which are in ascending order."""
        if self.buffers is None:
            return
        stop, count = self.get_seq_length(), len(beam_idx)
        for buffer in self.buffers:
            buffer[:count, ..., :stop, :] = buffer[beam_idx.to(buffer.device), ..., :stop, :]
        first, second = self.buffers
        self.buffers = first[:count], second[:count]
        self.keys, self.values = (buffer[..., :stop, :] for buffer in self.buffers)


def new_cache(config: Any) -> DynamicCache:
    """An empty cache for a model; layers with windows are those of `transformers`."""
    cache = DynamicCache(config=config)
    make: Any = BufferedLayer
    cache.layers = [make() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
