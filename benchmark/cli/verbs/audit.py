"""`audit`: similarity of the test sets to train and valid.

The result of `benchmark.data.homology` is stored beside the Records, for later runs; Records of the
same data get scores by identity band from their stored predictions.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request
from benchmark.core import Splits, Task, UserError
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
from benchmark.data.splits import count_shared
from benchmark.report.rescore import complete


def show_audit(request: Request) -> None:
    """Count overlap with train and valid, and score Records by identity to the nearest relative."""
    from benchmark.report import leaderboard
    from benchmark.results.storage import check_writable

    cfg = compose(request.words, request.folders)
    folder = Path(str(cfg.results)).expanduser()
    check_writable(folder)
    audit(build(cfg.task), folder)
    leaderboard.write(folder)


def audit(task: Task, folder: Path) -> None:
    """Search or read an earlier search, print it, and complete the Records in `folder`."""
    started = time.perf_counter()
    splits = task.load()
    if not any(learned(splits, test) for test in splits.tests):
        raise UserError(
            "this task has no train and no valid to compare its test sets with; audit needs either"
        )
    data, facts = digest_splits(splits), {"program": mmseqs.version(), **PARAMETERS}
    path, found = audit_path(folder, data), read_audit(folder, data)
    if found is not None and found.facts == facts:
        line = f"skipped: audit exists ({path}); delete it to search again"
    else:
        found = search(splits, facts)
        write_audit(found, splits, path)
        line = f"{path}, {time.perf_counter() - started:.1f} s"
    show(splits, found)
    print(line)
    complete(task, splits, data, found, folder)


def show(splits: Splits, found: Audit) -> None:
    """Print, by test set, its overlap with train and valid and the share in each identity band."""
    from rich.console import Console
    from rich.table import Column, Table

    def numbers(headings: Sequence[str]) -> list[Column]:
        return [Column(heading, justify="right") for heading in headings]

    bands = {name: Counter(found.bands(name)) for name in splits.tests}
    present = [band for band in BANDS if any(band in count for count in bands.values())]
    chains = max(len(example.chains) for test in splits.tests.values() for example in test)
    places = [f"chain {place + 1} seen" for place in range(chains if chains > 1 else 0)]
    headings = ["examples", "in train", "in valid", *places, "repeated"]
    rows = Table("test set", *numbers(headings), box=None, pad_edge=False)
    shares = Table("nearest relative", *numbers(present), box=None, pad_edge=False)
    for name, examples in splits.tests.items():
        train, valid = splits.learned_from(name)
        seen = {chain for example in learned(splits, name) for chain in example.chains}
        there = [
            sum(
                len(example.chains) > place and example.chains[place] in seen
                for example in examples
            )
            for place in range(len(places))
        ]
        again = len(examples) - len({example.chains for example in examples})
        in_train, in_valid = count_shared(examples, train), count_shared(examples, valid)
        counts = len(examples), in_train, in_valid, *there, again
        rows.add_row(name, *(f"{count:,}" for count in counts))
        shares.add_row(name, *(f"{bands[name][band] / len(examples):.1%}" for band in present))
    console = Console(highlight=False)
    console.print(rows)
    if count := count_shared(splits.valid, splits.train):
        print(f"{count:,} of {len(splits.valid):,} valid examples are also in train")
    console.print(shares)
    if chains > 1:
        print(f"{EXACT}: every chain of a row is in train or valid, but maybe not in the same row")
    if SHORT in present:
        print(
            f"{SHORT}: MMseqs2 misses too many relatives of chains under {PARAMETERS['shortest']} "
            "residues, so only equal chains are counted"
        )
