"""Contacts from attention maps, by a sparse logistic regression on few proteins.

Rao et al. 2021, "Transformer protein language models are unsupervised structure learners". A pair's
features are the maps of all layers and heads, symmetrised and corrected for the average product
(Dunn et al. 2008). ESM-2's own contact head is such a regression. Fitted by minimising
|w|_1 + inverse_penalty x (sum of log losses).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    Array,
    Attentions,
    Backbone,
    Chains,
    Example,
    Method,
    Predictor,
    Readout,
    UserError,
    Value,
)
from benchmark.embedding.features import check_lengths
from benchmark.methods.contacts.contact_head import each_chain, require_contacts
from benchmark.progress import track

Float64 = NDArray[np.float64]


class Pairs(NamedTuple):
    """The pairs i < j of a chain that are trained on, (m,) each."""

    i: Array
    j: Array
    touching: Array
    weights: Float64


@dataclass(frozen=True, kw_only=True)
class Attention(Method):
    """L1-penalised logistic regression on corrected attention maps; little is trained on.

    chains: training proteins, drawn by the seed.
    inverse_penalty: weight of the summed log losses against the L1 norm of the weights.
    max_values: numbers in the table of training features; where all pairs have more, those in
        class 0 are sampled, and weighted to stand for all.
    """

    VERSION = 1
    chains: int
    inverse_penalty: float
    max_values: int
    frozen = True

    def __post_init__(self) -> None:
        if any(type(n) is not int or n < 1 for n in (self.chains, self.max_values)):
            raise UserError("method.chains and method.max_values are whole numbers from 1 on")
        if not self.inverse_penalty > 0:
            raise UserError(f"method.inverse_penalty={self.inverse_penalty} is not above 0")

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Fit the regression on a few chains of `train`; there is nothing to choose on `valid`."""
        if not isinstance(backbone, Attentions):
            raise UserError(
                "method=attention needs attention maps; "
                f"the backbone {type(backbone).__name__} has none"
            )
        require_contacts(readout, "attention")
        rng = np.random.default_rng(seed)
        ordered = sorted(train, key=lambda example: example.id)  # whatever the order of the rows
        drawn = rng.permutation(len(ordered))[: self.chains].tolist()
        chosen = [ordered[row] for row in drawn]
        if not chosen:
            raise UserError("the task has no train examples; the regression needs some")
        near = max(1, readout.min_separation)
        features, pairs = self.rows(backbone, chosen, near, rng)
        if len(np.unique(pairs.touching)) < 2:
            raise UserError(
                "every pair of the training chains has the same class; raise method.chains"
            )
        weights, bias = regress(features, pairs, self.inverse_penalty, seed)
        choices = {
            "chains": [example.id for example in chosen],
            "pairs": len(pairs.touching),
            "weight_of_class_0": float(pairs.weights.max()),
            "heads": len(weights),
            "nonzero_weights": int(np.count_nonzero(weights)),
            "trained_parameters": len(weights) + 1,
        }
        return Predictor(lambda questions: predict(backbone, weights, bias, questions), choices)

    def rows(
        self, backbone: Attentions, examples: Sequence[Example], near: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], Pairs]:
        """Features (m, heads) of the pairs that are trained on, one chain's maps at a time."""
        chains = [example.chains[0] for example in examples]
        assert isinstance(backbone, Backbone)
        check_lengths(backbone, chains)
        touch = [contacts(example, near) for example in examples]
        tables: list[NDArray[np.float32]] = []
        parts: list[Pairs] = []
        share = 1.0
        for maps in track(
            (backbone.attentions([chain])[0] for chain in chains), len(chains), "train"
        ):
            if not parts:
                contact, total = (sum(map(f, touch)) for f in (np.sum, np.size))
                room = self.max_values // len(maps) - contact
                share = min(1.0, max(room, 1) / max(total - contact, 1))
            part = sample(touch[len(parts)], maps.shape[1], near, share, rng)
            tables.append(
                np.stack([correct(m)[part.i, part.j] for m in maps], axis=1, dtype=np.float32)
            )
            parts.append(part)
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        return np.concatenate(tables), Pairs(*columns)


def contacts(example: Example, near: int) -> Array:
    """Whether each pair i <= j - near of a chain is in class 1, in the order of `triu_indices`."""
    length = len(example.chains[0])
    touching = np.zeros((length, length), bool)
    touching[tuple(np.asarray(example.label).T)] = True
    found: Array = touching[np.triu_indices(length, near)]
    return found


def sample(
    touching: Array, length: int, near: int, share: float, rng: np.random.Generator
) -> Pairs:
    """All pairs in class 1, and a share of the others."""
    others = np.flatnonzero(~touching)
    count = min(len(others), int(np.ceil(share * len(others))))
    kept = others if share == 1 else rng.choice(others, count, replace=False)
    use = np.sort(np.concatenate([np.flatnonzero(touching), kept]))
    i, j = np.triu_indices(length, near)
    weights = np.where(touching[use], 1.0, len(others) / max(count, 1))
    return Pairs(i[use], j[use], touching[use], weights)


def correct(attention: Array) -> Float64:
    """Make a map (L, L) symmetric, and take off what its rows and columns give by themselves."""
    whole = attention.astype(np.float64)
    whole += whole.T
    rows = whole.sum(axis=0)
    total = rows.sum()  # 0 where a head attends to special tokens alone
    corrected: Float64 = whole - np.outer(rows, rows) / total if total > 0 else whole
    return corrected


def regress(
    features: NDArray[np.float32], pairs: Pairs, inverse_penalty: float, seed: int
) -> tuple[Float64, float]:
    """Weights (heads,) and bias."""
    from sklearn.linear_model import LogisticRegression

    # the authors' solver; it penalises the bias, too, which among sums of losses moves nothing
    solver = LogisticRegression(
        C=inverse_penalty, l1_ratio=1, solver="liblinear", random_state=seed
    )
    solver.fit(features, pairs.touching, sample_weight=pairs.weights)
    return solver.coef_[0].astype(np.float64), float(solver.intercept_[0])


def predict(
    backbone: Any, weights: Float64, bias: float, questions: Sequence[Chains]
) -> Iterator[Value]:
    """Probabilities (L, L) of each chain, in order."""
    from scipy.special import expit

    used = np.flatnonzero(weights).tolist()

    def answer(chain: str) -> Array:
        (maps,) = backbone.attentions([chain])
        scores = np.full(maps.shape[1:], bias)
        for head in used:
            scores += weights[head] * correct(maps[head])
        return np.asarray(expit(scores), np.float32)

    return each_chain(answer, backbone, questions)
