"""Heads score what a plain MLP would, losses are scikit-learn's, predictions have their form."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from benchmark.core import Array, Example, Readout
from benchmark.methods.finetune import heads
from benchmark.methods.finetune.heads import Head, Objective, predictions
from benchmark.run.evaluation import check

CPU = torch.device("cpu")
READOUTS = [
    Readout("protein", "regression"),
    Readout("protein", "classification", 2),
    Readout("protein", "classification", 5),
    Readout("variant", "multilabel", 3),
    Readout("protein", "multilabel", 1),
    Readout("residue", "classification", 8),
    Readout("residue", "regression"),
    Readout("residue", "multilabel", 2),
    Readout("pair", "classification", 2, min_separation=6),
]


def example(readout: Readout, rng: np.random.Generator, length: int) -> Example:
    """A random label of this form, some answers of it unknown."""
    if readout.level == "pair":
        i = rng.integers(0, length - 8, 5)
        return Example(("A" * length,), np.unique(np.stack([i, i + 7], axis=1), axis=0), "", "")
    shape = (length,) if readout.level == "residue" else ()
    shape += (readout.size,) if readout.kind == "multilabel" else ()
    if readout.kind == "regression":
        label = rng.normal(5, 3, shape)
    else:
        label = rng.integers(0, readout.size if readout.kind == "classification" else 2, shape)
    label = np.asarray(label)
    if label.size > 1:
        label[(rng.integers(len(label)), ...)] = np.nan if readout.kind == "regression" else -1
    return Example(("A" * length,), label, "", "")


@pytest.mark.parametrize("hidden", [[], [7], [7, 5]])
def test_pairs_are_scored_by_outer_concatenation(
    hidden: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the definition, (L, L, 2 dim) and all; scores and gradients, in blocks, too."""
    torch.manual_seed(0)
    head = Head(6, READOUTS[-1], hidden, 0.0)
    x = torch.randn(20, 6)
    a, b = x[:, None].expand(-1, 20, -1), x[None].expand(20, -1, -1)
    plain = torch.nn.Sequential(head.first, *head.rest)[: 1 + len(head.rest)]
    z = plain(torch.cat([a, b], dim=-1))[..., 0]
    expected = (z + z.T) / 2

    def gradients(scores: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(scores.sigmoid().sum(), list(head.parameters())))

    (whole,) = head(x, [20])
    wanted = gradients(whole)
    monkeypatch.setattr(heads, "PAIRS", 60)
    (parts,) = head(x, [20])
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(parts, expected)
    for found, one in zip(gradients(parts), wanted, strict=True):
        torch.testing.assert_close(found, one)


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_a_batch_is_its_examples_one_by_one_and_predictions_have_their_form(
    readout: Readout,
) -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    examples = [example(readout, rng, length) for length in (30, 12, 17)]
    head = Head(6, readout, [8], 0.0)
    lengths = [1, 1, 1] if readout.level in ("protein", "variant") else [30, 12, 17]
    x = torch.randn(sum(lengths), 6)
    scores = head(x, lengths)
    alone = [head(part, [len(part)])[0] for part in torch.split(x, lengths)]
    objective = Objective(readout, examples, None, CPU)
    targets = [objective.target(e) for e in examples]
    losses = [objective.loss([s], [t]) for s, t in zip(alone, targets, strict=True)]

    for found, expected in zip(scores, alone, strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(objective.loss(scores, targets), torch.stack(losses).sum())
    with torch.no_grad():
        for prediction, one in zip(predictions(head, readout, scores), examples, strict=True):
            check(prediction, one, readout)
            if readout.level == "pair":
                assert np.array_equal(prediction, prediction.T)


@pytest.mark.parametrize("weighting", [None, "balanced"])
@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_losses_are_those_of_scikit_learn(readout: Readout, weighting: Any) -> None:
    """The weighted mean over known answers, from the predictions that would be given."""
    if readout.kind == "regression" and weighting:
        pytest.skip("real answers have no classes")
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    examples = [example(readout, rng, length) for length in rng.integers(15, 40, 60).tolist()]
    head = Head(6, readout, [8], 0.0)
    flat = readout.level in ("protein", "variant")
    lengths = [1 if flat else len(e.chains[0]) for e in examples]
    objective = Objective(readout, examples, weighting, CPU)
    head.mean.fill_(objective.mean)
    head.scale.fill_(objective.scale)
    targets = [objective.target(e) for e in examples]
    with torch.no_grad():
        scores = head(torch.randn(sum(lengths), 6), lengths)
        found = objective.loss(scores, targets) / sum(map(objective.count, targets))
        predicted = list(predictions(head, readout, scores))
    if readout.level == "pair":
        predicted = [p[np.triu_indices(len(p), 6)] for p in predicted]
    guess = np.concatenate(
        [p if readout.level in ("residue", "pair") else p[None] for p in predicted]
    )
    truth = np.concatenate([objective.answers(target) for target in targets])

    def mean_log_loss(truth: Array, guess: Array, classes: int) -> tuple[float, float]:
        use = truth != -1
        weights = np.ones(classes)
        if weighting:
            present = np.unique(truth[use])
            weights[present] = compute_class_weight("balanced", classes=present, y=truth[use])
        each = weights[truth[use]]
        loss = log_loss(truth[use], guess[use], labels=range(classes), sample_weight=each)
        return loss * each.sum(), each.sum()

    if readout.kind == "regression":
        use = ~np.isnan(truth)
        expected = np.mean((guess - truth)[use] ** 2) / np.var(truth[use])
    elif readout.kind == "multilabel":
        columns = guess.reshape(len(truth), -1)
        parts = [mean_log_loss(t, g, 2) for t, g in zip(truth.T, columns.T, strict=True)]
        expected = sum(p[0] for p in parts) / sum(p[1] for p in parts)
    else:
        total, weight = mean_log_loss(truth, guess, readout.size)
        expected = total / weight
    assert float(found) == pytest.approx(expected, rel=1e-4)
