"""Similarity of test proteins to train and valid, by MMseqs2.

For each test protein the search finds the nearest relative in train and valid. A relative is a
chain with at least 30 % identity over at least 80 % of the shorter chain and an E-value of at most
0.001; identity is that of the aligned columns. A row of several chains is as novel as its most
novel chain, and a chain's relative may be any chain of any row.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.core import Array, Example, Splits
from benchmark.data import mmseqs
from benchmark.data.digests import make_key
from benchmark.files import replacing

PARAMETERS = {
    "version": 1,
    "identity": 0.30,
    "coverage": 0.80,
    "evalue": 0.001,
    "sensitivity": 7.5,
    "hits": 1000,
    "shortest": 30,
}
"""Parameters of the search; `version` is raised when a change of its code changes its results.

hits: largest number of chains aligned with a test chain. shortest: in residues; only equal chains
are relatives of shorter ones. With these settings the search finds 87 % of random relatives of 30
residues at 60 % identity, but 47 % of those of 25 residues: too few to call the rest novel.
"""
EXACT, NONE, SHORT = "exact", "under 30 %", "too short"
EDGES = {"90–100 %": 0.9, "70–90 %": 0.7, "50–70 %": 0.5, "30–50 %": 0.3}
"""Identity band -> lowest identity in it."""
BANDS = (EXACT, *EDGES, NONE, SHORT)
"""Bands, nearest first: every chain is in train or valid; by identity; no relative; a chain is too
short for the search and not in train or valid."""
SURE = 0.5
"""Share of equal residues, position by position, that unrelated chains never reach."""
BLOCK = 4096
SPEED = 5e10
"""Pairs of residues that MMseqs2 compares per second and core, roughly."""


class Audit(NamedTuple):
    """The nearest relatives of a task's test examples."""

    facts: Mapping[str, Any]
    """Program and parameters."""
    exact: Mapping[str, Array]
    """Test set -> (n,), whether each chain of an example is in train or valid."""
    identity: Mapping[str, Array]
    """Test set -> (n,): identity of the nearest relative, 0 without one, NaN if too short."""

    def bands(self, test: str) -> list[str]:
        """The band of each example of a test set."""
        return [
            band(bool(exact), float(identity))
            for exact, identity in zip(self.exact[test], self.identity[test], strict=True)
        ]


def band(exact: bool, identity: float) -> str:
    """The band of one example; an identity in single precision may be just below an edge."""
    if exact or np.isnan(identity):
        return EXACT if exact else SHORT
    return next((name for name, lowest in EDGES.items() if round(identity, 6) >= lowest), NONE)


def learned(splits: Splits, test: str) -> list[Example]:
    """The train and valid examples of a test set."""
    train, valid = splits.learned_from(test)
    return [*train, *valid]


def audit_path(results: Path, data: Mapping[str, str]) -> Path:
    """File of the audit of data with these digests."""
    return results / ".audit" / f"{make_key([data, PARAMETERS])}.parquet"


def read_audit(results: Path, data: Mapping[str, str]) -> Audit | None:
    """The audit of data with these digests; None without one."""
    path = audit_path(results, data)
    if not path.exists():
        return None
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    tests = np.asarray(table["test"].to_pylist())
    columns = (
        {str(name): table[column].to_numpy()[tests == name] for name in dict.fromkeys(tests)}
        for column in ("exact", "identity")
    )
    return Audit(json.loads(table.schema.metadata[b"audit"]), *columns)


def write_audit(audit: Audit, splits: Splits, path: Path) -> None:
    """Write a row per test example, in order: test, id, exact, identity."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "test": [name for name, test in splits.tests.items() for _ in test],
        "id": [example.id for test in splits.tests.values() for example in test],
        "exact": np.concatenate([audit.exact[name] for name in splits.tests]),
        "identity": np.concatenate([audit.identity[name] for name in splits.tests]),
    }
    table = pa.table(columns).replace_schema_metadata({"audit": json.dumps(audit.facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def search(splits: Splits, facts: Mapping[str, Any]) -> Audit:
    """Find the nearest relative of every test example."""
    exact, identity = {}, {}
    for name, examples in splits.tests.items():
        known = sorted({chain for example in learned(splits, name) for chain in example.chains})
        chains = sorted({chain for example in examples for chain in example.chains})
        nearest = dict(zip(chains, nearest_relatives(chains, known), strict=True))
        rows = [[nearest[chain] for chain in example.chains] for example in examples]
        identity[name] = np.array([np.min(row) for row in rows])  # NaN where one of them is NaN
        seen = set(known)
        exact[name] = np.array([seen.issuperset(example.chains) for example in examples])
    return Audit(facts, exact, identity)


def nearest_relatives(chains: Sequence[str], known: Sequence[str]) -> Array:
    """Identity of each chain with its nearest in `known`, (n,): 0 without one, NaN if too short."""
    seen = set(known)
    short = [len(chain) < PARAMETERS["shortest"] for chain in chains]
    best = np.where([chain in seen for chain in chains], 1.0, np.where(short, np.nan, 0.0))
    new = np.flatnonzero(best == 0).tolist()
    for rows, _, shares in equal_shares([chains[row] for row in new], known):
        near, at = shares.max(axis=1), np.array(new)[rows]
        best[at] = np.maximum(best[at], np.where(near >= SURE, near, 0))
    # chains of the highest band are not searched: the variants of a scan would take hours
    far = np.flatnonzero(best < max(EDGES.values()))
    queries = [chains[row] for row in far.tolist()]
    if queries:
        work = sum(map(len, queries)) * sum(map(len, known)) / SPEED / mmseqs.cores() / 60
        about = f", about {work:.0f} minutes" if work >= 1 else ""
        print(f"searching {len(queries):,} chains among {len(known):,}{about}", file=sys.stderr)
    options = (
        f"-s {PARAMETERS['sensitivity']} -e {PARAMETERS['evalue']} "
        f"--max-seqs {PARAMETERS['hits']} --min-seq-id {PARAMETERS['identity']}"
    )
    hits = mmseqs.search(queries, known, options)
    related = hits.coverage >= PARAMETERS["coverage"]
    np.maximum.at(best, far[hits.query[related]], hits.identity[related])
    return best


def equal_shares(
    chains: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[Array, Array, Array]]:
    """Blocks of chains and known chains of one length, and their shares of equal residues."""
    lengths, others = (np.array([len(c) for c in part]) for part in (chains, known))
    for length in sorted(set(lengths.tolist()) & set(others.tolist())):
        rows, targets = (np.flatnonzero(part == length) for part in (lengths, others))
        for mine in np.split(rows, range(BLOCK, len(rows), BLOCK)):
            letters = as_letters([chains[row] for row in mine])
            for block in np.split(targets, range(BLOCK, len(targets), BLOCK)):
                found = equal(letters, as_letters([known[row] for row in block]))
                yield mine, block, found / length


def as_letters(chains: Sequence[str]) -> Array:
    """Chains of one length as bytes, (n, L)."""
    return np.frombuffer("".join(chains).encode(), np.uint8).reshape(len(chains), -1)


def equal(a: Array, b: Array) -> Array:
    """Count for each row of `a` and of `b` the positions with the same letter, (len(a), len(b))."""
    count = np.zeros((len(a), len(b)), np.float32)
    for letter in np.unique(a):
        x, y = a == letter, b == letter
        both = x.any(axis=0) & y.any(axis=0)
        if both.any():
            count += x[:, both].astype(np.float32) @ y[:, both].T.astype(np.float32)
    return count
