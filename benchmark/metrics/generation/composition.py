"""Residue composition, repeats and low complexity of generated sequences.

Repeats and low complexity belong together: a penalty on repeated n-grams lowers the first and may
raise the second (Chen et al. 2024, xTrimoPGLM).
"""

from math import nan

import numpy as np

from benchmark.core import RESIDUES, Array, Examples, Predictions, example_metric, set_metric
from benchmark.core.answers import OTHER, residue_codes
from benchmark.metrics.generation.measured import chains, each, natural_chains

WINDOW = 12
"""Residues of a window, and its entropy in bits: as SEG (Wootton and Federhen 1993)."""
TRIGGER, EXTENSION = 2.2, 2.5


def frequencies(found: list[str], words: int) -> Array:
    """Relative frequencies of residues (words=1) or dipeptides (2), of the standard ones."""
    counts = np.zeros(len(RESIDUES) ** words)
    for chain in found:
        codes = residue_codes(chain)
        columns = [codes[at : len(codes) - words + 1 + at] for at in range(words)]
        known = np.all([column < len(RESIDUES) for column in columns], axis=0)
        flat = sum(c * len(RESIDUES) ** at for at, c in enumerate(columns[::-1]))
        counts += np.bincount(np.asarray(flat)[known], minlength=len(counts))
    total = counts.sum()
    return counts / total if total else np.full(len(counts), nan)


def entropy(shares: Array) -> Array:
    """Shannon entropy over the last axis, in bits."""
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(-1))


def divergence(predictions: Predictions, examples: Examples, words: int) -> float:
    """Jensen-Shannon divergence from the natural proteins, in bits (Lin 1991)."""
    made, natural = (
        frequencies(found, words) for found in (chains(predictions), natural_chains(examples))
    )
    mixed = entropy((made + natural) / 2) - (entropy(made) + entropy(natural)) / 2
    return nan if np.isnan(made + natural).any() else max(0.0, float(mixed))


@set_metric(higher_is_better=False, version=1)
def residue_divergence(predictions: Predictions, examples: Examples) -> float:
    """Jensen-Shannon divergence of residue frequencies from natural ones, 0 to 1 bit."""
    return divergence(predictions, examples, 1)


@set_metric(higher_is_better=False, version=1)
def dipeptide_divergence(predictions: Predictions, examples: Examples) -> float:
    """The same of pairs of adjacent residues. It depends on the number of residues compared."""
    return divergence(predictions, examples, 2)


def run(chain: str) -> int:
    """Length of the longest run of one residue."""
    changes = np.flatnonzero(np.diff(residue_codes(chain)))
    return int(np.diff([-1, *changes, len(chain) - 1]).max())


def repeated(chain: str, n: int) -> float:
    """Share of the n-grams of a chain that occurred in it before; NaN without any."""
    grams = [chain[at : at + n] for at in range(len(chain) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else nan


def low_entropy(chain: str) -> Array:
    """Which residues are in a segment of low complexity, (L,).

    A segment is a run of windows of an entropy of at most `EXTENSION`, one of which has at most
    `TRIGGER`. SEG's last step, which trims segments to their least probable part, is left out.
    """
    low = np.zeros(len(chain), bool)
    if len(chain) < WINDOW:
        return low
    one_hot = np.eye(OTHER + 1)[residue_codes(chain)]
    counts = np.cumsum(np.vstack([np.zeros(one_hot.shape[1]), one_hot]), axis=0)
    complexity = entropy((counts[WINDOW:] - counts[:-WINDOW]) / WINDOW)
    edges = np.flatnonzero(np.diff([False, *(complexity <= EXTENSION), False]))
    for start, stop in edges.reshape(-1, 2).tolist():
        if complexity[start:stop].min() <= TRIGGER:
            low[start : stop - 1 + WINDOW] = True
    return low


@example_metric(higher_is_better=None, version=1)
def longest_run(predictions: Predictions, examples: Examples) -> Array:
    """Mean length of the longest run of one residue."""
    return each(predictions, lambda one: run(one.chain))


@example_metric(higher_is_better=None, version=1, scale="logit")
def repeats_3(predictions: Predictions, examples: Examples) -> Array:
    """Mean share of a sequence's 3-grams that occurred in it before; it grows with length."""
    return each(predictions, lambda one: repeated(one.chain, 3))


@example_metric(higher_is_better=None, version=1, scale="logit")
def repeats_6(predictions: Predictions, examples: Examples) -> Array:
    """Mean share of a sequence's 6-grams that occurred in it before."""
    return each(predictions, lambda one: repeated(one.chain, 6))


@example_metric(higher_is_better=None, version=1, scale="logit")
def low_complexity(predictions: Predictions, examples: Examples) -> Array:
    """Mean share of residues in segments of low complexity (`low_entropy`)."""
    return each(predictions, lambda one: low_entropy(one.chain).mean())
