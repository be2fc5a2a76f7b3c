"""The classical frozen probe: ridge regression or logistic regression on standardised features.

For both, the penalty is lambda in  sum of losses + lambda/2 |w|^2  (with half the squared error).
It is selected on valid by squared error or log loss, never by a task's metric. Penalties are tried
from the strongest to the weakest, with warm starts, until the loss on valid rises.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.answers import Array, Chains, Readout, Value, known_answers
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.distributed import rank
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    embedded_chains,
    feature_rows,
    is_protein_level,
    pair_features,
    protein_features,
    residue_features,
)
from benchmark.methods.probe.design_matrix import CHUNK, DesignMatrix, DesignMatrixBuilder
from benchmark.progress import track

Float64 = NDArray[np.float64]
SMALL = 50_000_000
"""Design matrices with fewer numbers are fitted with one thread."""


class Model(NamedTuple):
    """Scores (n, columns) are features @ weights + bias; `link` maps scores to predictions."""

    weights: Float64
    bias: Float64
    link: Callable[[Float64], Float64]

    def __call__(self, features: Array) -> Float64:
        """Predictions for rows of features (n, f): (n,) or (n, size)."""
        return self.link(features @ self.weights + self.bias)


@dataclass(frozen=True, kw_only=True)
class Linear(Method):
    """A linear probe. Training residues and pairs are sampled; all test ones are predicted.

    penalties: tried from the largest to the smallest.
    max_iter, tolerance: of L-BFGS, for each penalty; the tolerance is on the largest entry of the
        gradient of the mean loss.
    max_residues: largest number of training residues.
    max_chains, pairs_per_chain: for pairs, number of training chains, and of pairs in class 0 from
        each; all pairs in class 1 are used.
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
            raise UserError(
                "method.max_... and pairs_per_chain must be whole numbers of at least 1"
            )
        given = isinstance(self.penalties, Sequence) and len(self.penalties)
        if not given or min(self.penalties) <= 0:
            raise UserError(f"method.penalties={self.penalties} is not a list of positive numbers")

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Fit each penalty on `train`, select the best on `valid`."""
        from sklearn.preprocessing import StandardScaler

        readout = context.readout
        embedder = Embedder(context.backbone, context.caches)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            builder = DesignMatrixBuilder(
                embedder=embedder,
                readout=readout,
                max_residues=self.max_residues,
                max_chains=self.max_chains,
                pairs_per_chain=self.pairs_per_chain,
                rng=np.random.default_rng(context.seed),
                folder=Path(scratch),
            )
            rows = builder.build(train, "train")
            held_out = builder.build(valid, "valid")
            if rank():  # the first process fits and predicts, the others embed
                return Predictor(lambda inputs: follow(embedder, readout, inputs), {})
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
            sizes = {"train": rows.shape(), "valid": held_out.shape()}
            del rows, held_out
        weights = best.weights / scaler.scale_[:, None]
        model = Model(weights, best.bias - scaler.mean_ @ weights, best.link)
        choices = {
            "penalty": min(losses, key=lambda penalty: (losses[penalty], -penalty)),
            "valid_loss": {f"{penalty:g}": loss for penalty, loss in losses.items()},
            "sample": sizes,
            "trained_parameters": weights.size + best.bias.size,
        }
        return Predictor(lambda inputs: predict(model, embedder, readout, inputs), choices)


def choose(
    fits: Iterator[tuple[float, Model]], valid: DesignMatrix, readout: Readout
) -> tuple[Model, dict[float, float]]:
    """The model with the lowest loss on valid, and the losses of all penalties tried."""
    best, losses = None, dict[float, float]()
    for penalty, model in fits:
        losses[penalty] = loss = mean_loss(model, valid, readout)
        if best is not None and loss >= min(list(losses.values())[:-1]):
            break
        best = model
    assert best is not None
    return best, losses


def mean_loss(model: Model, rows: DesignMatrix, readout: Readout) -> float:
    """Mean squared error (regression) or mean log loss, over known labels."""
    total = count = 0.0
    for part in rows.chunks():
        guess, truth = model(rows.features[part]), rows.labels[part]
        weight = np.broadcast_to(
            rows.weights[part].reshape(-1, *[1] * (truth.ndim - 1)), truth.shape
        )
        if readout.kind == "regression":
            loss = (guess - truth) ** 2
        else:
            if readout.kind == "multilabel" or readout.size == 2:
                right = np.where(truth == 1, guess, 1 - guess)
            else:
                right = np.take_along_axis(guess, truth[:, None], axis=1)[:, 0]
            loss = -np.log(np.clip(right, 1e-15, 1))
        known = np.broadcast_to(known_answers(truth, readout), truth.shape)
        total += float((loss * weight)[known].sum())
        count += float(weight[known].sum())
    return total / count


def ridge(rows: DesignMatrix, penalties: Sequence[float]) -> Iterator[tuple[float, Model]]:
    """Ridge regression for each penalty, from one pass over the rows.

    Equals `sklearn.linear_model.Ridge`, which needs a pass for each penalty.
    """
    from scipy.linalg import eigh

    width = rows.features.shape[1]
    gram, moment = np.zeros((width, width)), np.zeros(width)
    mean, centre = np.zeros(width), float(rows.labels.mean())
    for part in rows.chunks():
        block = rows.features[part].astype(np.float64)
        gram += block.T @ block
        moment += block.T @ (rows.labels[part] - centre)
        mean += block.sum(axis=0)
    mean /= len(rows.labels)
    gram -= len(rows.labels) * np.outer(mean, mean)
    spectrum, basis = eigh(gram)
    for penalty in penalties:
        weights = basis @ ((basis.T @ moment) / (np.maximum(spectrum, 0) + penalty))
        bias = np.array([centre - mean @ weights])
        yield penalty, Model(weights[:, None], bias, lambda scores: scores[:, 0])


def logistic(
    rows: DesignMatrix,
    readout: Readout,
    penalties: Sequence[float],
    max_iter: int,
    tolerance: float,
) -> Iterator[tuple[float, Model]]:
    """Logistic regression for each penalty: multinomial, binary, or one per label."""
    from scipy.special import expit, softmax

    targets = rows.labels.T if readout.kind == "multilabel" else [rows.labels]
    paths = [_logistic_path(rows, target, penalties, max_iter, tolerance) for target in targets]
    binary = readout.kind == "multilabel" or readout.size == 2
    link: Callable[[Float64], Float64] = expit if binary else partial(softmax, axis=1)
    if readout.kind != "multilabel" and binary:
        link = class_1
    if readout.kind == "classification" and len(np.unique(rows.labels)) < 2:
        raise UserError("every training example has the same class; a probe needs at least two")
    for penalty in penalties:
        columns, biases = [], []
        for path in paths:
            classes, weights, bias = next(path)
            if not binary:  # a class absent from train has probability 0
                # of two classes, scikit-learn has the log odds of the second
                if weights.shape[1] < len(classes):
                    weights = np.hstack([np.zeros_like(weights), weights])
                    bias = np.concatenate([[0.0], bias])
                full = np.zeros((len(weights), readout.size))
                offset = np.full(readout.size, -np.inf)
                full[:, classes], offset[classes] = weights, bias
                weights, bias = full, offset
            columns.append(weights)
            biases.append(bias)
        yield penalty, Model(np.hstack(columns), np.concatenate(biases), link)


def class_1(log_odds: Float64) -> Float64:
    """Probability of class 1, (n,), from its log odds, (n, 1)."""
    from scipy.special import expit

    return np.asarray(expit(log_odds[:, 0]))


def _logistic_path(
    rows: DesignMatrix, target: Array, penalties: Sequence[float], max_iter: int, tolerance: float
) -> Iterator[tuple[Array, Float64, Float64]]:
    """Classes, weights (f, columns) and bias for each penalty, with warm starts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    known = target != -1
    features = rows.features if known.all() else rows.features[known]
    target, weight = target[known], rows.weights[known]
    classes = np.unique(target)
    if len(classes) < 2:  # a label that is constant in train: its smoothed rate
        rate = (target.sum() + 1) / (len(target) + 2)
        constant = np.zeros((rows.features.shape[1], 1)), np.array([np.log(rate / (1 - rate))])
        for _ in penalties:
            yield (classes, *constant)
        return
    # On a small problem many threads gain little, and lose minutes where cores are shared.
    threads = 1 if features.size < SMALL else None
    solver = LogisticRegression(warm_start=True, max_iter=max_iter, tol=tolerance)
    for penalty in penalties:
        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reached max_iter: harmless
            solver.set_params(C=1 / penalty).fit(features, target, sample_weight=weight)
        yield classes, solver.coef_.T.astype(np.float64), solver.intercept_.astype(np.float64)


def follow(embedder: Embedder, readout: Readout, inputs: Sequence[Chains]) -> Iterator[Value]:
    """Embed what `predict` embeds in the first process, without predictions."""
    chains = embedded_chains(embedder.backbone, readout, inputs)
    for _ in feature_rows(embedder, readout, chains, "test"):
        yield np.empty(0)


def predict(
    model: Model, embedder: Embedder, readout: Readout, inputs: Sequence[Chains]
) -> Iterator[Value]:
    """Yield the prediction of each input, in order."""
    if is_protein_level(readout):
        chains = embedded_chains(embedder.backbone, readout, inputs)
        yield from model(protein_features(embedder, chains, "test"))
        return
    for residues in residue_features(embedder, inputs, "test"):
        if readout.level == "residue":
            yield model(residues)
            continue
        scores = np.full((len(residues), len(residues)), np.nan, np.float32)
        i, j = np.triu_indices(len(residues), readout.first_separation)
        for start in range(0, len(i), CHUNK):
            a, b = i[start : start + CHUNK], j[start : start + CHUNK]
            scores[a, b] = scores[b, a] = model(pair_features(residues, a, b))
        yield scores
