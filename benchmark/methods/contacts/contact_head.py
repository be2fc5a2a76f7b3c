"""Contacts by the checkpoint's own trained head, as in ESM-2; nothing is fitted here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.core.answers import Array, Chains, Readout, Value
from benchmark.core.backbone import Backbone
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.distributed import map_sharded
from benchmark.embedding.features import check_lengths
from benchmark.progress import track

CHAINS_PER_GATHER = 64
"""Chains between two exchanges of results, with several processes."""


@dataclass(frozen=True, kw_only=True)
class OwnContacts(Method):
    """The probabilities of the backbone's contact head, one chain at a time."""

    VERSION = 1
    frozen = True

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Check backbone and task."""
        backbone = context.backbone
        backbone.require("contact_head", "method=contact_head")
        require_contacts(context.readout, "contact_head")
        return Predictor(
            lambda inputs: predict_chains(lambda c: backbone.contacts([c])[0], backbone, inputs), {}
        )


def require_contacts(readout: Readout, method: str) -> None:
    """Refuse a task that is not contact prediction."""
    if (readout.level, readout.width) != ("pair", 1):
        raise UserError(f"method={method} predicts contacts; give a contact task")


def predict_chains(
    contacts: Callable[[str], Array], backbone: Backbone, inputs: Sequence[Chains]
) -> Iterator[Value]:
    """Yield the contact map (L, L) of each single-chain input, in order; exactly symmetric.

    One chain at a time: maps of all heads, layers x heads x L x L, may fill the memory.
    """
    chains = [chain for (chain,) in inputs]
    check_lengths(backbone, chains)
    maps = map_sharded(lambda part: map(contacts, part), chains, CHAINS_PER_GATHER)
    for table in track(maps, len(chains), "contacts"):
        yield np.triu(table) + np.triu(table, 1).T
