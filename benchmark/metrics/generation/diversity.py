"""Similarity of generated sequences among themselves."""

from itertools import combinations
from math import nan

import numpy as np

from benchmark.core import Examples, Predictions, set_metric
from benchmark.metrics.generation.measured import chains, sequences

PAIRS = 200
"""Pairs that are aligned."""
SEED = 0


@set_metric(higher_is_better=True, version=1)
def clusters_per_100(predictions: Predictions, examples: Examples) -> float:
    """Clusters at 50 % identity (MMseqs2) per 100 sequences; it falls with the set's size."""
    found = [one.cluster for one in sequences(predictions) if one.cluster >= 0]
    return 100 * len(set(found)) / len(found) if found else nan


@set_metric(higher_is_better=None, version=1)
def pairwise_identity(predictions: Predictions, examples: Examples) -> float:
    """Mean identity of 200 pairs, drawn by a fixed seed, or of all pairs if they are fewer.

    Global alignment with BLOSUM62, gaps of -10 and -1 and free ends (biotite); equal residues
    divided by the residues of the shorter sequence. Unrelated natural proteins have about 0.09.
    """
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal, get_sequence_identity

    found = [ProteinSequence(chain) for chain in chains(predictions)]
    n = len(found)
    if n * (n - 1) // 2 <= PAIRS:
        pairs = list(combinations(range(n), 2))
    else:
        draws = np.random.default_rng(SEED)
        pairs = [tuple(draws.choice(n, 2, replace=False).tolist()) for _ in range(PAIRS)]
    matrix = SubstitutionMatrix.std_protein_matrix()
    values = []
    for a, b in pairs:
        (best, *_) = align_optimal(
            *(found[a], found[b], matrix, (-10, -1)), terminal_penalty=False, max_number=1
        )
        values.append(get_sequence_identity(best, mode="shortest"))
    return float(np.mean(values)) if values else nan
