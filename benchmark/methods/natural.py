"""Baselines of generation without a model: natural proteins that were held out, and shuffled ones.

Natural proteins are what other rows are read against; shuffled ones have their lengths and their
composition, and nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from benchmark.core import Chains, Examples, FitContext, Method, Predictor, Sampled, UserError


@dataclass(frozen=True, kw_only=True)
class Natural(Method):
    """The proteins of the validation split, in their order, whatever the prompts.

    shuffled: whether the residues of each protein are put in a random order.
    """

    VERSION = 1
    uses_model = False
    answers_sequence = True
    shuffled: bool

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Take the proteins; the seed decides on the order of shuffled residues."""
        draws = np.random.default_rng(context.seed)

        def predict(inputs: Sequence[Chains]) -> Iterator[Sampled]:
            if len(valid) < len(inputs):
                raise UserError(
                    f"{len(valid):,} natural proteins were held out, and {len(inputs):,} are "
                    "needed; give task.source with more, or a smaller task.num"
                )
            for example, _ in zip(valid, inputs, strict=False):
                letters = list(example.chains[0])
                if self.shuffled:
                    draws.shuffle(letters)
                yield Sampled("".join(letters), nan, True)

        return Predictor(predict, {})
