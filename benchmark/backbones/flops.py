"""FLOPs of a transformer: the matrix products of its linear layers and of attention.

Hooks on the linear layers count the first batch of each kind, so unused parts do not count, and the
architecture need not be known. Later batches of that kind cost the same per token. Attention costs
4 x (queries x keys) x (heads x width of a head) per layer, as computed: with padding where rows
are padded, within each chain where they are packed, on the full square where it is causal.

Not counted: embedding look-ups, norms, activations, softmax, rotary embeddings, a method's head;
`torch.utils.flop_counter` counts the same operations.

A backward pass is counted with the forward pass that records gradients: for each linear layer the
gradients of its input and of its weight, as required, so frozen weights cost half; for attention
twice the forward pass. Recomputation to save memory (checkpointing, fused kernels) does not
count.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from benchmark.backbones.layers import blocks, eager


class Batch(NamedTuple):
    """Sizes of a batch."""

    chains: int
    tokens: int
    """Including special tokens, without padding."""
    computed: int
    """Tokens including padding."""
    pairs: int
    """Queries x keys of each head."""

    @classmethod
    def padded(cls, lengths: Sequence[int]) -> "Batch":
        """Chains of these lengths, as padded rows."""
        count, width = len(lengths), max(lengths)
        return cls(count, sum(lengths), count * width, count * width**2)

    @classmethod
    def packed(cls, lengths: Sequence[int]) -> "Batch":
        """Chains of these lengths, end to end."""
        tokens = sum(lengths)
        return cls(len(lengths), tokens, tokens, sum(n * n for n in lengths))

    @classmethod
    def generated(cls, chains: int, prompt: int, drawn: int) -> "Batch":
        """`drawn` tokens sampled after a prompt, with cached keys and values."""
        steps = drawn - 1
        tokens = chains * (prompt + steps)
        later = steps * prompt + steps * (steps + 1) // 2
        return cls(chains, tokens, tokens, chains * (prompt**2 + later))


@dataclass
class Seen:
    """FLOPs of one or more passes."""

    forward: int = 0
    """Of linear layers."""
    backward: int = 0
    """Of their gradients."""
    passed: int = 0
    """Number of layers that were computed."""
    layers: int = 0
    """Number of layers with gradients."""
    tokens: int = 0
    """Computed tokens of these passes."""


class FlopCounter:
    """Totals of a module with so many layers; width: heads x width of a head."""

    def __init__(self, layers: int, width: int) -> None:
        self.layers = layers
        self.width = width
        self.usage = dict.fromkeys(
            ("forward_flops", "backward_flops", "chains", "tokens", "padding_tokens"), 0
        )
        self._known: dict[tuple[str | None, bool], Seen] = {}

    def forget(self) -> None:
        """Count the next batches anew, after layers were added, or weights frozen or unfrozen."""
        self._known.clear()

    @contextmanager
    def passing(self, module: Any, kind: str | None, batch: Batch) -> Iterator[None]:
        """Count a batch that passes through the module in the context.

        kind: batches of a kind cost the same per token, so hooks count the first only; None: each.
        """
        key = kind, torch.is_grad_enabled()
        if seen := self._known.get(key):
            yield
        else:
            with watching(module, self.layers) as seen:
                yield
            seen.tokens = batch.computed
            if kind:
                self._known[key] = seen
        self.add(batch, seen)

    def add(self, batch: Batch, seen: Seen) -> None:
        """Add a batch with the cost per token of the passes in `seen`."""
        attention = 4 * batch.pairs * self.width
        forward = seen.forward * batch.computed // seen.tokens
        backward = seen.backward * batch.computed // seen.tokens
        for name, amount in {
            "forward_flops": forward + seen.passed * attention,
            "backward_flops": backward + 2 * seen.layers * attention,
            "chains": batch.chains,
            "tokens": batch.tokens,
            "padding_tokens": batch.computed - batch.tokens,
        }.items():
            self.usage[name] += amount


@contextmanager
def watching(module: torch.nn.Module, layers: int) -> Iterator[Seen]:
    """Count the FLOPs of linear layers in the passes within the context."""
    from transformers.pytorch_utils import Conv1D

    seen = Seen()
    passed: set[Any] = set()

    def linear(part: Any, args: Any, kwargs: Any, output: torch.Tensor) -> None:
        x = next(iter((*args, *kwargs.values())))
        work = 2 * output.numel() * x.shape[-1]  # not from the weight, which may be offloaded
        seen.forward += work
        if output.requires_grad:
            seen.backward += work * (x.requires_grad + part.weight.requires_grad)

    def block(part: Any, given: Any, output: Any) -> None:
        passed.add(part)
        first = output[0] if isinstance(output, tuple) else output
        seen.layers += bool(first.requires_grad)

    parts, found = list(module.modules()), list(blocks(module, layers).values())
    with ExitStack() as hooks:
        for part in parts:
            if isinstance(part, torch.nn.Linear | Conv1D):
                hooks.enter_context(part.register_forward_hook(linear, with_kwargs=True))
        for part in found:
            hooks.enter_context(part.register_forward_hook(block))
        with eager():
            yield seen
    seen.passed = len(passed) if found else layers
    if seen.backward and not found:
        seen.layers = layers


def attention_width(config: Any) -> int:
    """Heads x width of a head; in most architectures the width of the model."""
    width = getattr(config, "head_dim", None)
    return int(config.num_attention_heads * width if width else config.hidden_size)
