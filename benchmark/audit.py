"""`python -m benchmark audit TASK`: how much of a test set resembles what is learned from.

MMseqs2 looks for each test chain's nearest relative, as `benchmark.strata` defines it. What it
found is laid down beside the Records, for the runs to come; Records of the same data that are there
get their scores by band from their stored predictions.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics, mmseqs, results
from benchmark.core import Array, Example, Metric, Splits, Task, UserError, Value
from benchmark.data import digest_splits
from benchmark.evaluate import known_answers
from benchmark.progress import track
from benchmark.results import Record
from benchmark.sources import cells
from benchmark.strata import (
    BANDS,
    EDGES,
    EXACT,
    PARAMETERS,
    SHORT,
    Audit,
    audit_path,
    learned,
    read_audit,
    stratify,
    write_audit,
)

SURE = 0.5
"""Share of equal residues, position by position, that no unrelated chains of 30 residues have."""
BLOCK = 4096
SPEED = 5e10
"""Pairs of residues that MMseqs2 has done with in a second on a core, roughly."""
TOLERANCE = 1e-4
"""Some predictions are stored in single precision."""


def audit(task: Task, folder: Path) -> None:
    """Search, unless it was done before; show; complete the Records in `folder`."""
    started = time.perf_counter()
    splits = task.load()
    if not any(learned(splits, test) for test in splits.tests):
        raise UserError("this task has no train and no valid: there is nothing to be near to")
    data, facts = digest_splits(splits), {"program": mmseqs.version(), **PARAMETERS}
    path, found = audit_path(folder, data), read_audit(folder, data)
    if found is not None and found.facts == facts:
        told = f"done before, nothing was searched; delete {path} to search again"
    else:
        found = search(splits, facts)
        write_audit(found, splits, path)
        told = f"{path}, {time.perf_counter() - started:.1f} s"
    show(splits, found)
    print(told)
    complete(task, splits, data, found, folder)


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
    near = equal_share([chains[row] for row in new], known)
    best[new] = np.where(near >= SURE, near, 0)
    # what is in the highest band already is not searched: a scan's variants would take hours
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


def equal_share(chains: Sequence[str], known: Sequence[str]) -> Array:
    """Largest share of residues that equal those of a `known` chain of the same length, (n,)."""
    best = np.zeros(len(chains))
    others = defaultdict(list)
    for chain in known:
        others[len(chain)].append(chain)
    lengths = np.array([len(chain) for chain in chains])
    for length in sorted(set(lengths.tolist())):
        rows = np.flatnonzero(lengths == length)
        for mine in np.split(rows, range(BLOCK, len(rows), BLOCK)):
            letters = as_letters([chains[row] for row in mine])
            for start in range(0, len(others[length]), BLOCK):
                block = as_letters(others[length][start : start + BLOCK])
                best[mine] = np.maximum(best[mine], equal(letters, block).max(axis=1) / length)
    return best


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


def show(splits: Splits, found: Audit) -> None:
    """Print for each test set what of it is elsewhere, too, and the share of it in each band."""
    from rich.console import Console
    from rich.table import Column, Table

    def numbers(headings: Sequence[str]) -> list[Column]:
        return [Column(heading, justify="right") for heading in headings]

    bands = {name: Counter(found.bands(name)) for name in splits.tests}
    present = [band for band in BANDS if any(band in count for count in bands.values())]
    chains = max(len(example.chains) for test in splits.tests.values() for example in test)
    places = [f"chain {place + 1} seen" for place in range(chains if chains > 1 else 0)]
    elsewhere = ["examples", "in train", "in valid", *places, "repeated"]
    rows = Table("test set", *numbers(elsewhere), box=None, pad_edge=False)
    shares = Table("nearest relative", *numbers(present), box=None, pad_edge=False)
    for name, examples in splits.tests.items():
        train, valid = splits.learn.get(name, (splits.train, splits.valid))
        seen = {chain for example in learned(splits, name) for chain in example.chains}
        there = [
            sum(
                len(example.chains) > place and example.chains[place] in seen
                for example in examples
            )
            for place in range(len(places))
        ]
        again = len(examples) - len({example.chains for example in examples})
        counts = len(examples), shared(examples, train), shared(examples, valid), *there, again
        rows.add_row(name, *(f"{count:,}" for count in counts))
        shares.add_row(name, *(f"{bands[name][band] / len(examples):.1%}" for band in present))
    console = Console(highlight=False)
    console.print(rows)
    if count := shared(splits.valid, splits.train):
        print(f"{count:,} valid examples are in train, too")
    console.print(shares)
    if chains > 1:
        print(f"{EXACT}: each chain of a row is in train or valid, the row itself need not be")
    if SHORT in present:
        print(
            f"{SHORT}: of chains under {PARAMETERS['shortest']} residues MMseqs2 finds too few "
            "relatives, so only equal chains are told"
        )


def shared(examples: Sequence[Example], others: Sequence[Example]) -> int:
    """Count the examples whose chains are those of another one."""
    seen = {example.chains for example in others}
    return sum(example.chains in seen for example in examples)


def complete(
    task: Task, splits: Splits, data: Mapping[str, str], found: Audit, folder: Path
) -> None:
    """Give the Records of this data their scores by band, from the predictions beside them."""
    records = [
        record
        for record in results.load_all(folder)
        if record.data == data and record.notes.get("audit") != found.facts
    ]
    done = 0
    for record in track(records, len(records), "scores by band"):
        try:
            scorers = [metrics.find(name) for name in record.higher_is_better]
            kept = stored(task, splits, folder / record.path)
            require_same(record, scorers, splits, kept)
        except (UserError, FileNotFoundError) as error:
            print(
                f"{folder / record.path} gets no scores by band: {error}; delete it and run again",
                file=sys.stderr,
            )
            continue
        strata = stratify(scorers, splits, kept, found, record.seed)
        notes = {**record.notes, "audit": found.facts}
        results.write_record(replace(record, strata=strata, notes=notes), folder)
        done += 1
    if done:
        print(f"{done} Records of this data have scores by band now")


def stored(task: Task, splits: Splits, path: Path) -> dict[str, list[Value]]:
    """Each test set's predictions, from the table beside a Record."""
    import pyarrow.parquet as pq

    table = pq.read_table(path.with_suffix(".parquet"))
    columns = {name: cells(table[name]) for name in table.column_names}
    expected = [(name, example.id) for name, test in splits.tests.items() for example in test]
    if list(zip(columns["test"], columns["id"], strict=True)) != expected:
        raise UserError("the predictions beside it are not of this data")
    kept: dict[str, list[Value]] = {name: [] for name in splits.tests}
    for row in rows_of(columns):
        kept[row["test"]].append(task.restore(row))
    return kept


def rows_of(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a table by their columns' names."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def require_same(
    record: Record,
    scorers: Sequence[Metric],
    splits: Splits,
    kept: Mapping[str, Sequence[Value]],
) -> None:
    """Refuse where the metrics have changed since, so that their scores are not comparable."""
    for test, examples in splits.tests.items():
        rows = [r for r, example in enumerate(examples) if np.any(known_answers(example.label))]
        predictions, labels = [kept[test][r] for r in rows], [examples[r].label for r in rows]
        for scorer in scorers:
            (value,) = scorer(predictions, labels)
            recorded = record.scores[test].get(scorer.name, np.nan)
            value = value if np.isfinite(value) else np.nan
            if not np.isclose(value, recorded, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                raise UserError(
                    f"its {scorer.name} on {test} is {recorded:.4f}, but {value:.4f} now"
                )
