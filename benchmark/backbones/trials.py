"""What a module can do and what leaves its vectors equal, by trial on one or two short chains.

`model` is a `Transformer`. Its architecture need not be known.
"""

import inspect
import sys
from typing import Any

import torch

from benchmark.backbones.device import inference
from benchmark.backbones.layers import blocks, compile_each
from benchmark.backbones.packing import attention
from benchmark.core import RESIDUES, Array
from benchmark.embedding.rounding import ROUNDING, distance

PROBE = [RESIDUES, RESIDUES[::-2]]
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)
"""What modules raise where something is not possible."""


def gives_maps(model: Any) -> bool:
    """Whether the module gives a square attention map for each layer."""
    ids, mask = model.ids(PROBE[:1])
    try:
        with inference(), attention(model.module, "eager"):
            output = model.module(input_ids=ids, attention_mask=mask, output_attentions=True)
    except FAILURES:  # an architecture without attention takes no such argument
        return False
    maps = getattr(output, "attentions", None) or ()
    square = (ids.shape[1],) * 2
    return [getattr(m, "shape", ())[-2:] for m in maps] == [square] * model.layers


def choose_passes(model: Any) -> None:
    """Pack batches, and end passes at the layer that is read, if vectors stay equal."""
    takes = inspect.signature(model.module.forward).parameters
    packable = "position_ids" in takes and model.module._supports_attention_backend
    at = model.layer % (model.layers + 1)
    above = list(blocks(model.module, model.layers).values())[at:]
    if not packable and not above:
        return
    alone = [row for chain in PROBE for row in model.embed_residues([chain])]
    model.packing = packable and packs(model, alone)
    model.end = above[0] if above and ends(model, above[0], alone[:1]) else None


def packs(model: Any, alone: list[Array]) -> bool:
    """Whether packed batches are possible, and equal to single chains."""
    limit = ROUNDING[model.dtype]
    model.packing = True
    try:
        found = distance(model.embed_residues(PROBE), alone)
        reason = f"the vectors of packed chains differ by {found:.1e}"
    except FAILURES as error:  # positions of another form; padding works everywhere
        found, reason = float("inf"), f"{type(error).__name__}: {error}"
    if found > limit and model.device.type == "cuda":
        print(f"note: batches are padded, not packed: {reason}", file=sys.stderr)
    return found <= limit


def ends(model: Any, block: torch.nn.Module, whole: list[Array]) -> bool:
    """Whether a pass that ends before this block gives the vectors of a whole pass."""
    model.end = block
    try:
        return distance(model.embed_residues(PROBE[:1]), whole) <= ROUNDING[model.dtype]
    except FAILURES:
        return False


def compile_blocks(model: Any) -> bool:
    """Compile the blocks; undo it, with a note, if that fails or vectors differ."""
    wanted, model.compile = model.compile, False
    parts, before = list(model.blocks().values()), model.embed_residues(PROBE[:1])
    compile_each(parts)
    try:
        found = distance(model.embed_residues(PROBE[:1]), before)
        reason = f"the vectors differ by {found:.1e}" if found > ROUNDING[model.dtype] else ""
    except Exception as error:  # a compiler fails in many ways
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if reason:
        print(f"note: compile={wanted} has no effect: {reason}", file=sys.stderr)
        for part in parts:
            part._compiled_call_impl = None
    return not reason
