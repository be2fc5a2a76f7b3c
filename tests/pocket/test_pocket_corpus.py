"""The corpus has no relatives of the embedded tasks' test proteins, and its bands hold."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.data import mmseqs
from benchmark.data.mmseqs import Hits
from benchmark.pocket import FOLDER
from benchmark.pocket.make import corpus
from benchmark.pocket.make.corpus import (
    BANDS,
    COVERAGE,
    FAST,
    LEAK,
    Relatives,
    hold_out,
    relatives,
    too_near,
    without_leaks,
)
from tests.conftest import random_chain

LENGTH = 100


def identity(one: str, other: str) -> float:
    """Share of equal residues of two chains, without gaps."""
    return sum(a == b for a, b in zip(one, other, strict=True)) / LENGTH


def search(queries: Sequence[str], targets: Sequence[str], options: str) -> Hits:
    """In place of MMseqs2: hits from 20 % on, all of whole chains."""
    a, b = (np.array([list(chain.encode()) for chain in part]) for part in (queries, targets))
    shares = np.stack([(row == b).mean(axis=1) for row in a])
    query, target = np.nonzero(shares > 0.2)
    share = shares[query, target]
    return Hits(query, target, share, np.ones(len(query)), share)


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """60 families of 1 to 6 chains, at 25 to 95 % identity to their first."""
    monkeypatch.setattr(mmseqs, "search", search)
    monkeypatch.setattr(corpus, "HELD_OUT", 8)
    monkeypatch.setattr(corpus, "CANDIDATES", 120)
    rng = np.random.default_rng(0)
    pool = []
    for _ in range(60):
        first = random_chain(rng, LENGTH)
        pool.append(first)
        for share in rng.uniform(0.25, 0.95, rng.integers(0, 6)):
            own = random_chain(rng, LENGTH)
            kept = rng.random(LENGTH) < share
            pool.append("".join(np.where(kept, list(first), list(own))))
    return pool


def test_held_out_proteins_fall_in_their_bands(
    families: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose relatives the first, faster search does not find."""

    def careless(queries: Sequence[str], targets: Sequence[str], options: str) -> Hits:
        hits = search(queries, targets, options)
        found = hits.target % 3 > 0 if options == FAST else np.full(len(hits.target), True)
        return Hits(*(column[found] for column in hits[:5]))

    monkeypatch.setattr(mmseqs, "search", careless)
    kept, gone = hold_out(families, np.random.default_rng(1))
    train = [chain for index, chain in enumerate(families) if index not in gone]

    assert {one.band for one in kept} == set(BANDS), "all of them are tried"
    assert all(sum(one.band == band for one in kept) <= 8 for band in BANDS)
    for one in kept:
        low, high = BANDS[one.band]
        nearest = max(identity(one.seq, chain) for chain in train)
        assert one.seq not in train
        assert low <= nearest < high if high else nearest <= 0.2
        assert one.identity == pytest.approx(nearest if high else 0)


def test_no_relative_of_what_the_tasks_evaluate_stays(
    families: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "evaluated", lambda: families[:40])
    left = without_leaks(families)

    near = [max(identity(one, chain) for one in families[:40]) for chain in families]
    assert left == [c for c, share in zip(families, near, strict=True) if share < LEAK]
    assert 0 < len(left) < len(families) - 40


def test_short_alignments_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [1, 1, 0], [4, 7, 2], [0.9] * 3, [0.79, 0.8, 1], [0.9] * 3
    hits = Hits(*map(np.array, columns))
    monkeypatch.setattr(mmseqs, "search", lambda *_: hits)
    first, second, none = relatives(["A", "B", "C"], ["D"], "")

    assert COVERAGE == 0.8
    assert (first.target.tolist(), first.identity.tolist()) == ([2], [0.9])
    assert (second.target.tolist(), second.identity.tolist()) == ([4, 7], [0, 0.9])
    assert not len(none.target)


def test_what_must_leave_for_a_band() -> None:
    near = Relatives(np.array([5, 6, 7]), np.array([0.95, 0.75, 0.4]))

    assert too_near(near, "70-90") == {5}
    assert too_near(near, "50-70") is None, "none would be left in the band"
    assert too_near(near, "30-50") == {5, 6}
    assert too_near(near, "no-hit") == {5, 6, 7}
    many = Relatives(np.arange(21), np.full(21, 0.6))
    assert too_near(many, "no-hit") is None, "too dear"


def test_tasks_evaluate_valid_and_test_proteins_and_those_dropped() -> None:
    import pyarrow.parquet as pq

    files = ("structure", "location", "metal", "solubility")
    rows = [row for name in files for row in pq.read_table(FOLDER / f"{name}.parquet").to_pylist()]
    dropped = pq.read_table(FOLDER / "dropped.parquet").to_pylist()
    evaluated = {row["seq"] for row in rows if row["split"] in ("valid", "test")}
    assert evaluated | {row["seq"] for row in dropped if row["file"] in files} == set(
        corpus.evaluated()
    )
