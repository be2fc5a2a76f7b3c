"""Parts of a module of transformers: its blocks, and its table of learned positions."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from benchmark.backbones.packing import register


class Reached(Exception):  # noqa: N818 (it ends a pass, and is no error)
    """A pass has reached the layer that is read; holds its hidden states."""


def blocks(module: torch.nn.Module, layers: int) -> dict[str, torch.nn.Module]:
    """All blocks by their names in the module; {} if they are not in one list."""
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.ModuleList) and len(part) == layers:
            return {f"{name}.{at}": block for at, block in enumerate(part)}
    return {}


def input_of(block: torch.nn.Module, run: Callable[[], object]) -> torch.Tensor:
    """The hidden states that enter a block in a pass, which ends there."""

    def end(_: Any, args: Any, kwargs: Any) -> None:
        raise Reached(args[0] if args else kwargs["hidden_states"])

    try:
        with block.register_forward_pre_hook(end, with_kwargs=True):
            run()
    except Reached as reached:
        states: torch.Tensor = reached.args[0]
        return states
    raise ValueError("the pass did not reach the block")


@contextmanager
def restored(module: torch.nn.Module) -> Iterator[None]:
    """On exit, parameters require gradients as before, and hold none."""
    before = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        yield
    finally:
        for parameter, requires_grad in before.items():
            parameter.grad = None
            parameter.requires_grad_(requires_grad)


def compile_each(blocks: Iterable[torch.nn.Module]) -> None:
    """Compile each block, for every number of tokens; equal blocks share their code.

    Packed attention is not compiled: it reads the lengths of the chains, which differ by batch.
    """
    register(compiled=True)
    for block in blocks:
        block.compile(dynamic=True)


def eager() -> AbstractContextManager[None]:
    """Without compiled code: it ignores hooks, and changes of a block's parts cost time."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and its import takes seconds
        return nullcontext()
    context: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return context


def position_table(module: torch.nn.Module) -> torch.nn.Embedding | None:
    """The module's table of learned positions; None if they are rotary or relative."""
    names = ("position_embeddings", "embed_positions", "wpe")
    for name, part in module.named_modules():
        if name.endswith(names) and isinstance(part, torch.nn.Embedding):
            return part
    return None


def first_position(table: torch.nn.Embedding | None) -> int:
    """Index of the first position: RoBERTa and its relatives begin after the padding index."""
    return 0 if table is None or table.padding_idx is None else table.padding_idx + 1
