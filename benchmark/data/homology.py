"""Similarity of test proteins to train and valid, or to proteins that the user names, by MMseqs2.

For each test protein the search finds the nearest relative among them. A relative is a
chain with at least 30 % identity over at least 80 % of the shorter chain and an E-value of at most
0.001; identity is that of the aligned columns. A row of several chains is as novel as its most
novel chain, and a chain's relative may be any chain of any row.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
"""Bands, nearest first: every chain is among the known ones; by identity; no relative; a chain is
too short for the search and not among them."""
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
    """Test set -> (n,), whether each chain of an example is in train or valid, or in `against`."""
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


def audit_path(results: Path, data: Mapping[str, str], against: str = "") -> Path:
    """File of the audit of data with these digests; against: digest of `Splits.against`."""
    parts = [data, PARAMETERS, *([against] if against else [])]
    return results / ".audit" / f"{make_key(parts)}.parquet"


def read_audit(results: Path, data: Mapping[str, str], against: str = "") -> Audit | None:
    """The audit of data with these digests; None without one."""
    path = audit_path(results, data, against)
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


def ensure_audit(results: Path, splits: Splits, data: Mapping[str, str]) -> tuple[Audit, bool]:
    """The audit of data with these digests, stored or searched now, and whether it was stored."""
    facts: dict[str, Any] = {"program": mmseqs.version(), **PARAMETERS}
    digest, name = (splits.against.digest, splits.against.name) if splits.against else ("", "")
    facts |= {"against": digest} if digest else {}
    found = read_audit(results, data, digest)
    if found is not None and found.facts.items() >= facts.items():
        return found, True
    found = search(splits, facts | ({"file": name} if digest else {}))
    write_audit(found, splits, audit_path(results, data, digest))
    return found, False


def search(splits: Splits, facts: Mapping[str, Any]) -> Audit:
    """Find the nearest relative of every test example."""
    exact, identity = {}, {}
    for name, examples in splits.tests.items():
        chains = sorted({chain for example in examples for chain in example.chains})
        if splits.against:
            found = splits.against.relatives(chains)
        else:
            known = {chain for example in learned(splits, name) for chain in example.chains}
            found = relatives_among(chains, sorted(known))
        seen, nearest = (dict(zip(chains, part, strict=True)) for part in found)
        exact[name] = np.array([all(seen[c] for c in example.chains) for example in examples])
        rows = [[nearest[chain] for chain in example.chains] for example in examples]
        identity[name] = np.array([np.min(row) for row in rows])  # NaN where one of them is NaN
    return Audit(facts, exact, identity)


def relatives_among(chains: Sequence[str], known: Sequence[str]) -> tuple[Array, Array]:
    """`nearest_relatives` among chains in memory."""
    return nearest_relatives(
        chains, lambda: [known], lambda queries, options: mmseqs.search(queries, known, options)
    )


def nearest_relatives(
    chains: Sequence[str],
    blocks: Callable[[], Iterable[Sequence[str]]],
    find: Callable[[Sequence[str], str], mmseqs.Hits],
) -> tuple[Array, Array]:
    """Whether each chain is known, and its identity with the nearest known one; (n,) each.

    Identity is 0 without a relative, NaN if a chain is too short.
    blocks: gives all known chains, in parts. find: searches them with options of MMseqs2.
    """
    wanted, seen, count, residues = set(chains), set[str](), 0, 0
    for block in blocks():
        seen |= wanted.intersection(block)
        count, residues = count + len(block), residues + sum(map(len, block))
    exact = np.array([chain in seen for chain in chains])
    short = [len(chain) < PARAMETERS["shortest"] for chain in chains]
    best = np.where(exact, 1.0, np.where(short, np.nan, 0.0))
    new = np.flatnonzero(best == 0).tolist()
    for block in blocks():
        for rows, _, shares in equal_shares([chains[row] for row in new], block):
            near, at = shares.max(axis=1), np.array(new)[rows]
            best[at] = np.maximum(best[at], np.where(near >= SURE, near, 0))
    # chains of the highest band are not searched: the variants of a scan would take hours
    far = np.flatnonzero(best < max(EDGES.values()))
    queries = [chains[row] for row in far.tolist()]
    if queries:
        work = sum(map(len, queries)) * residues / SPEED / mmseqs.cores() / 60
        about = f", about {work:.0f} minutes" if work >= 1 else ""
        print(f"searching {len(queries):,} chains among {count:,}{about}", file=sys.stderr)
    options = (
        f"-s {PARAMETERS['sensitivity']} -e {PARAMETERS['evalue']} "
        f"--max-seqs {PARAMETERS['hits']} --min-seq-id {PARAMETERS['identity']}"
    )
    hits = find(queries, options)
    related = hits.coverage >= PARAMETERS["coverage"]
    np.maximum.at(best, far[hits.query[related]], hits.identity[related])
    return exact, best


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
