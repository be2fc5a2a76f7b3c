"""How likely a language model finds the residues of a chain, given those before, or all others."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    MASK,
    RESIDUES,
    Array,
    Backbone,
    CausalLogProbs,
    Chains,
    MaskedLogProbs,
    Readout,
    UserError,
    Value,
)
from benchmark.distributed import map_sharded
from benchmark.embedding.batching import map_batches
from benchmark.embedding.features import check_lengths
from benchmark.progress import track

T = TypeVar("T")
Asked = Callable[[str], NDArray[np.intp]]
"""From a chain to the residues in question, counted from 0."""
COLUMN = {residue: column for column, residue in enumerate(RESIDUES)}
CHAINS_PER_GATHER = 1024
"""Chains whose results are exchanged at a time, where several processes divide the work."""


def read(
    how: Callable[[Sequence[str]], Sequence[T]], chains: Sequence[str], backbone: Backbone
) -> Iterator[T]:
    """What `how` makes of each chain, in batches that several processes divide among them."""
    results = map_sharded(lambda part: map_batches(how, part, backbone), chains, CHAINS_PER_GATHER)
    return track(results, len(chains), "zero-shot")


def hide(chain: str, at: int) -> str:
    """The chain with one residue masked."""
    return chain[:at] + MASK + chain[at + 1 :]


def hidden_rows(backbone: Any, masked: Sequence[str]) -> list[Array]:
    """Log-probabilities (20,) at the masked residue of each chain of a batch."""
    tables = backbone.masked_log_probs(masked)
    # a copy, or the whole batch's table would be kept
    return [table[chain.index(MASK)].copy() for chain, table in zip(masked, tables, strict=True)]


def each_hidden(backbone: Any, asked: Asked, chains: Sequence[str]) -> list[Array]:
    """Log-probabilities of the asked residues of each chain of a batch, each masked in turn.

    The masked copies of one batch of chains are made at once, and read in batches of their own.
    """
    places = [asked(chain).tolist() for chain in chains]
    masked = [hide(chain, at) for chain, found in zip(chains, places, strict=True) for at in found]
    rows = map_batches(partial(hidden_rows, backbone), masked, backbone)
    return [
        np.array([next(rows)[COLUMN[chain[at]]] for at in found], np.float64)
        for chain, found in zip(chains, places, strict=True)
    ]


def each_next(backbone: Any, asked: Asked, chains: Sequence[str]) -> list[Array]:
    """Log-probabilities of the asked residues of each chain of a batch, which is read once."""
    tables = backbone.causal_log_probs(chains)
    return [
        np.array([table[at, COLUMN[chain[at]]] for at in asked(chain).tolist()], np.float64)
        for chain, table in zip(chains, tables, strict=True)
    ]


class Reading(NamedTuple):
    """What it takes to be asked about residues in a context."""

    ability: type
    kind: str
    how: Callable[[Any, Asked, Sequence[str]], list[Array]]
    task: str
    """Asks this of models that are able."""


READINGS = {
    "left": Reading(CausalLogProbs, "causal", each_next, "perplexity"),
    "both": Reading(MaskedLogProbs, "masked", each_hidden, "pseudo_perplexity"),
}
"""By `Readout.context`."""


def require(backbone: Backbone, context: str | None) -> Reading:
    """Refuse a context in which the backbone expects nothing, and tell which task asks of it."""
    reading = READINGS[str(context)]
    if isinstance(backbone, reading.ability):
        return reading
    able = [other for other in READINGS.values() if isinstance(backbone, other.ability)]
    instead = "choose a language model with its head"
    if able:
        instead = f"of its {able[0].kind} ones ask task={able[0].task} or pocket_{able[0].task}"
    raise UserError(
        f"context={context} needs {reading.kind} log-probabilities, and the backbone "
        f"{type(backbone).__name__} has none; {instead}"
    )


def residue_log_probs(
    backbone: Backbone, readout: Readout, questions: Sequence[Chains]
) -> Iterator[Value]:
    """Log-probabilities (L,) of each chain's residues, NaN where none was asked, in order."""
    reading = require(backbone, readout.context)
    chains = [chain for (chain,) in questions]
    check_lengths(backbone, chains)
    found = read(partial(reading.how, backbone, readout.scored_positions), chains, backbone)
    for chain, values in zip(chains, found, strict=True):
        row = np.full(len(chain), np.nan, np.float32)
        row[readout.scored_positions(chain)] = values
        yield row
