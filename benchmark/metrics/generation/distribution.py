"""Distances between the embeddings of generated and of natural sequences.

Both sets have the same size. Distances are read against those of held-out natural proteins.
"""

from math import nan

import numpy as np

from benchmark.core import Array, Examples, Predictions, set_metric
from benchmark.metrics.generation.measured import sequences

PER_DIMENSION = 10
"""Fewest sequences for each dimension of a covariance."""


def embeddings(predictions: Predictions) -> tuple[Array, Array] | None:
    """Embeddings of generated and natural sequences, (n, d) each; without both no row has any."""
    both = [(one.embedding, one.natural) for one in sequences(predictions)]
    rows = [pair for pair in both if pair[0].size and pair[1].size]
    if not rows:
        return None
    made, natural = (np.array(part, np.float64) for part in zip(*rows, strict=True))
    return made, natural


def frechet(a: Array, b: Array) -> float:
    """Squared Fréchet distance of two normal distributions fitted to (n, d) and (m, d).

    The trace of the root of the product of covariances is the sum of the singular values of the
    product of their roots.
    """
    roots = []
    for part in (a, b):
        values, vectors = np.linalg.eigh(np.cov(part, rowvar=False).reshape(part.shape[1], -1))
        roots.append((vectors * np.sqrt(values.clip(0))) @ vectors.T)
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    spread = sum(float((root**2).sum()) for root in roots)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + spread - 2 * cross)


def squared_distances(a: Array, b: Array) -> Array:
    """Between all rows, (n, m)."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(squares.clip(0))


@set_metric(higher_is_better=False, version=1)
def frechet_distance(predictions: Predictions, examples: Examples) -> float:
    """Squared Fréchet distance between embeddings (Heusel et al. 2017), biased upwards at small n.

    Undefined with fewer than 10 sequences for each dimension.
    """
    found = embeddings(predictions)
    if found is None or len(found[0]) < PER_DIMENSION * found[0].shape[1]:
        return nan
    return frechet(*found)


@set_metric(higher_is_better=False, version=1)
def mmd(predictions: Predictions, examples: Examples) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012).

    Gaussian kernel exp(-d^2 / (2 s^2)); s is the median distance between natural proteins. It is
    about 0, and may be negative, for sets of one distribution. Undefined with fewer than two.
    """
    found = embeddings(predictions)
    if found is None or len(found[0]) < 2:
        return nan
    made, natural = found
    n = len(made)
    pairs = np.triu_indices(n, 1)
    width = float(np.median(np.sqrt(squared_distances(natural, natural)[pairs])))
    if width == 0:
        return nan
    kernels = [
        np.exp(-squared_distances(a, b) / (2 * width**2))
        for a, b in ((made, made), (natural, natural), (made, natural))
    ]
    within = sum(float(kernel[pairs].mean()) for kernel in kernels[:2])
    return within - 2 * float(kernels[2].mean())
