"""`audit`: how much of a test set resembles what is learned from.

What `benchmark.data.homology` finds is laid down beside the Records, for the runs to come;
Records of the same data that are there get their scores by band from their stored predictions.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request
from benchmark.core import Example, Splits, Task, UserError
from benchmark.data import mmseqs
from benchmark.data.digests import digest_splits
from benchmark.data.homology import (
    BANDS,
    EXACT,
    PARAMETERS,
    SHORT,
    Audit,
    audit_path,
    learned,
    read_audit,
    search,
    write_audit,
)
from benchmark.report.rescore import complete


def show_audit(request: Request) -> None:
    """Tell how near each test protein is to train and valid; score the Records by it."""
    from benchmark.report import leaderboard
    from benchmark.results.storage import check_writable

    cfg = compose(request.words, request.folders)
    folder = Path(str(cfg.results)).expanduser()
    check_writable(folder)
    audit(build(cfg.task), folder)
    leaderboard.write(folder)


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
        train, valid = splits.train_valid_by_test.get(name, (splits.train, splits.valid))
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
