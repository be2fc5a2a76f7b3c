"""The papers' MLP head by readout, its loss, and its predictions."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from benchmark.backbones.device import to_device
from benchmark.core import Array, Example, Readout, known_answers
from benchmark.embedding.features import pair_labels

Weighting = Literal["balanced"] | None
Target = Array | Example
"""The labels of an example; of pairs, which are many, the example that has them."""
PAIRS = 2**18
"""Pairs scored at a time; with gradients each takes the hidden width in memory."""


class Head(nn.Module):
    """An MLP with ReLUs on the vector of a protein or a residue, in float32.

    A pair is scored from the concatenated vectors of both residues, as the mean of (i, j) and
    (j, i). The first layer of [a; b] is W1 a + W2 b, so the (L, L, 2 dim) array is never built.

    mean, scale: of train's regression labels, in float64; scores are in these units.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, readout: Readout, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.paired = readout.level == "pair"
        outputs = readout.width if self.paired else readout.size
        widths = [2 * width if self.paired else width, *hidden, outputs]
        self.first = nn.Linear(widths[0], widths[1])
        rest: list[nn.Module] = []
        for before, after in pairwise(widths[1:]):
            rest.append(nn.ReLU(inplace=True))
            if dropout:
                rest.append(nn.Dropout(dropout))
            rest.append(nn.Linear(before, after))
        self.rest = nn.Sequential(*rest)
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def forward(self, vectors: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        """Scores of each example of a batch.

        vectors: concatenated rows of the examples, `lengths` rows each; (sum, width).
        A protein's scores are (1, size), residues' (L, size), pairs' (L, L).
        """
        device = self.first.weight.device
        with torch.autocast(device.type, enabled=False):
            rows = vectors.to(device, torch.float32)
            if self.paired:
                return [self.pairs(part) for part in torch.split(rows, list(lengths))]
            scores: Tensor = self.rest(self.first(rows))
            return list(torch.split(scores, list(lengths)))

    def pairs(self, residues: Tensor) -> Tensor:
        """Symmetric scores (L, L) of a chain's residues (L, width)."""
        left, right = self.first.weight.chunk(2, dim=1)
        a = functional.linear(residues, left, self.first.bias)
        b = functional.linear(residues, right)
        blocks = torch.split(a, max(1, PAIRS // len(b)))
        if len(blocks) > 1 and torch.is_grad_enabled():  # else memory holds all hidden layers
            parts = [checkpoint(self.block, block, b, use_reentrant=False) for block in blocks]
        else:
            parts = [self.block(block, b) for block in blocks]
        scores = torch.cat(parts)
        return (scores + scores.T) / 2

    def block(self, a: Tensor, b: Tensor) -> Tensor:
        """Scores of some residues (n, hidden) with all residues (L, hidden): (n, L)."""
        scores: Tensor = self.rest(a[:, None] + b[None])
        return scores[..., 0]


class Objective:
    """The loss: squared error in units of train's standard deviation, or log loss.

    Unknown answers are left out. Classes may be weighted to count equally.
    """

    def __init__(
        self, readout: Readout, train: Sequence[Example], weighting: Weighting, device: torch.device
    ) -> None:
        self.readout = readout
        self.device = device
        self.mean, self.scale = 0.0, 1.0
        self.weights: Array | None = None
        if readout.kind == "regression":
            values = np.concatenate([np.ravel(self.answers(self.target(e))) for e in train])
            values = values.astype(np.float64)
            self.mean, self.scale = float(np.nanmean(values)), float(np.nanstd(values)) or 1.0
        elif weighting:
            self.weights = self.balanced(train).astype(np.float32)

    def target(self, example: Example) -> Target:
        """What `count` and `loss` take for an example; see `answers`."""
        if self.readout.level == "pair":
            return example
        label = np.asarray(example.label)
        return label if self.readout.level == "residue" else label[None]

    def answers(self, target: Target) -> Array:
        """The labels of a target, in the order of its scores; unknown ones NaN or -1.

        (1,) or (1, size) for a protein, (L,) or (L, size) for residues, and (m,) int8 for pairs, in
        the order of `triu_indices`.
        """
        if isinstance(target, Example):
            return pair_labels(target, self.readout.first_separation)
        return target

    def answer_weights(self, answers: Array) -> Array:
        """The weight of each answer, 0 if it is unknown; in the answers' shape, float32."""
        paired = self.readout.level == "pair"
        known = answers != -1 if paired else known_answers(answers, self.readout)
        known = np.broadcast_to(known, answers.shape)
        if self.weights is None:
            return known.astype(np.float32)
        columns = answers.astype(np.intp)  # -1, the last one, is not used
        rows = (np.arange(columns.shape[-1]),) if self.readout.kind == "multilabel" else ()
        return np.where(known, self.weights[(*rows, columns)], np.float32(0))

    def balanced(self, train: Sequence[Example]) -> Array:
        """Class weights as in scikit-learn's `balanced`: (size,), or (size, 2) for labels.

        A class absent from train has weight 1.
        """
        readout, labels = self.readout, self.readout.kind == "multilabel"
        counts = np.zeros((readout.size, 2) if labels else readout.size)
        for example in train:
            answers = self.answers(self.target(example))
            for value in range(counts.shape[-1]):
                counts[..., value] += (answers == value).sum(axis=0)
        total = counts.sum(axis=-1, keepdims=True)
        weights: Array = np.where(counts > 0, total / (counts.shape[-1] * np.maximum(counts, 1)), 1)
        return weights

    def count(self, target: Target) -> float:
        """The summed weight of the known answers: the denominator of the mean loss."""
        return float(self.answer_weights(self.answers(target)).sum(dtype=np.float64))

    def loss(self, scores: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        """Summed weighted losses of the known answers of some examples."""
        paired = self.readout.level == "pair"
        found = torch.cat([self.upper(part) if paired else part for part in scores])
        truth = np.concatenate([self.answers(target) for target in targets])
        weight = to_device(self.answer_weights(truth), self.device)
        if self.readout.kind == "regression":
            scaled = np.nan_to_num((truth - self.mean) / self.scale).astype(np.float32)
            losses = (found[:, 0] - to_device(scaled, self.device)).square()
        elif self.readout.kind == "classification" and not paired:
            wanted = to_device(truth, self.device).long()
            losses = functional.cross_entropy(found, wanted, ignore_index=-1, reduction="none")
        else:
            wanted = to_device(truth, self.device).clamp(0).float()
            losses = functional.binary_cross_entropy_with_logits(found, wanted, reduction="none")
        return (losses * weight).sum()

    def upper(self, scores: Tensor) -> Tensor:
        """The scores (m,) of the predicted pairs, of (L, L)."""
        length, first = len(scores), self.readout.first_separation
        i, j = torch.triu_indices(length, length, first, device=scores.device)
        return scores[i, j]


def predictions(head: Head, readout: Readout, scores: Sequence[Tensor]) -> Iterator[Array]:
    """The prediction of each example, as `Readout` defines it, from its scores.

    Regression is float64: in float32 a large mean would round the differences away.
    """
    mean, scale = float(head.mean), float(head.scale)
    for part in scores:
        if readout.kind == "regression":
            values = part[:, 0].double().cpu() * scale + mean
        elif readout.level == "pair" or readout.kind == "multilabel":
            values = part.sigmoid().float().cpu()
        else:
            values = part.softmax(dim=-1).float().cpu()
            if readout.width == 1:
                values = values[:, 1]
        found: Array = values.numpy()
        if readout.level == "pair":  # vectorised sigmoids may differ in the last bit
            found = np.triu(found) + np.triu(found, 1).T
        if readout.kind == "multilabel" and readout.width == 1:
            found = found[:, 0]
        yield found if readout.level in ("residue", "pair") else found[0]
