"""Known answers, contact maps and the residue index."""

import numpy as np
import pytest

from benchmark.core import (
    RESIDUE_INDEX,
    RESIDUES,
    Readout,
    contact_map,
    known_answers,
    known_pairs,
)


@pytest.mark.parametrize(
    ("readout", "label", "known"),
    [
        (Readout("protein", "regression"), -1.0, True),
        (Readout("protein", "regression"), np.nan, False),
        (Readout("protein", "classification", 3), -1, False),
        (Readout("protein", "multilabel", 3), [1, -1, 0], [True, False, True]),
        (Readout("residue", "multilabel", 2), [[0, 1], [-1, -1]], [[True] * 2, [False] * 2]),
        (Readout("residue", "likelihood", context="left"), [0, np.nan], [True, False]),
        (Readout("pair", "classification", 2), np.empty((0, 2), int), [True]),
        (Readout("protein", "sequence"), np.nan, [True]),
    ],
)
def test_known_answers_by_kind(readout: Readout, label: object, known: object) -> None:
    np.testing.assert_array_equal(known_answers(np.asarray(label), readout), known)


def test_contact_map_is_symmetric() -> None:
    contacts = contact_map(np.array([[0, 3], [1, 2]], np.int32), 4)

    assert np.argwhere(contacts).tolist() == [[0, 3], [1, 2], [2, 1], [3, 0]]
    assert not contact_map(np.empty(0), 3).any(), "an empty label may have the shape (0,)"


def test_unknown_pairs_are_neither_contacts_nor_known() -> None:
    label = np.array([[0, 3], [1, 1], [4, 2]], np.int32)
    known = known_pairs(label, 5)

    assert np.argwhere(contact_map(label, 5)).tolist() == [[0, 3], [3, 0]]
    assert not known[1].any() and not known[:, 1].any(), "residue 1 is unresolved"
    assert not known[2, 4] and not known[4, 2]
    assert known.sum() == 25 - 9 - 2
    assert known_pairs(np.empty(0), 3).all()


def test_residue_index_follows_the_residue_axis() -> None:
    assert [RESIDUES[RESIDUE_INDEX[residue]] for residue in RESIDUES] == list(RESIDUES)
