"""The blocks of a module: passes that end at the layer that is read, and compiled blocks."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.backbones.packing import register
from benchmark.embedding.rounding import distance

Float32 = NDArray[np.float32]


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

    handle = block.register_forward_pre_hook(end, with_kwargs=True)
    try:
        run()
    except Reached as reached:
        states: torch.Tensor = reached.args[0]
        return states
    finally:
        handle.remove()
    raise ValueError("the pass did not reach the block")


def compile_each(blocks: Iterable[torch.nn.Module]) -> None:
    """Compile each block, for every number of tokens; equal blocks share their code.

    Packed attention is not compiled: it reads the lengths of the chains, which differ by batch.
    """
    register(compiled=True)
    for block in blocks:
        block.compile(dynamic=True)


def compile_blocks(
    blocks: Sequence[torch.nn.Module], embed: Callable[[], Sequence[Float32]], limit: float
) -> str:
    """Compile each block.

    If `embed` fails, or its vectors change by more than `limit`, undo it and return the reason.
    """
    before = embed()
    compile_each(blocks)
    try:
        found = distance(embed(), before)
        reason = "" if found <= limit else f"the vectors differ by {found:.1e}"
    except Exception as error:  # a compiler fails in many ways
        reason = str(error).strip().partition("\n")[0]
    if reason:
        for block in blocks:
            block._compiled_call_impl = None
    return reason


def eager() -> AbstractContextManager[None]:
    """Without compiled code: it ignores hooks, and changes of a block's parts cost time."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and its import takes seconds
        return nullcontext()
    context: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return context
