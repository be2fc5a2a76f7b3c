"""Evaluated proteins with relatives in the corpus leave the files; the corpus stays the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import mmseqs
from benchmark.data.mmseqs import Hits
from benchmark.pocket import FOLDER
from benchmark.pocket.make import corpus
from benchmark.pocket.make.leaks import drop
from tests.conftest import random_chain

LENGTH = 100
SPLITS = ["train", "train", "valid", "valid", "test", "test"]
BANDS = ["70-90", "70-90", "30-50", "30-50", "no-hit", "no-hit"]
NEAREST = {"structure": [0.9, 0, 0.49, 0.5, 0.6, 0.2], "heldout": [0.8, 0.95, 0.49, 0.5, 0.2, 0.3]}
"""Identity of each row to the corpus."""
DROPPED = {"structure": [3, 4], "heldout": [1, 3, 5]}


def near(chain: str, identity: float) -> str:
    """A chain with this share of equal residues."""
    other = str.maketrans("ACDEFGHIKLMNPQRSTVWY", "CDEFGHIKLMNPQRSTVWYA")
    equal = round(identity * LENGTH)
    return chain[:equal] + chain[equal:].translate(other)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of six rows, and in corpus.txt a relative of each; files without relatives."""

    def search(queries: Sequence[str], targets: Sequence[str], options: str) -> Hits:
        assert "-e 1 " in options and "--max-seqs 10000" in options
        a, b = (np.array([list(chain.encode()) for chain in part]) for part in (queries, targets))
        share = (a[:, None] == b).mean(axis=2)
        query, target = np.nonzero(share > 0.15)
        share = share[query, target]
        return Hits(query, target, share, np.ones(len(query)), share)

    monkeypatch.setattr(mmseqs, "search", search)
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    rng, relatives = np.random.default_rng(0), []
    for name in (*corpus.EVALUATED, "heldout"):
        seqs = [random_chain(rng, LENGTH) for _ in SPLITS]
        part = {"band": BANDS} if name == "heldout" else {"split": SPLITS}
        columns = {"id": [f"{name}{row}" for row in range(6)], "seq": seqs, **part}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        shares = NEAREST.get(name, [0] * 6)
        relatives += [near(seq, share) for seq, share in zip(seqs, shares, strict=True) if share]
    (tmp_path / "corpus.txt").write_text("\n".join(relatives))
    pq.write_table(pq.read_table(FOLDER / "dropped.parquet").slice(0, 0), tmp_path / corpus.DROPPED)
    return tmp_path


def test_rows_too_close_to_the_corpus_are_dropped(folder: Path) -> None:
    before, chains = corpus.evaluated(), (folder / "corpus.txt").read_text().split()
    drop(folder, chains)

    dropped = pq.read_table(folder / corpus.DROPPED).to_pylist()
    assert [row["id"] for row in dropped] == [f"{n}{row}" for n in DROPPED for row in DROPPED[n]]
    shares = [NEAREST[name][row] for name in DROPPED for row in DROPPED[name]]
    assert [row["identity"] for row in dropped] == pytest.approx(shares)
    for name in (*corpus.EVALUATED, "heldout"):
        left = pq.read_table(folder / f"{name}.parquet")["id"].to_pylist()
        assert left == [f"{name}{r}" for r in range(6) if r not in DROPPED.get(name, ())]
    assert corpus.evaluated() == before, "a corpus made again leaves out the same relatives"

    drop(folder, chains)
    assert pq.read_table(folder / corpus.DROPPED).to_pylist() == dropped


def test_what_was_dropped_is_in_no_file_that_ships() -> None:
    dropped = pq.read_table(FOLDER / corpus.DROPPED).to_pylist()
    assert dropped
    for name in {row["file"] for row in dropped}:
        left = set(pq.read_table(FOLDER / f"{name}.parquet")["seq"].to_pylist())
        assert not left & {row["seq"] for row in dropped if row["file"] == name}
