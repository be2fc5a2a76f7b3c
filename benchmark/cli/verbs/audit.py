"""`audit`: similarity of the test sets to train and valid, or to what `task.bands_against` names.

The result of `benchmark.data.homology` is stored next to the Records for later runs; Records of the
same data get scores by identity band from their stored predictions.
"""

import time
from collections import Counter
from pathlib import Path

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request
from benchmark.core import Splits, Task, UserError
from benchmark.data.digests import digest_splits
from benchmark.data.homology import (
    BANDS,
    EXACT,
    PARAMETERS,
    SHORT,
    Audit,
    audit_path,
    ensure_audit,
    learned,
)
from benchmark.data.splits import count_shared
from benchmark.report.rescore import complete
from benchmark.report.table import Column, Report, Table, Value


def show_audit(request: Request) -> None:
    """Count overlap with train and valid, and score Records by identity to the nearest relative.

    Perplexity tasks have neither; there task.bands_against=FILE names the proteins.
    """
    from benchmark.report import leaderboard
    from benchmark.results.storage import check_writable

    cfg = compose(request.words, request.folders)
    folder = Path(str(cfg.results)).expanduser()
    check_writable(folder)
    request.show(audit(build(cfg.task), folder))
    leaderboard.write(folder)


def audit(task: Task, folder: Path) -> Report:
    """Search or read an earlier search, and complete the Records in `folder`."""
    started = time.perf_counter()
    splits = task.load()
    if not splits.against and not any(learned(splits, test) for test in splits.tests):
        hint = ""
        if hasattr(task, "bands_against"):
            hint = ", or task.bands_against=FILE with the proteins to compare with"
        raise UserError(
            "this task has no train and no valid to compare its test sets with; audit needs "
            f"either of them{hint}"
        )
    data = digest_splits(splits)
    found, existed = ensure_audit(folder, splits, data)
    path = audit_path(folder, data, found.facts.get("against", ""))
    line = f"{path}, {time.perf_counter() - started:.1f} s"
    if existed:
        line = f"skipped: audit exists ({path}); delete it to search again"
    complete(task, splits, data, found, folder)
    return overlap(splits, found)._replace(text=line)


def overlap(splits: Splits, found: Audit) -> Report:
    """By test set, its overlap with what it is compared with, and the share in each band."""
    bands = {name: Counter(found.bands(name)) for name in splits.tests}
    present = [band for band in BANDS if any(band in count for count in bands.values())]
    chains = max(len(example.chains) for test in splits.tests.values() for example in test)
    places = range(chains if chains > 1 else 0)
    rows, shares = list[list[Value]](), list[list[Value]]()
    for name, examples in splits.tests.items():
        train, valid = splits.learned_from(name)
        seen = {chain for example in (*train, *valid) for chain in example.chains}
        by_chain = [sum(e.chains[n] in seen for e in examples if n < len(e.chains)) for n in places]
        repeated = len(examples) - len({example.chains for example in examples})
        shared = [count_shared(examples, train), count_shared(examples, valid)]
        if splits.against:
            shared = [int(found.exact[name].sum())]
        rows.append([name, len(examples), *shared, *by_chain, repeated])
        shares.append([name, *(bands[name][band] / len(examples) for band in present)])
    known = [f"in {splits.against.name}"] if splits.against else ["in train", "in valid"]
    headings = ["examples", *known, *(f"chain {n + 1} seen" for n in places)]
    counts = [
        Column("test set"),
        *(Column(heading, "count") for heading in [*headings, "repeated"]),
    ]
    columns = [Column("nearest relative"), *(Column(band, "share", 1) for band in present)]
    notes, more = list[str](), list[str]()
    if count := count_shared(splits.valid, splits.train):
        notes.append(f"{count:,} of {len(splits.valid):,} valid examples are also in train")
    if chains > 1:
        more.append(
            f"{EXACT}: every chain of a row is in train or valid, but maybe not in the same row"
        )
    if SHORT in present:
        more.append(
            f"{SHORT}: MMseqs2 misses too many relatives of chains under {PARAMETERS['shortest']} "
            "residues, so only equal chains are counted"
        )
    return Report([Table("", counts, rows, notes), Table("", columns, shares, more)])
