"""The classical frozen probe: ridge regression or logistic regression on standardised features.

For both, the penalty is lambda in  sum of losses + lambda/2 |w|^2  (with half the squared error).
It is selected on valid by squared error or log loss, never by a task's metric. Penalties are tried
from the strongest to the weakest, with warm starts, until the loss on valid rises.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.core.answers import Chains, Readout, Value
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.distributed import rank
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    embedded_chains,
    feature_rows,
    is_protein_level,
    protein_features,
    residue_features,
)
from benchmark.methods.probe.design_matrix import DesignMatrix, DesignMatrixBuilder
from benchmark.methods.probe.logistic import logistic
from benchmark.methods.probe.model import Float64, Model, mean_loss
from benchmark.methods.probe.pair_scores import PairScorer
from benchmark.methods.probe.ridge import ridge
from benchmark.methods.probe.tables import (
    backbone_device,
    fit_device,
    like,
    to_float64,
    to_numpy,
)
from benchmark.progress import track

WIDE = 20_000
"""A fit on the CPU with more features is announced with an estimate of its time."""
PASSES = 30
"""Passes over the features in the estimate, for each penalty: L-BFGS takes about so many."""


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

    VERSION = 2
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
                device=fit_device(context.backbone),
            )
            rows = builder.build(train, "train")
            held_out = builder.build(valid, "valid")
            if rank():  # the first process fits and predicts, the others embed
                return Predictor(lambda inputs: follow(embedder, readout, inputs), {})
            mean, scale = standardise(rows, held_out)
            penalties = sorted(self.penalties, reverse=True)
            announce_wide(rows, len(penalties))
            if readout.kind == "regression":
                fits = ridge(rows, penalties)
            else:
                fits = logistic(rows, readout, penalties, self.max_iter, self.tolerance)
            fits = track(fits, len(penalties), "fit")
            best, losses, unfinished = choose(fits, held_out, readout)
            sizes = {"train": rows.shape(), "valid": held_out.shape()}
            del rows, held_out
        weights = best.weights / scale[:, None]
        model = Model(weights, best.bias - mean @ weights, best.link)
        choices = {
            "penalty": min(losses, key=lambda penalty: (losses[penalty], -penalty)),
            "valid_loss": {f"{penalty:g}": loss for penalty, loss in losses.items()},
            "sample": sizes,
            "trained_parameters": weights.size + best.bias.size,
        }
        if unfinished:
            choices["not_converged"] = unfinished
        if choices["penalty"] in unfinished:
            print(
                f"note: the fit did not converge in {self.max_iter} steps with the chosen penalty "
                f"{choices['penalty']:g}; raise method.max_iter",
                file=sys.stderr,
            )
        return Predictor(lambda inputs: predict(model, embedder, readout, inputs), choices)


def standardise(rows: DesignMatrix, held_out: DesignMatrix) -> tuple[Float64, Float64]:
    """Standardise both in place by the mean and the scale of `rows`, which are returned."""
    centre, count = rows.mean(), len(rows.labels)
    squares = (((to_float64(rows.features[p]) - centre) ** 2).sum(0) for p in rows.chunks())
    mean, variance = to_numpy(centre), to_numpy(sum(squares) / count)
    rounding = np.finfo(np.float64).eps
    constant = variance <= count * rounding * variance + (count * rounding * mean) ** 2
    scale = np.where(constant, 1.0, np.sqrt(variance))
    for table in (rows, held_out):
        centre, width = like(mean, table.features), like(scale, table.features)
        for part in table.chunks():
            block = table.features[part]
            block -= centre
            block /= width
    return mean, scale


def announce_wide(rows: DesignMatrix, penalties: int) -> None:
    """Estimate the time of a fit with many features on the CPU, and print it."""
    count, width = rows.features.shape
    if width <= WIDE or not isinstance(rows.features, np.ndarray):
        return
    sample, vector = rows.features[: max(1, 2**24 // width)], np.ones(width, np.float32)
    sample @ vector
    started = time.perf_counter()
    sample @ vector
    seconds = (time.perf_counter() - started) * count / len(sample) * 2 * PASSES * penalties
    print(
        f"note: {count:,} rows of {width:,} features ({4 * count * width / 1e9:.1f} GB) are fitted "
        f"on the CPU, in about {max(1, round(seconds / 60))} min; device=cuda takes seconds, and "
        "fewer rows take less (method.max_residues, method.max_chains, method.pairs_per_chain)",
        file=sys.stderr,
    )


def choose(
    fits: Iterator[tuple[float, Model]], valid: DesignMatrix, readout: Readout
) -> tuple[Model, dict[float, float], list[float]]:
    """The model with the lowest loss on valid, all losses, and penalties that did not converge."""
    best, losses, unfinished = None, dict[float, float](), list[float]()
    for penalty, model in fits:
        losses[penalty] = loss = mean_loss(model, valid, readout)
        if not model.converged:
            unfinished.append(penalty)
        if best is not None and loss >= min(list(losses.values())[:-1]):
            break
        best = model
    assert best is not None
    return best, losses, unfinished


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
    vectors = residue_features(embedder, inputs, "test")
    if readout.level == "residue":
        yield from (model(residues) for residues in vectors)
        return
    device = backbone_device(embedder.backbone)
    scorer = PairScorer(model.weights[:, 0], float(model.bias[0]), device)
    for residues in vectors:
        scores = np.full((len(residues), len(residues)), np.nan, np.float32)
        i, j = np.triu_indices(len(residues), readout.first_separation)
        log_odds = scorer(residues, readout.first_separation)
        scores[i, j] = scores[j, i] = model.link(log_odds[:, None])
        yield scores
