"""Splits made here, and the overlap of test sets with train."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from benchmark.core import Example, Splits, UserError
from benchmark.data.digests import digest

NEXT_FOLD = "for each fold, the next fold"
"""`DataReport.valid` of a cross-validated task."""


def hold_out(train: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Split train into train and valid by whole groups; deterministic, in any order of the rows.

    share: approximate share of the rows that become valid.
    """
    rows = Counter(example.group for example in train)
    chosen: set[str] = set()
    wanted = share * len(train)
    for group in sorted(rows, key=lambda name: digest("valid", name)):
        if wanted < rows[group] / 2:
            continue  # the group is too large for what is left to choose
        chosen.add(group)
        wanted -= rows[group]
    if not chosen or len(chosen) == len(rows):
        raise UserError(
            f"train has {len(rows)} groups, too few to hold out a validation set; "
            "give the source a split named valid"
        )
    kept = [example for example in train if example.group not in chosen]
    return kept, [example for example in train if example.group in chosen]


def cross_validate(
    examples: Sequence[Example], folds: Sequence[object], prefix: str = ""
) -> tuple[dict[str, list[Example]], dict[str, tuple[list[Example], list[Example]]]]:
    """Make each fold a test set, the next fold its valid and the other folds its train.

    Returns the test sets, and the (train, valid) of each, both by `prefix` + fold.
    """
    parts = defaultdict(list)
    for example, fold in zip(examples, folds, strict=True):
        parts[str(fold)].append(example)
    names = sorted(parts, key=lambda name: (len(name), name))
    if len(names) < 3:
        raise UserError(
            f"{prefix.strip() or 'the table'} has {len(names)} folds ({', '.join(names)}); "
            "cross-validation needs three or more"
        )
    tests, learned_from = {}, {}
    for name, after in zip(names, [*names[1:], names[0]], strict=True):
        tests[prefix + name] = parts[name]
        rest = [e for other in names if other not in (name, after) for e in parts[other]]
        learned_from[prefix + name] = rest, parts[after]
    return tests, learned_from


def count_shared(examples: Sequence[Example], others: Sequence[Example]) -> int:
    """Count the examples whose chains equal those of one of the others."""
    seen = {example.chains for example in others}
    return sum(example.chains in seen for example in examples)


def also_in_train(splits: Splits) -> dict[str, int]:
    """Count, by test set, the examples whose chains equal those of a train example; no zeros."""
    counts = {
        name: count_shared(examples, splits.learned_from(name)[0])
        for name, examples in splits.tests.items()
    }
    return {name: count for name, count in counts.items() if count}


def chains_in_train(splits: Splits) -> dict[str, dict[str, int]]:
    """Count, by test set, the examples with 0, 1, ... chains that occur in train.

    For protein pairs these are the classes C3, C2 and C1 of Park and Marcotte 2012
    (doi:10.1038/nmeth.2259). Empty if every example has one chain.
    """
    if all(len(example.chains) == 1 for test in splits.tests.values() for example in test):
        return {}
    found = {}
    for name, examples in splits.tests.items():
        seen = {chain for example in splits.learned_from(name)[0] for chain in example.chains}
        counts = Counter(sum(chain in seen for chain in example.chains) for example in examples)
        found[name] = {str(chains): counts[chains] for chains in sorted(counts)}
    return found
