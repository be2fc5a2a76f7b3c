"""Contacts by the checkpoint's own trained head, as ESM-2 has one; nothing is learned here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.core import (
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
from benchmark.features import check_lengths
from benchmark.progress import track
from benchmark.ranks import divided

WINDOW = 64
"""Chains whose answers are exchanged at a time, where several processes divide the work."""


@dataclass(frozen=True, kw_only=True)
class OwnContacts(Method):
    """The probabilities of the backbone's contact head, one chain at a time."""

    frozen = True

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
    ) -> Predictor:
        """Check that backbone and question fit."""
        if not isinstance(backbone, ContactHead):
            raise UserError(
                "method=contact_head needs a checkpoint with a trained contact head; "
                f"the backbone {type(backbone).__name__} has none"
            )
        if (readout.level, readout.width) != ("pair", 1):
            raise UserError("method=contact_head answers which residues touch; give a contact task")
        head = backbone

        def predict(questions: Sequence[Chains]) -> Iterator[Value]:
            chains = [chain for (chain,) in questions]
            check_lengths(backbone, chains)
            # one at a time: maps of all heads, layers x heads x L x L, are what fills the memory
            answers = divided(lambda part: (head.contacts([c])[0] for c in part), chains, WINDOW)
            yield from track(answers, len(chains), "contacts")

        return Predictor(predict, {})
