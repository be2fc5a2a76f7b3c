"""Contacts with unresolved residues: how they are read, and that no score counts them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.core import Array, Example, Readout, UserError, contact_map, known_pairs
from benchmark.methods.nearest import Nearest
from benchmark.metrics.contact import RANGES, precision_at, rank_pairs
from benchmark.run.evaluation import check_signatures
from tasks.contact import Contact
from tests.conftest import random_chain
from tests.data.test_tables import COMMON, protein

LENGTH = 40


def task(separation: int = 7) -> Contact:
    return Contact(**{**COMMON, "source": ""}, min_separation=separation)


def random_map(seed: int) -> tuple[Array, Array]:
    """A symmetric map of 0 and 1, and which residues are resolved."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((LENGTH, LENGTH)) < 0.3, 1)
    return (upper | upper.T).astype(int), rng.random(LENGTH) < 0.7


def by_hand(
    scores: Array, contacts: Array, known: Array, divisor: int, first: int, last: int
) -> float:
    """Precision from sorting a Python list of the known pairs."""
    pairs = [
        (-np.float32(scores[i, j]), i, j)
        for i in range(LENGTH)
        for j in range(i + first, min(LENGTH, i + last + 1))
        if known[i, j]
    ]
    top = sorted(pairs)[: max(1, LENGTH // divisor)]
    return float(np.mean([contacts[i, j] for _, i, j in top])) if top else float("nan")


@pytest.mark.parametrize("unknown", [-1, np.nan])
@pytest.mark.parametrize("seed", range(3))
def test_scores_of_known_pairs_alone(seed: int, unknown: float) -> None:
    contacts, resolved = random_map(seed)
    known = np.outer(resolved, resolved)
    known[3, 20] = known[20, 3] = False  # a single pair
    cell = np.where(known, contacts, unknown)
    label = task().parse([list(row) for row in cell], ("A" * LENGTH,))
    example = Example(("A" * LENGTH,), label, "id", "g")
    scores = np.random.default_rng(seed + 10).random((LENGTH, LENGTH)).round(1)  # with ties
    scores = np.maximum(scores, scores.T)
    compact = task().compact(scores, example)

    apart = np.abs(np.subtract.outer(*[np.arange(LENGTH)] * 2)) >= 6
    assert (known_pairs(label, LENGTH) == known)[apart].all()
    assert (contact_map(label, LENGTH) == (contacts == 1) & known)[apart].all()
    for divisor in (5, 2, 1):
        for name, (first, last) in RANGES.items():
            metric = precision_at(divisor, name)
            (value,) = metric.scores([compact], [example])
            first = 7 if name == "all" else first
            expected = by_hand(scores, contacts, known, divisor, first, min(last, LENGTH))
            np.testing.assert_equal(value, expected)


def test_a_map_without_unknown_pairs_is_its_list_of_pairs() -> None:
    """Bit for bit, so the digest of the data is the same."""
    contacts, _ = random_map(5)
    pairs = np.argwhere(np.triu(contacts, 1)).tolist()
    chain = ("A" * LENGTH,)
    found = task().parse(pairs, chain)
    for cell in (contacts.tolist(), contacts.astype(bool), contacts.astype(np.float32)):
        label = task().parse(cell, chain)
        assert label.dtype == found.dtype and label.tobytes() == found.tobytes()


def test_unresolved_residues_change_neither_l_nor_the_other_pairs() -> None:
    scores = np.random.default_rng(0).random((LENGTH, LENGTH))
    scores += scores.T
    label = np.array([[0, 10], [3, 3]], np.int32)
    compact, of_all = rank_pairs(scores, 7, label), rank_pairs(scores, 7)

    assert set(compact["length"]) == {LENGTH}
    assert not ((compact["i"] == 3) | (compact["j"] == 3)).any()
    assert ((of_all["i"] == 3) | (of_all["j"] == 3)).any()


def test_a_protein_without_a_known_pair_has_no_score() -> None:
    label = task().parse(np.full((LENGTH, LENGTH), -1), ("A" * LENGTH,))
    example = Example(("A" * LENGTH,), label, "id", "g")
    compact = task().compact(np.ones((LENGTH, LENGTH)), example)

    assert label.tolist() == [[i, i] for i in range(LENGTH)]
    assert np.isnan(precision_at(5, "all").scores([compact], [example]))


def test_an_empty_cell_means_that_no_pair_is_known(tmp_path: Path) -> None:
    """As on every level: counted as an unknown label, and refused beyond what the task allows."""
    chains = [random_chain(np.random.default_rng(seed), LENGTH) for seed in range(4)]
    labels = [[[0, 20]], None, [], [[1, 30]]]
    columns = {"seq": chains, "label": labels, "split": ["train", "train", "valid", "test"]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    kind = task()
    allowed = replace(kind, source=f"file:{tmp_path}/a.parquet", allow={"unknown_labels": 0.5})
    splits = allowed.load()

    unknown = kind.parse(np.full((LENGTH, LENGTH), -1), ("A" * LENGTH,))
    assert np.array_equal(splits.train[1].label, unknown)
    assert splits.report.changes["train"]["unknown_labels"] == 1
    assert splits.report.changes["train"]["unresolved_residues"] == LENGTH
    assert "unknown_labels" not in splits.report.changes["valid"], "an empty list is no contact"
    with pytest.raises(UserError, match=r"1 of 2 rows of split train .* have no known label"):
        replace(allowed, allow={}).load()


def test_residues_that_a_map_and_a_mask_leave_out_are_counted_once(tmp_path: Path) -> None:
    cell = np.zeros((LENGTH, LENGTH))
    cell[[3, 5], :] = cell[:, [3, 5]] = -1
    mask = "".join("0" if at in (5, 8) else "1" for at in range(LENGTH))
    table = {"seq": ["A" * LENGTH, "C" * LENGTH, "D" * LENGTH], "label": [cell.tolist()] * 3}
    table |= {"mask": [mask] * 3, "split": ["train", "valid", "test"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    splits = replace(task(), source=f"file:{tmp_path}/a.parquet").load()

    assert splits.report.changes["test"]["unresolved_residues"] == 3


def test_an_old_signature_of_compact_is_refused() -> None:
    class Old(Contact):
        def compact(self, prediction: Any) -> Any:  # type: ignore[override]
            return prediction

    method = Nearest(neighbours=[1], priors=[1], sensitivity=1, evalue=1)
    check_signatures(protein(), method)
    assert protein().readout == Readout("protein", "classification", 3)
    with pytest.raises(UserError, match=r"Old.compact has an old .* compact\(self, prediction, ex"):
        check_signatures(Old(**{**COMMON, "source": ""}, min_separation=7), method)
