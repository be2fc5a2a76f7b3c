"""The answers of the most similar training proteins: what memory alone gets right.

An answer is the weighted mean over the k nearest training proteins and the mean of train:

    (sum of w_i y_i + prior * mean of train) / (sum of w_i + prior)

w_i is the similarity (`benchmark.data.similarity`) or 1. Answers of residues and pairs are copied
through the alignment; where nothing is aligned the answer is the mean of train, for pairs that of
their sequence separation. k, the weights and the prior have the lowest loss on valid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmark.core import (
    Array,
    Chains,
    Example,
    Examples,
    FitContext,
    Method,
    Predictor,
    Readout,
    UserError,
    Value,
    contact_map,
    has_answer,
    known_answers,
    known_pairs,
)
from benchmark.data.mmseqs import version
from benchmark.data.similarity import Neighbour, neighbours
from benchmark.distributed import rank
from benchmark.embedding.features import SEPARATIONS, is_protein_level, separation_bins

WEIGHTS = {"uniform": 0, "similarity": 1}
"""Name of the weights -> power of the similarity."""


class Choice(NamedTuple):
    """What is chosen on valid."""

    neighbours: int
    weights: str
    prior: float


class Known(NamedTuple):
    """Answers as numbers: values, and 1 where they are known, else 0; shapes fit each other.

    A protein's values are (1, size), residues' (L, size), pairs' (L, L, 1); classes are one-hot.
    """

    values: Array
    known: Array


@dataclass(frozen=True, kw_only=True)
class Nearest(Method):
    """Copies answers; it embeds nothing, so it runs with model=none alone.

    neighbours, priors: those that are tried on valid.
    sensitivity, evalue: MMseqs2's -s and -e.
    """

    VERSION = 1
    uses_model = False
    neighbours: Sequence[int]
    priors: Sequence[float]
    sensitivity: float
    evalue: float

    def __post_init__(self) -> None:
        if not self.neighbours or any(type(k) is not int or k < 1 for k in self.neighbours):
            raise UserError(
                f"method.neighbours={self.neighbours} is not a list of whole numbers from 1 on"
            )
        if not self.priors or min(self.priors) <= 0:
            raise UserError(f"method.priors={self.priors} is not a list of positive numbers")

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Choose on valid; the seed has no effect."""
        readout = context.readout
        if context.backbone.abilities:
            raise UserError("method=nearest uses no model; leave model=... out")
        train, valid = (
            [e for e in part if has_answer(e.label, readout)] for part in (train, valid)
        )
        for name, part in (("train", train), ("valid", valid)):
            if not part:
                raise UserError(f"method=nearest needs {name} examples with known answers")
        if rank():  # the first process searches
            return Predictor(lambda inputs: (np.empty(0) for _ in inputs), {})
        memory = Memory(train, readout, self)
        choices = [Choice(*c) for c in product(self.neighbours, WEIGHTS, self.priors)]
        losses = np.zeros(len(choices))
        count = without = 0.0
        for example, near in zip(valid, memory.search([e.chains for e in valid]), strict=True):
            truth = known(example, readout)
            without += not near
            count += float(truth.known.sum())
            for at, choice in enumerate(choices):
                losses[at] += loss(memory.answer(example.chains, near, choice), truth, readout)
        best = choices[int(np.argmin(losses))]
        found = {
            **best._asdict(),
            "valid_loss": float(losses.min() / count),
            "valid_without_neighbour": without / len(valid),
            "mmseqs": version(),
        }
        return Predictor(partial(memory.predict, best), found)


class Memory:
    """Training examples, searched and copied from."""

    def __init__(self, train: Sequence[Example], readout: Readout, settings: Nearest) -> None:
        self.readout = readout
        self.train = train
        self.most = max(settings.neighbours)
        self.options = f"-s {settings.sensitivity} -e {settings.evalue}"
        # maps of all chains' contacts would take gigabytes: those of one input's neighbours
        self.answer_of = lru_cache(self.most)(lambda row: known(train[row], readout))
        self.mean = self._mean()

    def _mean(self) -> Array:
        """The mean of train, (size,); of pairs for each bin of separation, (bins, 1)."""
        paired = self.readout.level == "pair"
        bins = len(SEPARATIONS) + 1 if paired else 1
        total = np.zeros((bins, 1 if paired else self.readout.size))
        count = np.zeros_like(total)
        for values, certain in map(self.answer_of, range(len(self.train))):
            if paired:
                place = pair_bins(len(values))
                total[:, 0] += np.bincount(place.ravel(), (values * certain).ravel(), bins)
                count[:, 0] += np.bincount(place.ravel(), certain.ravel(), bins)
            else:
                total += (values * certain).sum(axis=0)
                count += certain.sum(axis=0)
        rest = total.sum(axis=0) / count.sum(axis=0).clip(1)
        mean: Array = np.where(count > 0, total / count.clip(1), rest)
        return mean if paired else mean[0]

    def search(self, inputs: Sequence[Chains]) -> Iterator[list[Neighbour]]:
        """The nearest training examples of each input."""
        first = self.readout.level == "variant"  # the second chain is the wild type
        queries, targets = (
            [chains[:1] if first else chains for chains in part]
            for part in (inputs, [example.chains for example in self.train])
        )
        residues = not is_protein_level(self.readout)
        return neighbours(queries, targets, self.most, self.options, columns=residues)

    def answer(self, chains: Chains, near: Sequence[Neighbour], choice: Choice) -> Array:
        """The mean over neighbours: (1, size), (L, size) or (L, L, 1)."""
        length = 1 if is_protein_level(self.readout) else len(chains[0])
        if self.readout.level == "pair":
            mean = self.mean[pair_bins(length)]
        else:
            mean = np.tile(self.mean, (length, 1))
        total, weight = choice.prior * mean, np.full_like(mean, choice.prior)
        for neighbour in near[: choice.neighbours]:
            values, certain = self.answer_of(neighbour.row)
            share = neighbour.similarity ** WEIGHTS[choice.weights]
            both = neighbour.columns or (np.arange(len(values)),) * 2
            places = [np.ix_(at, at) if self.readout.level == "pair" else at for at in both]
            total[places[0]] += share * (values * certain)[places[1]]
            weight[places[0]] += share * certain[places[1]]
        return total / weight

    def predict(self, choice: Choice, inputs: Sequence[Chains]) -> Iterator[Value]:
        """Predictions as `Readout` defines them."""
        for chains, near in zip(inputs, self.search(inputs), strict=True):
            found = self.answer(chains, near, choice)
            if self.readout.kind == "classification" and self.readout.level != "pair":
                found = found[:, 1:] if self.readout.width == 1 else found
            if self.readout.width == 1:
                found = found[..., 0]
            yield found[0] if is_protein_level(self.readout) else found


def known(example: Example, readout: Readout) -> Known:
    """The answers of an example."""
    if readout.level == "pair":
        length = len(example.chains[0])
        certain = known_pairs(example.label, length)
        apart = np.abs(np.subtract.outer(*[np.arange(length)] * 2))
        scored = certain & (apart >= readout.first_separation)
        return Known(contact_map(example.label, length)[..., None], scored[..., None])
    label = np.asarray(example.label)
    label = label if readout.level == "residue" else label[None]
    known_here = known_answers(label, readout) * 1.0
    if readout.kind == "classification":
        return Known(np.eye(readout.size)[label], known_here[:, None])
    shape = len(label), readout.size
    return Known(np.where(known_here > 0, label, 0.0).reshape(shape), known_here.reshape(shape))


def loss(answer: Array, truth: Known, readout: Readout) -> float:
    """Summed squared error, or log loss, of the known answers."""
    if readout.kind == "regression":
        errors = (answer - truth.values) ** 2
    else:
        sure = np.clip(answer, 1e-15, 1)
        values = truth.values * 1.0
        errors = -values * np.log(sure)
        if readout.kind == "multilabel" or readout.level == "pair":
            errors -= (1 - values) * np.log(np.clip(1 - answer, 1e-15, 1))
    return float((errors * truth.known).sum())


def pair_bins(length: int) -> Array:
    """The bin of separation of each pair of residues, (L, L); 0: closer than all bins."""
    return separation_bins(np.abs(np.subtract.outer(*[np.arange(length)] * 2))) + 1
