"""Scores of the test proteins that resemble what was learned from, apart from those that do not.

`python -m benchmark audit` looks for the nearest relative of each test protein among train and
valid: what a method learned from, and what it chose by. A relative is a chain with 30 % identity or
more over 80 % of the shorter one, found with an E-value of 0.001 or less; identity is that of the
aligned columns. A row of several chains is as novel as its most novel chain, and a chain's relative
may be any chain of any row.

Strata are the bands of that identity, and "without overlap": the rows whose very chains, all
together, are in no row of train or valid. The last needs no audit.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.core import Array, Example, Metric, Splits, Value
from benchmark.evaluate import Scores, known_answers, mean, score
from benchmark.files import replacing
from benchmark.results import APART, make_key

PARAMETERS = {
    "version": 1,
    "identity": 0.30,
    "coverage": 0.80,
    "evalue": 0.001,
    "sensitivity": 7.5,
    "hits": 1000,
    "shortest": 30,
}
"""What an audit looks for; `version` is raised when its code changes what it finds.

hits: chains that are aligned with each test chain, at most. shortest: in residues; of shorter
chains only equal ones are relatives. With these settings 87 % of random relatives of 30 residues at
60 % identity are found, and 47 % of 25 residues: too few to call the rest novel.
"""
EXACT, NONE, SHORT = "exact", "under 30 %", "too short"
EDGES = {"90–100 %": 0.9, "70–90 %": 0.7, "50–70 %": 0.5, "30–50 %": 0.3}
"""Band -> the lowest identity in it; the highest is below the band before."""
BANDS = (EXACT, *EDGES, NONE, SHORT)
"""From the nearest on: each chain is in train or valid; identity; no relative; a chain that is too
short to tell, and is not in train or valid."""

Strata = dict[str, dict[str, dict[str, Any]]]
"""Test set -> stratum -> examples (with a known answer), units, scores, intervals."""


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
    """The band of one example."""
    if exact:
        return EXACT
    if np.isnan(identity):
        return SHORT
    return next((name for name, lowest in EDGES.items() if identity >= lowest), NONE)


def learned(splits: Splits, test: str) -> list[Example]:
    """The examples that answers to a test set may owe something to."""
    train, valid = splits.learn.get(test, (splits.train, splits.valid))
    return [*train, *valid]


def audit_path(results: Path, data: Mapping[str, str]) -> Path:
    """Where the audit of data with these digests lies."""
    return results / ".audit" / f"{make_key([data, PARAMETERS])}.parquet"


def read_audit(results: Path, data: Mapping[str, str]) -> Audit | None:
    """The audit of data with these digests, if there is one."""
    path = audit_path(results, data)
    if not path.exists():
        return None
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    tests = np.asarray(table["test"].to_pylist())
    exact = table["exact"].to_numpy()
    identity = table["identity"].to_numpy()
    return Audit(
        json.loads(table.schema.metadata[b"audit"]),
        {str(name): exact[tests == name] for name in dict.fromkeys(tests)},
        {str(name): identity[tests == name] for name in dict.fromkeys(tests)},
    )


def write_audit(audit: Audit, splits: Splits, path: Path) -> None:
    """One row for each test example, in order: test, id, exact, identity."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(name, example.id) for name, test in splits.tests.items() for example in test]
    tests, ids = zip(*rows, strict=True)
    columns = {
        "test": pa.array(tests),
        "id": pa.array(ids),
        "exact": pa.array(np.concatenate([audit.exact[name] for name in splits.tests])),
        "identity": pa.array(np.concatenate([audit.identity[name] for name in splits.tests])),
    }
    table = pa.table(columns).replace_schema_metadata({"audit": json.dumps(audit.facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def stratify(
    metrics: Sequence[Metric],
    splits: Splits,
    kept: Mapping[str, Sequence[Value]],
    audit: Audit | None,
    seed: int,
) -> Strata:
    """Score each stratum that holds a known answer; `kept` has each test set's predictions.

    "Without overlap" is told of every test set if any has overlap, and of one that lies in train
    and valid altogether it has no example and no score. The mean of a stratum over test sets is
    that of all of them, or there is none.
    """
    known, apart = dict[str, list[int]](), dict[str, list[int]]()
    for test, examples in splits.tests.items():
        seen = {example.chains for example in learned(splits, test)}
        known[test] = [r for r, e in enumerate(examples) if np.any(known_answers(e.label))]
        apart[test] = [row for row in known[test] if examples[row].chains not in seen]
    parts: dict[str, dict[str, Scores]] = {name: {} for name in (*BANDS, APART)}
    members: dict[str, dict[str, list[Example]]] = {name: {} for name in parts}
    for index, (test, examples) in enumerate(splits.tests.items()):
        bands = audit.bands(test) if audit else []
        found_rows = {
            name: [row for row in known[test] if bands and bands[row] == name] for name in BANDS
        }
        found_rows[APART] = apart[test] if apart != known else []
        for name, rows in found_rows.items():
            if rows or (name == APART and apart != known):
                members[name][test] = [examples[row] for row in rows]
                answers = [kept[test][row] for row in rows]
                parts[name][test] = score(metrics, answers, members[name][test], (seed, index))
    found: Strata = {}
    for name, scores in parts.items():
        means = {
            m: mean(metrics, scores, members[name], weights, (seed, len(splits.tests)))
            for m, weights in splits.means.items()
            if set(weights) <= set(scores)
        }
        for test, result in {**means, **scores}.items():
            found.setdefault(test, {})[name] = {
                "examples": result.scored,
                "units": result.units,
                "scores": result.scores,
                "intervals": result.intervals,
            }
    return found
