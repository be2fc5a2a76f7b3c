"""Splits of our own making, and what of a test set is in train, too."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from benchmark.core import Example, Splits, UserError
from benchmark.data.digests import digest


def hold_out(train: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Set aside whole groups, about `share` of the rows, as valid; always the same ones."""
    rows = defaultdict(list)
    for example in train:
        rows[example.group].append(example)
    chosen: set[str] = set()
    wanted = share * len(train)
    for group in sorted(rows, key=lambda name: digest("valid", name)):
        if wanted < len(rows[group]) / 2:
            continue  # a unit that is too large for what is left to be taken
        chosen.add(group)
        wanted -= len(rows[group])
    if not chosen or len(chosen) == len(rows):
        raise UserError(
            f"cannot hold_out a validation split out of {len(rows)} groups of train; "
            "give the source a split named valid"
        )
    kept = [example for example in train if example.group not in chosen]
    return kept, [example for example in train if example.group in chosen]


def cross_validate(
    examples: Sequence[Example], folds: Sequence[object], prefix: str = ""
) -> tuple[dict[str, list[Example]], dict[str, tuple[list[Example], list[Example]]]]:
    """Test each fold once; the next one is its valid, the rest its train. By name: `learn`."""
    parts = defaultdict(list)
    for row, (example, fold) in enumerate(zip(examples, folds, strict=True)):
        if fold is None:
            raise UserError(f"row {row} has no fold; every row needs one")
        parts[str(fold)].append(example)
    names = sorted(parts, key=lambda name: (len(name), name))
    if len(names) < 3:
        what = prefix.strip() or "the table"
        raise UserError(
            f"{what} has {len(names)} folds ({', '.join(names)}); it takes three or more"
        )
    tests, learn = {}, {}
    for name, after in zip(names, [*names[1:], names[0]], strict=True):
        tests[prefix + name] = parts[name]
        rest = [e for other in names if other not in (name, after) for e in parts[other]]
        learn[prefix + name] = rest, parts[after]
    return tests, learn


def also_in_train(splits: Splits) -> dict[str, int]:
    """Of each test set, how many examples have the chains of one of its train examples, if any."""
    same = dict[str, int]()
    for name, examples in splits.tests.items():
        train, _ = splits.train_valid_by_test.get(name, (splits.train, splits.valid))
        rows = {example.chains for example in train}
        if count := sum(example.chains in rows for example in examples):
            same[name] = count
    return same


def overlap(splits: Splits) -> dict[str, Any]:
    """What of the test sets is in train, too: `also_in_train`, and the same of single chains.

    With several chains also how many have 0, 1, ... chains that occur in train: pairs of which both
    proteins, one or none was seen are the classes C1, C2 and C3 of Park and Marcotte 2012.
    """
    shared = dict[str, dict[str, int]]()
    for name, examples in splits.tests.items():
        train, _ = splits.train_valid_by_test.get(name, (splits.train, splits.valid))
        seen = {chain for example in train for chain in example.chains}
        counts = Counter(sum(chain in seen for chain in example.chains) for example in examples)
        shared[name] = {str(chains): counts[chains] for chains in sorted(counts)}
    notes: dict[str, Any] = {"also_in_train": also_in_train(splits)}
    several = any(len(example.chains) > 1 for part in splits.tests.values() for example in part)
    return notes | ({"chains_in_train": shared} if several else {})
