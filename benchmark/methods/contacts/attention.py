"""Contacts from attention maps, by a sparse logistic regression on a few proteins.

Rao et al. 2021, "Transformer protein language models are unsupervised structure learners". The
features of a pair are the maps of all layers and heads, symmetrised, with average product
correction (Dunn et al. 2008). ESM-2's own contact head is such a regression. The fit minimises
|w|_1 + inverse_penalty x (sum of log losses).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.answers import Array, Chains, Value
from benchmark.core.backbone import Backbone
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.distributed import broadcast, rank
from benchmark.embedding.features import Pairs, check_lengths, pair_labels, sample_pairs
from benchmark.methods.contacts.contact_head import predict_chains, require_contacts
from benchmark.progress import track

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Attention(Method):
    """L1-penalised logistic regression on corrected attention maps.

    chains: number of training proteins, drawn by the seed.
    inverse_penalty: weight of the summed log losses against the L1 norm of the weights.
    max_values: largest size of the table of training features; if all pairs need more, pairs in
        class 0 are sampled, and weighted to represent all.
    """

    VERSION = 1
    chains: int
    inverse_penalty: float
    max_values: int
    frozen = True

    def __post_init__(self) -> None:
        if any(type(n) is not int or n < 1 for n in (self.chains, self.max_values)):
            raise UserError(
                "method.chains and method.max_values must be whole numbers of at least 1"
            )
        if not self.inverse_penalty > 0:
            raise UserError(f"method.inverse_penalty={self.inverse_penalty} is not above 0")

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Fit the regression on a few chains of `train`; `valid` is not used."""
        backbone, first = context.backbone, context.readout.first_separation
        backbone.require("attention_maps", "method=attention")
        require_contacts(context.readout, "attention")
        rng = np.random.default_rng(context.seed)
        ordered = sorted(train, key=lambda example: example.id)  # independent of the order of rows
        sampled = [ordered[row] for row in rng.permutation(len(ordered))[: self.chains].tolist()]
        if not sampled:
            raise UserError("the task has no train examples; the regression needs some")
        chains = [example.chains[0] for example in sampled]
        check_lengths(backbone, chains)
        labels = [pair_labels(example, first) for example in sampled]
        if not all(any((label == c).any() for label in labels) for c in (0, 1)):
            raise UserError(
                "every pair of the training chains has the same class; raise method.chains"
            )
        weights, bias, choices = np.empty(0), 0.0, dict[str, Any]()
        if not rank():  # the first process fits, the others wait
            features, pairs = self.training_pairs(backbone, chains, labels, first, rng)
            weights, bias = regress(features, pairs, self.inverse_penalty, context.seed)
            choices = {
                "chains": [example.id for example in sampled],
                "pairs": len(pairs.contacts),
                "weight_of_class_0": float(pairs.weights.max()),
                "heads": len(weights),
                "nonzero_weights": int(np.count_nonzero(weights)),
                "trained_parameters": len(weights) + 1,
            }
        weights, bias = broadcast((weights, bias))
        return Predictor(lambda inputs: predict(backbone, weights, bias, inputs), choices)

    def training_pairs(
        self,
        backbone: Backbone,
        chains: Sequence[str],
        labels: Sequence[Array],
        first: int,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], Pairs]:
        """Features (m, heads) of the training pairs, from one chain's maps at a time.

        labels, first: `pair_labels` of each chain, and the smallest separation of a pair.
        """
        contacts, others = (sum(int((label == c).sum()) for label in labels) for c in (1, 0))
        tables: list[NDArray[np.float32]] = []
        parts: list[Pairs] = []
        found = (backbone.attentions([chain])[0] for chain in chains)
        for maps, label in zip(track(found, len(chains), "train"), labels, strict=True):
            room = self.max_values // len(maps) - contacts
            share = min(1.0, max(room, 1) / max(others, 1))
            most = int(np.ceil(share * (label == 0).sum()))
            part = sample_pairs(label, maps.shape[1], first, most, rng)
            columns = [correct(m)[part.i, part.j] for m in maps]
            tables.append(np.stack(columns, axis=1, dtype=np.float32))
            parts.append(part)
        pairs = Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        return np.concatenate(tables), pairs


def correct(attention: Array) -> Float64:
    """Symmetrise a map (L, L) and subtract the average product of its rows and columns."""
    whole = attention.astype(np.float64)
    whole += whole.T
    rows = whole.sum(axis=0)
    total = rows.sum()  # 0 if a head attends only to special tokens
    corrected: Float64 = whole - np.outer(rows, rows) / total if total > 0 else whole
    return corrected


def regress(
    features: NDArray[np.float32], pairs: Pairs, inverse_penalty: float, seed: int
) -> tuple[Float64, float]:
    """Weights (heads,) and bias."""
    from sklearn.linear_model import LogisticRegression

    # the authors' solver; it also penalises the bias, negligible relative to sums of losses
    solver = LogisticRegression(
        C=inverse_penalty, l1_ratio=1, solver="liblinear", random_state=seed
    )
    solver.fit(features, pairs.contacts, sample_weight=pairs.weights)
    return solver.coef_[0].astype(np.float64), float(solver.intercept_[0])


def predict(
    backbone: Backbone, weights: Float64, bias: float, inputs: Sequence[Chains]
) -> Iterator[Value]:
    """Yield the contact probabilities (L, L) of each chain, in order."""
    from scipy.special import expit

    used = np.flatnonzero(weights).tolist()

    def contacts(chain: str) -> Array:
        (maps,) = backbone.attentions([chain])
        scores = np.full(maps.shape[1:], bias)
        for head in used:
            scores += weights[head] * correct(maps[head])
        return np.asarray(expit(scores), np.float32)

    return predict_chains(contacts, backbone, inputs)
