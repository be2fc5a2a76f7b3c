"""Contacts: the share of a protein's top-ranked residue pairs that are in contact.

Precision at L/n: the k = max(1, L // n) best known pairs of a range of separations, or all where
there are fewer; averaged over the proteins that have a known pair in the range. L is the number of
residues, resolved or not: the size of the score matrix, which has no padding and no special tokens.
Ranges as in CASP (doi:10.1002/prot.25064); "all" starts at the task's `min_separation`.
"""

import numpy as np

from benchmark.core import Array, ExampleMetric, Examples, Predictions, contact_map, known_pairs

NO_LIMIT = np.iinfo(np.int32).max
RANGES = {"all": (0, NO_LIMIT), "short": (6, 11), "medium": (12, 23), "long": (24, NO_LIMIT)}
"""Smallest and largest j - i; the smallest of "all" is the task's `min_separation`."""
KEPT = np.dtype([("length", "i4"), ("range", "i1"), ("i", "i4"), ("j", "i4"), ("score", "f4")])
"""A ranked pair: the chain's L, index into RANGES, residues i < j from 0."""


def rank_pairs(scores: Array, min_separation: int, label: Array | None = None) -> Array:
    """Return the top L known pairs of each range, best first; ties by i, then j.

    scores: (L, L), symmetric; the upper triangle is read, as float32. Rows have the dtype KEPT.
    label: its unknown pairs are left out (`benchmark.core.Readout`); its contacts have no effect.
    """
    length = len(scores)
    if scores.shape != (length, length):
        raise ValueError(f"scores have the shape {scores.shape}; they need to be (L, L)")
    i, j = np.triu_indices(length, max(1, min(min_separation, RANGES["short"][0])))
    if label is not None:
        known = known_pairs(label, length)[i, j]
        i, j = i[known], j[known]
    score = scores[i, j].astype(np.float32)
    if np.isnan(score).any():
        raise ValueError("scores contain NaN")
    order = np.argsort(-score, kind="stable")
    separation = (j - i)[order]
    ranked = []
    for index, (name, (first, last)) in enumerate(RANGES.items()):
        first = min_separation if name == "all" else first
        top = order[(first <= separation) & (separation <= last)][:length]
        rows = np.empty(len(top), KEPT)
        rows["length"], rows["range"] = length, index
        rows["i"], rows["j"], rows["score"] = i[top], j[top], score[top]
        ranked.append(rows)
    return np.concatenate(ranked)


def hits(pairs: Array, label: Array) -> Array:
    """Whether each ranked pair is one of the contacts of a label."""
    if len(pairs) == 0:
        return np.zeros(0, dtype=bool)
    return np.asarray(contact_map(label, pairs["length"][0])[pairs["i"], pairs["j"]])


def precision(pairs: Array, label: Array, divisor: int, index: int) -> float:
    """Precision at L / divisor of one protein in one range; NaN if it has no pair there.

    >>> scores = np.zeros((10, 10))
    >>> scores[0, 8] = scores[1, 9] = 1.0
    >>> pairs = rank_pairs(scores, min_separation=7)
    >>> precision(pairs, np.array([[0, 8]]), divisor=5, index=0)
    0.5
    """
    rows = pairs[pairs["range"] == index]
    if len(rows) == 0:
        return float("nan")
    top = rows[: max(1, int(rows["length"][0]) // divisor)]
    return float(hits(top, label).mean())


def precision_at(divisor: int, range_name: str) -> ExampleMetric:
    """Make the metric of one divisor and one range, `p_at_l5_long` say.

    Its predictions are tables from `rank_pairs`: all pairs are too many to store.
    """
    index = list(RANGES).index(range_name)

    def values(predictions: Predictions, examples: Examples) -> Array:
        if any(np.asarray(p).dtype != KEPT for p in predictions):
            raise ValueError("a prediction is not a table of ranked pairs, which contacts have")
        pairs = zip(map(np.asarray, predictions), examples, strict=True)
        return np.array(
            [precision(table, np.asarray(e.label), divisor, index) for table, e in pairs]
        )

    name = f"p_at_l{divisor if divisor > 1 else ''}"
    name += "" if range_name == "all" else f"_{range_name}"
    return ExampleMetric(name, values, higher_is_better=True, version=1, scale="logit")


p_at_l5, p_at_l2, p_at_l = (precision_at(n, "all") for n in (5, 2, 1))
p_at_l5_short, p_at_l2_short, p_at_l_short = (precision_at(n, "short") for n in (5, 2, 1))
p_at_l5_medium, p_at_l2_medium, p_at_l_medium = (precision_at(n, "medium") for n in (5, 2, 1))
p_at_l5_long, p_at_l2_long, p_at_l_long = (precision_at(n, "long") for n in (5, 2, 1))
