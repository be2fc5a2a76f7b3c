"""What goes through a transformer, in FLOPs: the matrix products of its weights and of attention.

The first batch of each kind is watched: every linear layer that it passes through tells its own
products, so parts that are not passed through do not count, and no architecture needs to be known.
Later batches of that kind cost the same for each token. Attention costs 4 x (queries x keys) x
(heads x width of a head) for each layer, as it was computed: on padding where rows are padded,
within each chain where they are packed, on the full square where it is causal (kernels that skip
half of it are not told apart).

Not counted: look-ups, norms, activations, softmax, rotations, and what a method's own head does.
`torch.utils.flop_counter` counts the same, and so leaves out the same.

A backward pass is counted with the forward pass that records gradients: for each linear layer the
gradient of its input and that of its weight, whichever is asked for, so frozen weights cost half;
for attention twice the forward pass, all of it in the lowest block that learns. What is computed
again to save memory (checkpointed blocks, the scores within fused kernels) does not count.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


class Batch(NamedTuple):
    """What attention sees."""

    chains: int
    tokens: int
    """With special tokens, without padding."""
    computed: int
    """Tokens with padding."""
    pairs: int
    """Queries x keys, in each head."""

    @classmethod
    def padded(cls, lengths: Sequence[int]) -> "Batch":
        """Chains of so many tokens, as rows of equal width."""
        count, width = len(lengths), max(lengths)
        return cls(count, sum(lengths), count * width, count * width**2)

    @classmethod
    def packed(cls, lengths: Sequence[int]) -> "Batch":
        """Chains of so many tokens, end to end."""
        tokens = sum(lengths)
        return cls(len(lengths), tokens, tokens, sum(n * n for n in lengths))

    @classmethod
    def generated(cls, chains: int, prompt: int, drawn: int) -> "Batch":
        """So many tokens drawn after a prompt, keys and values kept; the last passes no more."""
        steps = drawn - 1
        tokens = chains * (prompt + steps)
        later = steps * prompt + steps * (steps + 1) // 2
        return cls(chains, tokens, tokens, chains * (prompt**2 + later))


@dataclass
class Seen:
    """The products of one or more passes."""

    forward: int = 0
    """FLOPs of linear layers."""
    backward: int = 0
    """FLOPs of their gradients."""
    layers: int = 0
    """Layers through which gradients go back."""
    tokens: int = 0
    """Computed tokens that this is for."""


class FlopCounter:
    """Adds up what passes through a module with so many layers.

    width: heads x width of a head.
    """

    def __init__(self, layers: int, width: int) -> None:
        self.layers = layers
        self.width = width
        self.usage = {
            "forward_flops": 0,
            "backward_flops": 0,
            "chains": 0,
            "tokens": 0,
            "padding_tokens": 0,
        }
        self._known: dict[tuple[str | None, bool], Seen] = {}

    def forget(self) -> None:
        """Watch again; to be called after layers were added or removed, weights frozen or thawed.

        It is all that a method which trains has to do: batches pass through `Transformer.states`,
        and those of validation with gradients off.
        """
        self._known.clear()

    @contextmanager
    def passing(self, module: Any, kind: str | None, batch: Batch) -> Iterator[None]:
        """Count a batch that passes through the module.

        kind: batches of a kind cost the same for each token, so the first alone is watched; of
            None each is.
        """
        place = kind, torch.is_grad_enabled()
        if seen := self._known.get(place):
            yield
        else:
            with watching(module, self.layers) as seen:
                yield
            seen.tokens = batch.computed
            if kind:
                self._known[place] = seen
        self.add(batch, seen)

    def add(self, batch: Batch, seen: Seen) -> None:
        """Count a batch whose tokens pass as those did that were seen."""
        attention = 4 * batch.pairs * self.width
        forward = seen.forward * batch.computed // seen.tokens
        backward = seen.backward * batch.computed // seen.tokens
        for name, amount in {
            "forward_flops": forward + self.layers * attention,
            "backward_flops": backward + 2 * seen.layers * attention,
            "chains": batch.chains,
            "tokens": batch.tokens,
            "padding_tokens": batch.computed - batch.tokens,
        }.items():
            self.usage[name] += amount


@contextmanager
def watching(module: torch.nn.Module, layers: int) -> Iterator[Seen]:
    """Note the products of linear layers in the passes of a block of code."""
    from transformers.pytorch_utils import Conv1D

    seen = Seen()

    def linear(part: Any, args: Any, kwargs: Any, output: torch.Tensor) -> None:
        x = next(iter((*args, *kwargs.values())))
        work = 2 * output.numel() * x.shape[-1]  # not of the weight, which may be offloaded
        seen.forward += work
        if output.requires_grad:
            seen.backward += work * (x.requires_grad + part.weight.requires_grad)

    def block(part: Any, given: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        seen.layers += bool(first.requires_grad)

    parts = list(module.modules())
    lists = (part for part in parts if isinstance(part, torch.nn.ModuleList))
    blocks = next((list(found) for found in lists if len(found) == layers), [])
    handles = [
        part.register_forward_hook(linear, with_kwargs=True)
        for part in parts
        if isinstance(part, torch.nn.Linear | Conv1D)
    ]
    handles += [part.register_forward_hook(block) for part in blocks]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
    if seen.backward and not blocks:
        seen.layers = layers
