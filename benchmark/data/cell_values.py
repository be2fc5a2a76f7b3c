"""What is in a cell: missing values, words for classes, chains, masks of residues."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.core import RESIDUES, Array, Chains, Readout, UserError, known_pairs

AMBIGUOUS = "BJOUXZ"
"""IUPAC letters for a residue outside the 20; allowed, and counted."""
CHAIN_BREAK = "|"
STOP = "*"
"""A stop codon; at the end of a chain it is removed, and counted."""
STRUCTURE_TOKENS = re.compile(r"([A-Z#][a-z#]){3,}")
"""SaProt's input: each residue is followed by a lower-case letter for its local structure."""
MISSING = {"", "nan", "na", "n/a", "null", "none", "<na>"}
"""Text of a cell without a value, in lower case; of sequences and states only the first."""


def is_missing(cell: Any) -> bool:
    """Whether a cell has no value: null, NaN, or text that says so."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or (isinstance(cell, float) and cell != cell)


def read_mask(cell: Any, length: int) -> Array | None:
    """Which residues have an answer, (length,): from 0 and 1 a residue, or a list of their indices.

    None, from a missing cell: all of them.
    """
    if is_missing(cell):
        return None
    given = [*cell.strip()] if isinstance(cell, str) else cell
    try:
        values = np.asarray(given).astype(np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"mask {str(cell)[:30]!r} is not a string or list of 0 and 1") from None
    if values.shape == (length,) and np.isin(values, (0, 1)).all():
        return np.asarray(values == 1)
    resolved = np.isin(np.arange(length), values)
    if isinstance(cell, str) or values.ndim != 1 or resolved.sum() != len(values):
        raise ValueError(
            f"mask of {values.size} entries for a chain of {length} residues; give 0 (left out) or "
            "1 for each residue, or a list of the indices that are resolved, from 0"
        )
    return resolved


def class_words(labels: Mapping[str, Sequence[Any]], learned: str, size: int) -> dict[str, int]:
    """Word for a class -> its number, in sorted order of the words; empty if labels are numbers.

    labels: split -> its cells. learned: the split that has to have every class.
    """
    if not any(isinstance(cell, str) for column in labels.values() for cell in column):
        return {}
    words = {
        name: {str(cell).strip() for cell in column if not is_missing(cell)}
        for name, column in labels.items()
    }
    found = set[str]().union(*words.values())
    numbers = set(filter(is_number, found))
    if found == numbers:
        return {}
    if numbers:
        raise UserError(
            f"the label column has numbers ({min(numbers)}) and words ({min(found - numbers)!r}); "
            "give numbers or words for the classes, not both"
        )
    for name in words:
        if absent := words[name] - words[learned]:
            raise UserError(
                f"split {name} has the class {min(absent)!r}, which {learned} lacks; a class "
                "without examples cannot be learned"
            )
    classes = sorted(words[learned])
    if len(classes) != size:
        raise UserError(
            f"{learned} has {len(classes)} classes ({', '.join(classes[:20])}), but "
            f"task.size={size}; give task.size={len(classes)}"
        )
    return {word: number for number, word in enumerate(classes)}


def is_number(text: str) -> bool:
    """Whether text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_chains(sequence: object) -> Chains:
    """Split a cell into its chains and check every letter; ValueError says what is wrong."""
    if not isinstance(sequence, str) or not sequence.strip():
        raise ValueError("no sequence; every row needs one, in one-letter code")
    letters = sequence.strip()
    if STRUCTURE_TOKENS.fullmatch(letters):
        raise ValueError(
            "the sequence has SaProt's structure tokens (a lower-case letter or # after each "
            "residue); give the residues alone"
        )
    upper = letters.upper() if letters.isascii() else letters
    chains = tuple(chain.removesuffix(STOP) for chain in upper.split(CHAIN_BREAK))
    for chain in chains:
        if not chain:
            raise ValueError(f"an empty chain; remove the extra {CHAIN_BREAK!r}")
        if wrong := set(chain) - set(RESIDUES) - set(AMBIGUOUS):
            hint = ", a stop codon, may only be the last" if STOP in wrong else ""
            raise ValueError(
                f"letter {min(wrong)!r} in the sequence{hint}; allowed are {RESIDUES}, the "
                f"ambiguous {AMBIGUOUS}, and {CHAIN_BREAK!r} between chains"
            )
    return chains


def cut_label(label: Array, level: str, length: int) -> Array:
    """Truncate a label like its chain, to `length` residues."""
    if level == "pair":
        return label[(label < length).all(axis=1)]
    return label[:length] if level == "residue" else label


def mask_states(cell: Any, resolved: Array | None) -> Any:
    """A string of states with None at the residues that a mask leaves out; other cells as is."""
    if resolved is None or not isinstance(cell, str) or len(cell) != len(resolved):
        return cell
    return [state if known else None for state, known in zip(cell, resolved, strict=True)]


def mask_label(label: Array, resolved: Array | None, readout: Readout) -> Array:
    """A label whose answers are unknown at the residues that a mask leaves out."""
    if resolved is None:
        return label
    if readout.level == "pair":
        left_out = np.flatnonzero(~resolved).astype(label.dtype)
        return np.concatenate([label, np.column_stack([left_out, left_out])])
    return np.where(resolved, label, np.nan if readout.kind == "regression" else -1)


def known_of_pairs(label: Array, length: int, readout: Readout) -> Array:
    """Which pairs of a label are known, (pairs,); (1,) if all are."""
    if not (label[:, 0] >= label[:, 1]).any():
        return np.ones(1, bool)
    i, j = np.triu_indices(length, readout.first_separation)
    return np.asarray(known_pairs(label, length)[i, j])
