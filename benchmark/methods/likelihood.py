"""The likelihood of a chain's residues by a language model, given those before, or all others."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core import MASK, RESIDUE_INDEX, Array, Backbone, Chains, Readout, UserError, Value
from benchmark.distributed import map_sharded
from benchmark.embedding.batching import map_batches
from benchmark.embedding.extraction import CHAINS_PER_GATHER
from benchmark.embedding.features import check_lengths
from benchmark.progress import track

T = TypeVar("T")
Positions = Callable[[str], NDArray[np.intp]]
"""From a chain to its scored positions, 0-based."""


def map_chains(
    score: Callable[[Sequence[str]], Sequence[T]], chains: Sequence[str], backbone: Backbone
) -> Iterator[T]:
    """Apply `score` to all chains, in batches that several processes divide among them."""
    results = map_sharded(
        lambda part: map_batches(score, part, backbone), chains, CHAINS_PER_GATHER
    )
    return track(results, len(chains), "zero-shot")


def mask(chain: str, at: int) -> str:
    """The chain with one residue masked."""
    return chain[:at] + MASK + chain[at + 1 :]


def masked_rows(backbone: Backbone, masked: Sequence[str]) -> list[Array]:
    """Log-probabilities (20,) at the masked residue of each chain of a batch."""
    tables = backbone.masked_log_probs(masked)
    # copies, or the whole batch's table would stay in memory
    return [table[chain.index(MASK)].copy() for chain, table in zip(masked, tables, strict=True)]


def masked_scores(backbone: Backbone, positions: Positions, chains: Sequence[str]) -> list[Array]:
    """Log-probabilities of the scored residues of each chain of a batch, each masked in turn.

    The masked copies of the chains are read in batches of their own.
    """
    scored = [positions(chain).tolist() for chain in chains]
    masked = [mask(chain, at) for chain, found in zip(chains, scored, strict=True) for at in found]
    rows = map_batches(partial(masked_rows, backbone), masked, backbone)
    return [
        np.array([next(rows)[RESIDUE_INDEX[chain[at]]] for at in found], np.float64)
        for chain, found in zip(chains, scored, strict=True)
    ]


def unmasked_scores(backbone: Backbone, positions: Positions, chains: Sequence[str]) -> list[Array]:
    """Log-probabilities of the scored residues of each chain of a batch, which the model sees."""
    return at_positions(backbone.masked_log_probs(chains), positions, chains)


def causal_scores(backbone: Backbone, positions: Positions, chains: Sequence[str]) -> list[Array]:
    """Log-probabilities of the scored residues of each chain of a batch, in one pass."""
    return at_positions(backbone.causal_log_probs(chains), positions, chains)


def at_positions(
    tables: Sequence[Array], positions: Positions, chains: Sequence[str]
) -> list[Array]:
    """Entries of tables (L, 20) for the scored residues of each chain."""
    return [
        np.array([table[at, RESIDUE_INDEX[chain[at]]] for at in positions(chain)], np.float64)
        for chain, table in zip(chains, tables, strict=True)
    ]


SCORES = {"causal": causal_scores, "masked": masked_scores, "unmasked": unmasked_scores}
"""A function for each kind of log-probabilities."""
KINDS = {"left": "causal", "both": "masked", "unmasked": "unmasked"}
"""The kind of log-probabilities for each context of a likelihood."""
TASKS = {"causal": "perplexity", "masked": "pseudo_perplexity"}
"""A task for each kind that a backbone may have; unmasked ones are of masked models."""


def kind_of(backbone: Backbone, context: str | None) -> str:
    """The kind of log-probabilities in a context; refuses a backbone without them."""
    kind = KINDS[str(context)]
    needed = "causal" if kind == "causal" else "masked"
    able = [name for name in TASKS if f"{name}_log_probs" in backbone.abilities]
    if needed in able:
        return kind
    hint = "choose a language model with its head"
    if able:
        hint = f"for its {able[0]} ones give task={TASKS[able[0]]} or pocket_{TASKS[able[0]]}"
    why = f" ({backbone.limits})" if backbone.limits else ""
    raise UserError(
        f"context={context} needs {needed} log-probabilities, and the backbone "
        f"{type(backbone).__name__} has none{why}; {hint}"
    )


def residue_log_probs(
    backbone: Backbone, readout: Readout, inputs: Sequence[Chains]
) -> Iterator[Value]:
    """Yield log-probabilities (L,) of each chain's residues, NaN at positions not scored."""
    score = SCORES[kind_of(backbone, readout.context)]
    chains = [chain for (chain,) in inputs]
    check_lengths(backbone, chains)
    found = map_chains(partial(score, backbone, readout.scored_positions), chains, backbone)
    for chain, values in zip(chains, found, strict=True):
        row = np.full(len(chain), np.nan, np.float32)
        row[readout.scored_positions(chain)] = values
        yield row
