"""The classical frozen probe: ridge regression or logistic regression on standardised features.

The penalty is the same quantity for both, the `lambda` of  sum of losses + lambda/2 |w|^2  (the
squared error counted half), and is chosen on valid by squared error or log loss: no metric of a
task is ever seen. Penalties are tried from the strongest on, each from the solution before it,
until valid gets worse.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    Array,
    Backbone,
    Chains,
    Example,
    Method,
    Predictor,
    Readout,
    UserError,
    Value,
)
from benchmark.embedding.features import pair_features, protein_features, read_by, residue_features
from benchmark.methods.probe.design_matrix import CHUNK, Rows, Sampler, describe
from benchmark.progress import track

Float64 = NDArray[np.float64]
SMALL = 50_000_000
"""Numbers in a table of features that one thread works through quickly enough."""


class Model(NamedTuple):
    """Scores (n, columns) are features @ weights + bias; `answer` makes predictions of them."""

    weights: Float64
    bias: Float64
    answer: Callable[[Float64], Float64]

    def __call__(self, features: Array) -> Float64:
        """Predictions for rows of features (n, f): (n,) or (n, size)."""
        return self.answer(features @ self.weights + self.bias)


@dataclass(frozen=True, kw_only=True)
class Linear(Method):
    """A linear probe. Residues and pairs are sampled for training; all are answered in testing.

    penalties: tried from the largest on.
    max_iter, tolerance: of L-BFGS, for each penalty; the tolerance is on the largest entry of the
        gradient of the mean loss.
    max_residues: residues that are trained on, at the most.
    max_chains, pairs_per_chain: for pairs, chains that are trained on, and pairs in class 0 from
        each; those in class 1 are all used.
    """

    VERSION = 1
    penalties: Sequence[float]
    max_iter: int
    tolerance: float
    max_residues: int
    max_chains: int
    pairs_per_chain: int
    frozen = True

    def __post_init__(self) -> None:
        counts = self.max_iter, self.max_residues, self.max_chains, self.pairs_per_chain
        if any(type(count) is not int or count < 1 for count in counts):
            raise UserError("method.max_... and pairs_per_chain are whole numbers from 1 on")
        given = isinstance(self.penalties, Sequence) and len(self.penalties)
        if not given or min(self.penalties) <= 0:
            raise UserError(f"method.penalties={self.penalties} is not a list of positive numbers")

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Fit each penalty on `train`, keep the best on `valid`."""
        from sklearn.preprocessing import StandardScaler

        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            sampler = Sampler(
                backbone=backbone,
                readout=readout,
                max_residues=self.max_residues,
                max_chains=self.max_chains,
                pairs_per_chain=self.pairs_per_chain,
                rng=np.random.default_rng(seed),
                folder=Path(scratch),
            )
            rows = sampler.rows(train, "train")
            held_out = sampler.rows(valid, "valid")
            scaler = StandardScaler()
            for part in rows.chunks():
                scaler.partial_fit(rows.features[part])
            for table in (rows, held_out):
                for part in table.chunks():
                    table.features[part] = scaler.transform(table.features[part])
            penalties = sorted(self.penalties, reverse=True)
            if readout.kind == "regression":
                fits = ridge(rows, penalties)
            else:
                fits = logistic(rows, readout, penalties, self.max_iter, self.tolerance)
            fits = track(fits, len(penalties), "fit")
            best, losses = choose(fits, held_out, readout)
            sizes = {"train": describe(rows), "valid": describe(held_out)}
            del rows, held_out
        weights = best.weights / scaler.scale_[:, None]
        model = Model(weights, best.bias - scaler.mean_ @ weights, best.answer)
        choices = {
            "penalty": min(losses, key=lambda penalty: (losses[penalty], -penalty)),
            "valid_loss": {f"{penalty:g}": loss for penalty, loss in losses.items()},
            "sample": sizes,
            "trained_parameters": weights.size + best.bias.size,
        }
        return Predictor(lambda questions: answers(model, backbone, readout, questions), choices)


def choose(
    fits: Iterator[tuple[float, Model]], valid: Rows, readout: Readout
) -> tuple[Model, dict[float, float]]:
    """The model with the lowest loss on valid, and the loss of each penalty that was tried."""
    best, losses = None, dict[float, float]()
    for penalty, model in fits:
        losses[penalty] = loss = mean_loss(model, valid, readout)
        if best is not None and loss >= min(list(losses.values())[:-1]):
            break
        best = model
    assert best is not None
    return best, losses


def mean_loss(model: Model, rows: Rows, readout: Readout) -> float:
    """Mean squared error of real answers, mean log loss of the others, over known answers."""
    total = count = 0.0
    for part in rows.chunks():
        guess, truth = model(rows.features[part]), rows.answers[part]
        weight = rows.weights[part]
        if readout.kind == "regression":
            loss, seen = (guess - truth) ** 2, ~np.isnan(truth)
        elif readout.kind == "multilabel" or readout.size == 2:
            right = np.where(truth == 1, guess, 1 - guess)
            loss, seen = -np.log(np.clip(right, 1e-15, 1)), truth != -1
        else:
            right = np.take_along_axis(guess, truth[:, None], axis=1)[:, 0]
            loss, seen = -np.log(np.clip(right, 1e-15, 1)), truth != -1
        weight = weight if truth.ndim == 1 else np.broadcast_to(weight[:, None], truth.shape)
        total += float((loss * weight)[seen].sum())
        count += float(weight[seen].sum())
    return total / count


def ridge(rows: Rows, penalties: Sequence[float]) -> Iterator[tuple[float, Model]]:
    """Ridge regression for each penalty, from one pass over the rows.

    The same as `sklearn.linear_model.Ridge`, which would pass over them for each penalty.
    """
    from scipy.linalg import eigh

    width = rows.features.shape[1]
    gram, moment = np.zeros((width, width)), np.zeros(width)
    mean, centre = np.zeros(width), float(rows.answers.mean())
    for part in rows.chunks():
        block = rows.features[part].astype(np.float64)
        gram += block.T @ block
        moment += block.T @ (rows.answers[part] - centre)
        mean += block.sum(axis=0)
    mean /= len(rows.answers)
    gram -= len(rows.answers) * np.outer(mean, mean)
    spectrum, basis = eigh(gram)
    for penalty in penalties:
        weights = basis @ ((basis.T @ moment) / (np.maximum(spectrum, 0) + penalty))
        bias = np.array([centre - mean @ weights])
        yield penalty, Model(weights[:, None], bias, lambda scores: scores[:, 0])


def logistic(
    rows: Rows, readout: Readout, penalties: Sequence[float], max_iter: int, tolerance: float
) -> Iterator[tuple[float, Model]]:
    """Logistic regression for each penalty: multinomial, binary, or one for each label."""
    from scipy.special import expit, softmax

    if readout.kind == "multilabel":
        targets = [rows.answers[:, label] for label in range(readout.size)]
    else:
        targets = [rows.answers]
    paths = [_logistic_path(rows, target, penalties, max_iter, tolerance) for target in targets]
    binary = readout.kind == "multilabel" or readout.size == 2
    if readout.kind == "classification" and len(np.unique(rows.answers)) < 2:
        raise UserError("every training example has the same class; a probe needs at least two")
    for penalty in penalties:
        columns, biases = [], []
        for path in paths:
            classes, weights, bias = next(path)
            if not binary:  # a class that never occurs in train has probability 0
                full = np.zeros((len(weights), readout.size))
                offset = np.full(readout.size, -np.inf)
                # two classes of several: scikit-learn gives one column, log odds of the second
                pad = readout.size if weights.shape[1] == len(classes) else None
                full[:, classes] = weights if pad else np.hstack([np.zeros_like(weights), weights])
                offset[classes] = bias if pad else np.concatenate([[0.0], bias])
                weights, bias = full, offset
            columns.append(weights)
            biases.append(bias)
        answer: Callable[[Float64], Float64]
        if not binary:
            answer = lambda scores: softmax(scores, axis=1)  # noqa: E731
        elif readout.kind == "multilabel":
            answer = expit
        else:
            answer = lambda scores: expit(scores[:, 0])  # noqa: E731
        yield penalty, Model(np.hstack(columns), np.concatenate(biases), answer)


def _logistic_path(
    rows: Rows, target: Array, penalties: Sequence[float], max_iter: int, tolerance: float
) -> Iterator[tuple[Array, Float64, Float64]]:
    """Classes, weights (f, columns) and bias for each penalty, each started from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    known = target != -1
    features = rows.features if known.all() else rows.features[known]
    target, weight = target[known], rows.weights[known]
    classes = np.unique(target)
    if len(classes) < 2:  # one of several labels that is the same everywhere: its smoothed rate
        rate = (target.sum() + 1) / (len(target) + 2)
        constant = np.zeros((rows.features.shape[1], 1)), np.array([np.log(rate / (1 - rate))])
        for _ in penalties:
            yield (classes, *constant)
        return
    # Many threads on a small problem gain little, and lose minutes where cores are shared.
    threads = 1 if features.size < SMALL else None
    solver = LogisticRegression(warm_start=True, max_iter=max_iter, tol=tolerance)
    for penalty in penalties:
        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped at max_iter: harmless
            solver.set_params(C=1 / penalty).fit(features, target, sample_weight=weight)
        yield (
            classes,
            solver.coef_.T.astype(np.float64).copy(),
            solver.intercept_.astype(np.float64).copy(),
        )


def answers(
    model: Model, backbone: Backbone, readout: Readout, questions: Sequence[Chains]
) -> Iterator[Value]:
    """Answer each question, in order."""
    if readout.level in ("protein", "variant"):
        read = read_by(backbone, readout, questions)
        yield from model(protein_features(backbone, read, "test"))
        return
    for residues in residue_features(backbone, questions, "test"):
        if readout.level == "residue":
            yield model(residues)
            continue
        scores = np.full((len(residues), len(residues)), np.nan, np.float32)
        i, j = np.triu_indices(len(residues), max(1, readout.min_separation))
        for start in range(0, len(i), CHUNK):
            a, b = i[start : start + CHUNK], j[start : start + CHUNK]
            scores[a, b] = scores[b, a] = model(pair_features(residues, a, b))
        yield scores
