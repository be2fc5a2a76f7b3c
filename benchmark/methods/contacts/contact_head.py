"""Contacts by the checkpoint's own trained head, as ESM-2 has one; nothing is learned here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import (
    Array,
    Backbone,
    Chains,
    ContactHead,
    Example,
    Method,
    Predictor,
    Readout,
    UserError,
    Value,
)
from benchmark.distributed import map_sharded
from benchmark.embedding.features import check_lengths
from benchmark.progress import track

WINDOW = 64
"""Chains whose answers are exchanged at a time, where several processes divide the work."""


@dataclass(frozen=True, kw_only=True)
class OwnContacts(Method):
    """The probabilities of the backbone's contact head, one chain at a time."""

    VERSION = 1
    frozen = True

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Check that backbone and question fit."""
        if not isinstance(backbone, ContactHead):
            raise UserError(
                "method=contact_head needs a checkpoint with a trained contact head; "
                f"the backbone {type(backbone).__name__} has none"
            )
        require_contacts(readout, "contact_head")
        head = backbone.contacts
        return Predictor(
            lambda questions: each_chain(lambda c: head([c])[0], backbone, questions), {}
        )


def require_contacts(readout: Readout, method: str) -> None:
    """Refuse what is not a question of which residues touch."""
    if (readout.level, readout.width) != ("pair", 1):
        raise UserError(f"method={method} answers which residues touch; give a contact task")


def each_chain(
    answer: Callable[[str], Array], backbone: object, questions: Sequence[Chains]
) -> Iterator[Value]:
    """What `answer` makes of each single-chain question, in order.

    One at a time: maps of all heads, layers x heads x L x L, are what fills the memory.
    """
    assert isinstance(backbone, Backbone)
    chains = [chain for (chain,) in questions]
    check_lengths(backbone, chains)
    answers = map_sharded(lambda part: (answer(chain) for chain in part), chains, WINDOW)
    yield from track(answers, len(chains), "contacts")
