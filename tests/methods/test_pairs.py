"""Pairs: scores without pair features, and unknown pairs, which nothing learns from."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmark.core import Array, Example, FitContext, Readout
from benchmark.embedding.features import (
    SEPARATIONS,
    pair_labels,
    sample_pairs,
    write_pair_features,
)
from benchmark.methods.finetune.heads import Objective
from benchmark.methods.probe.pair_scores import PairScorer
from tests.conftest import toy
from tests.learning import method
from tests.methods.test_linear import ONEHOT, answer, linear, touching

CONTACTS = Readout("pair", "classification", 2, min_separation=3)


@pytest.mark.parametrize(("length", "dim"), [(1, 4), (2, 1), (7, 3), (90, 64), (300, 17)])
@pytest.mark.parametrize("first", [1, 6])
def test_scores_are_those_of_the_pair_features(length: int, dim: int, first: int) -> None:
    rng = np.random.default_rng(length)
    residues = rng.normal(0.5, 2, (length, dim)).astype(np.float32)
    residues.flags.writeable = False  # as from the store
    weights = rng.normal(0, 1, 3 * dim + len(SEPARATIONS))
    i, j = np.triu_indices(length, first)
    features = np.empty((len(i), len(weights)), np.float32)
    write_pair_features(features, residues, i, j)
    found = PairScorer(weights, -3.5, "cpu")(residues, first)
    scale = abs(features) @ abs(weights) + 3.5

    assert (abs(found - (features @ weights - 3.5)) <= 1e-6 * scale).all()


@pytest.mark.parametrize("sign", [1, -1, 0])
def test_scores_with_weights_of_one_sign(sign: int) -> None:
    residues = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    weights = np.concatenate([np.zeros(5), np.full(5, sign), np.zeros(5 + len(SEPARATIONS))])
    i, j = np.triu_indices(9, 1)
    found = PairScorer(weights, 0.0, "cpu")(residues, 1)
    np.testing.assert_allclose(found, sign * abs(residues[i] - residues[j]).sum(1), rtol=1e-6)


def half_known(examples: list[Example], wrong: bool) -> list[Example]:
    """The first residue and the pairs of every third are unknown, and may be listed as contacts."""
    found = []
    for example in examples:
        length = len(example.chains[0])
        unknown = [(j, i) for i in range(2, length, 3) for j in range(i + 1, length)]
        label = np.concatenate([np.asarray(example.label), unknown, [(0, 0)]]).astype(np.int32)
        if wrong:
            listed = [(i, j) for j, i in unknown] + [(0, j) for j in range(1, length)]
            label = np.concatenate([label, np.array(listed, np.int32)])
        found.append(example._replace(label=label))
    return found


def test_labels_of_unknown_pairs() -> None:
    label = np.array([(0, 3), (1, 5), (2, 2), (5, 0), (0, 5)])  # residue 2 and the pair 0, 5
    found = pair_labels(Example(("A" * 6,), label, "", ""), 3)
    pairs = list(zip(*np.triu_indices(6, 3), strict=True))
    expected = {(0, 3): 1, (0, 4): 0, (0, 5): -1, (1, 4): 0, (1, 5): 1, (2, 5): -1}
    assert dict(zip(pairs, found.tolist(), strict=True)) == expected
    drawn = sample_pairs(found, 6, 3, 99, np.random.default_rng(0))
    assert [*zip(drawn.i, drawn.j, drawn.contacts, strict=True)] == [
        (i, j, label == 1) for (i, j), label in expected.items() if label >= 0
    ]


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_nothing_is_learned_from_unknown_pairs(name: str) -> None:
    train, valid = toy(touching, 30), toy(touching, 10, 1)
    learners: dict[str, Any] = {
        "linear": linear(pairs_per_chain=50),
        "mlp": method("mlp", "epochs=1", "hidden=[4]", "batch.pair=4"),
    }
    context = FitContext(ONEHOT, CONTACTS, 0)
    plain, hidden, wrong = (
        answer(learners[name].fit(*parts, context), toy(touching, 3, 2))
        for parts in (
            (train, valid),
            (half_known(train, False), half_known(valid, False)),
            (half_known(train, True), half_known(valid, True)),
        )
    )
    same = [np.array_equal(a, b, equal_nan=True) for a, b in zip(hidden, wrong, strict=True)]
    assert all(same), "what is listed of unknown pairs changes nothing"
    assert not np.array_equal(plain[0], hidden[0], equal_nan=True)


@pytest.mark.parametrize("weighting", [None, "balanced"])
def test_the_loss_and_its_weight_leave_unknown_pairs_out(weighting: Any) -> None:
    examples = half_known(toy(touching, 5), True)
    objective = Objective(CONTACTS, examples, weighting, torch.device("cpu"))
    rng = np.random.default_rng(0)
    lengths = [len(e.chains[0]) for e in examples]
    scores = [torch.from_numpy(rng.normal(size=(n, n))) for n in lengths]
    targets = [objective.target(e) for e in examples]

    def losses(example: Example, table: Array) -> tuple[Array, Array]:
        truth = pair_labels(example, 3)
        chance = 1 / (1 + np.exp(-table[np.triu_indices(len(table), 3)]))
        loss = -np.log(np.where(truth == 1, chance, 1 - chance))
        return loss[truth >= 0], truth[truth >= 0]

    each = [losses(e, s.numpy()) for e, s in zip(examples, scores, strict=True)]
    loss, truth = (np.concatenate(part) for part in zip(*each, strict=True))
    share = np.bincount(truth, minlength=2) / len(truth)
    weight = 0.5 / share[truth] if weighting else np.ones(len(truth))
    assert sum(map(objective.count, targets)) == pytest.approx(weight.sum())
    assert float(objective.loss(scores, targets)) == pytest.approx((weight * loss).sum())
    assert all(target is example for target, example in zip(targets, examples, strict=True))
