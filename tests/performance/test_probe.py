"""Time of the linear probe on random vectors: fits, and scores of all pairs of a chain.

On a GPU set SCIPY_ARRAY_API=1, as the command line does.
"""

from typing import Any

import numpy as np
import pytest
import torch

from benchmark.core import Readout
from benchmark.embedding.features import SEPARATIONS, write_pair_features
from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.logistic import logistic
from benchmark.methods.probe.pair_scores import PairScorer
from benchmark.methods.probe.ridge import ridge
from tests.performance.table import Table, device, interleaved, matrix_rate, memory_rate

CONTACTS = Readout("pair", "classification", 2, 6)
STEPS = 10
SHAPES = [(40_000, 977), (5_000, 7_697)] if device() == "cpu" else [(150_000, 13_057)]
"""Rows and features of pairs from vectors of 320, 2,560 and 4,347 numbers."""
LENGTH = 250


def random_rows(count: int, width: int, binary: bool) -> DesignMatrix:
    """Labels follow the features, which are where the probe fits on this device."""
    generator = torch.Generator(device()).manual_seed(0)
    features: Any = torch.randn(count, width, device=device(), generator=generator)
    weights = torch.randn(width, device=device(), generator=generator)
    scores = (features @ weights / width**0.5).cpu().numpy().astype(np.float64)
    scores += np.random.default_rng(0).normal(size=count)
    labels = (scores > 1).astype(np.int64) if binary else scores
    return DesignMatrix(features.numpy() if device() == "cpu" else features, labels, np.ones(count))


@pytest.mark.parametrize(("count", "width"), SHAPES)
def test_logistic_fit(table: Table, count: int, width: int) -> None:
    """So many steps of L-BFGS; each must read the features twice."""
    rows = random_rows(count, width, True)
    works = {"fit": lambda: list(logistic(rows, CONTACTS, [1.0], STEPS, 1e-9))}
    ratio = table.add(
        f"logistic, {count:,} x {width:,}, {STEPS} steps",
        interleaved(works, 2)["fit"],
        reference=2 * STEPS * 4 * count * width / memory_rate(),
        reference_name="memory",
        amount=count * STEPS,
        unit="rows",
    )
    assert np.isfinite(ratio)


@pytest.mark.parametrize(
    ("count", "width"), [(4_000, 1_000), (600, 2_560)] if device() == "cpu" else [(50_000, 5_120)]
)
def test_ridge_fit(table: Table, count: int, width: int) -> None:
    """Seven penalties; the products of the features alone take the reference's time."""
    rows = random_rows(count, width, False)
    penalties = np.logspace(6, 0, 7).tolist()
    ratio = table.add(
        f"ridge, {count:,} x {width:,}, 7 penalties",
        interleaved({"fit": lambda: list(ridge(rows, penalties))}, 2)["fit"],
        reference=2 * count * width * min(count, width) / matrix_rate("float64"),
        reference_name="one product of the features, float64",
        amount=count,
        unit="rows",
    )
    assert np.isfinite(ratio)


@pytest.mark.parametrize("dim", [320, 1_280, 2_560] if device() == "cpu" else [1_280, 2_560, 5_120])
def test_pair_scores(table: Table, dim: int) -> None:
    """All pairs of a chain, and what version 0.2 did, pair features times weights."""
    rng = np.random.default_rng(0)
    residues = rng.standard_normal((LENGTH, dim)).astype(np.float32)
    weights = rng.standard_normal(3 * dim + len(SEPARATIONS))
    scorer = PairScorer(weights, 0.0, device())
    i, j = np.triu_indices(LENGTH, 6)

    def plain() -> None:
        for start in range(0, len(i), 16_384):
            part = slice(start, start + 16_384)
            features = np.empty((len(i[part]), len(weights)), np.float32)
            write_pair_features(features, residues, i[part], j[part])
            features @ weights

    found = interleaved({"scores": lambda: scorer(residues, 6), "plain": plain}, 2)
    name = f"pair scores, {LENGTH} residues x {dim:,}"
    table.add(name, found["scores"], reference=found["plain"], reference_name="pair features (0.2)")
    ratio = table.add(
        name,
        found["scores"],
        reference=2 * LENGTH**2 * dim / matrix_rate("float64"),
        reference_name="one product of the vectors, float64",
        amount=len(i),
        unit="pairs",
    )
    assert np.isfinite(ratio)
