"""Variant effects: deep mutational scanning assays in the format of ProteinGym.

Notin et al. 2023. An assay may have ProteinGym's fold columns. Where it has none, the folds are
made here as in ProteinNPT's `cv_split.py` (Notin et al. 2023), by mutated position:
`modulo` deals the positions out in turn, `contiguous` cuts them into runs.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from benchmark.core import RESIDUES, DataReport, Example, Readout, Splits, Task, UserError
from benchmark.data.digests import digest
from benchmark.data.roles import require
from benchmark.data.sources import read_files
from benchmark.data.splits import NEXT_FOLD, also_in_train, cross_validate
from tasks.assay import COLUMNS, Assay, Variant, read_assay

FOLDS = 5
PLAIN_MEAN = (
    "the plain mean over assays; ProteinGym's own average needs its table of assays, "
    "task.reference=DMS_substitutions.csv"
)


class AssaySplits(NamedTuple):
    """Test sets of an assay, and how they were made."""

    tests: dict[str, list[Example]]
    changes: dict[str, int]
    learned_from: Mapping[str, tuple[list[Example], list[Example]]] = MappingProxyType({})
    """Test set -> its train and valid."""
    folds_made_here: bool = False


@dataclass(frozen=True, kw_only=True)
class VariantEffect(Task):
    """The measured effect of each variant; each assay of a folder is scored separately.

    The resampling unit is the variant: intervals are conditional on the proteins.

    The settings are in tasks/README.md. With contiguous and modulo folds, variants of several
    substitutions have no fold.
    """

    VERSION = 1
    source: str
    reference: str | None
    folds: Literal["random", "contiguous", "modulo"] | None
    max_length: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds is not None and self.folds not in COLUMNS:
            raise UserError(
                f"folds={self.folds} is not known; allowed are {', '.join(COLUMNS)}, and null"
            )
        longest = self.max_length
        if longest is not None and (type(longest) is not int or longest < 1):
            raise UserError(f"task.max_length={longest} is not allowed; give 1 or more, or null")

    @property
    def readout(self) -> Readout:
        """One number per variant; the wild type is the second chain."""
        return Readout("variant", "regression")

    def load(self) -> Splits:
        """Read every assay of the folder."""
        reading = read_files(self.folder(), f"the source {self.source}")
        assays = {name: read_assay(name, part, self.folds) for name, part in reading.parts.items()}
        weights = self.averages({name: assay.wild_type for name, assay in assays.items()})
        parts = {name: self.split(name, assay) for name, assay in assays.items()}
        aggregates = {
            mean: {
                test: weight / len(parts[name].tests)
                for name, weight in shares.items()
                for test in parts[name].tests
            }
            for mean, shares in weights.items()
        }
        if self.folds is not None:
            if both := set(aggregates) & set(parts):
                raise UserError(
                    f"an assay is named {min(both)!r}, like an aggregate score; rename its table"
                )
            aggregates |= {
                name: dict.fromkeys(part.tests, 1 / len(part.tests)) for name, part in parts.items()
            }
        tests = {test: found for part in parts.values() for test, found in part.tests.items()}
        pairs = [pair for part in parts.values() for pair in part.learned_from.items()]
        made = Splits([], [], tests, DataReport(), dict(pairs), aggregates)
        report = DataReport(
            source=self.source,
            unit="variant",
            sizes={name: len(assay.variants) for name, assay in assays.items()},
            changes={name: part.changes for name, part in parts.items()},
            left_out=reading.left_out,
            unread_columns=list(
                dict.fromkeys(c for assay in assays.values() for c in assay.unread_columns)
            ),
            unread_files=reading.unread_files,
            valid="" if self.folds is None else NEXT_FOLD,
            aggregate=PLAIN_MEAN if self.reference is None else "",
            also_in_train=also_in_train(made),
            folds_made_here=[name for name, part in parts.items() if part.folds_made_here],
        )
        return made._replace(report=report)

    def split(self, name: str, assay: Assay) -> AssaySplits:
        """Make the test sets of an assay: its folds, or the whole assay without training."""
        examples, changes = self.examples(name, assay)
        if self.folds is None:
            return AssaySplits({name: examples}, changes)
        folds, made_here = assign(assay.variants, self.folds)
        use = [row for row, fold in enumerate(folds) if fold is not None]
        tests, learned_from = cross_validate(
            [examples[row] for row in use], [folds[row] for row in use], f"{name} "
        )
        if len(use) < len(folds):
            changes["without_a_fold"] = len(folds) - len(use)
        return AssaySplits(tests, changes, learned_from, made_here)

    def folder(self) -> Path:
        """The folder of the assays."""
        kind, _, place = str(self.source).partition(":")
        folder = Path(place).expanduser()
        if kind != "file" or not folder.exists():
            raise UserError(
                f"source {self.source!r} is not a folder of assays; unpack ProteinGym's "
                "(proteingym.org: DMS_ProteinGym_substitutions), or put tables with mutant, "
                "mutated_sequence and DMS_score into one, and give task.source=file:DIR"
            )
        return folder

    def examples(self, name: str, assay: Assay) -> tuple[list[Example], dict[str, int]]:
        """Each variant with its wild type, both cut to the same window."""
        rows = len(assay.variants) + sum(assay.changes.values())
        changes, seen, examples = Counter(rows=rows, **assay.changes), Counter[str](), []
        for variant in assay.variants:
            part = window(variant.places, len(assay.wild_type), self.max_length, name)
            chains = variant.sequence[part], assay.wild_type[part]
            cut = len(assay.wild_type) - len(chains[0])
            changes["truncated"] += cut > 0
            changes["residues_cut"] += cut
            changes["unknown_letters"] += bool(set(chains[0]) - set(RESIDUES))
            changes["unknown_labels"] += bool(np.isnan(variant.score))
            unit, label = digest(variant.sequence), np.asarray(variant.score)
            row = f"{digest(name, variant.sequence, assay.wild_type)}-{seen[unit]}"
            examples.append(Example(chains, label, row, unit, variant.mutant))
            seen[unit] += 1
        return examples, dict(+changes)

    def averages(self, wild_types: Mapping[str, str]) -> dict[str, dict[str, float]]:
        """Weights of the assays in the plain mean and in ProteinGym's own average."""
        means = {"mean": dict.fromkeys(wild_types, 1 / len(wild_types))}
        if self.reference is None:
            return means
        place = Path(self.reference).expanduser()
        reading = read_files(place, f"the reference {self.reference}")
        part = next(iter(reading.parts.values()))
        require(("DMS_id", "UniProt_ID", "coarse_selection_type", "target_seq"), part)
        rows = {row["DMS_id"]: row for row in part.table.to_pylist()}
        function = defaultdict[str, dict[str, list[str]]](dict)
        for name, wild_type in wild_types.items():
            if name not in rows:
                raise UserError(f"assay {name} is not in the reference {self.reference}")
            row = rows[name]
            if row["target_seq"] != wild_type:
                raise UserError(
                    f"the variants of {name} do not derive from its target_seq in {self.reference}"
                )
            proteins = function[row["coarse_selection_type"]]
            proteins.setdefault(row["UniProt_ID"], []).append(name)
        means["proteingym"] = {
            name: 1 / len(function) / len(proteins) / len(names)
            for proteins in function.values()
            for names in proteins.values()
            for name in names
        }
        return means


def assign(variants: Sequence[Variant], scheme: str) -> tuple[list[str | None], bool]:
    """The fold of each variant, None without one, and whether the folds were made here."""
    if any(variant.fold is not None for variant in variants):
        return [variant.fold for variant in variants], False
    if scheme == "random":
        distinct = {variant.sequence for variant in variants}  # equal variants share a fold
        order = sorted(distinct, key=lambda sequence: digest("fold", sequence))
        dealt = {sequence: str(rank % FOLDS) for rank, sequence in enumerate(order)}
        return [dealt[variant.sequence] for variant in variants], True
    single = [variant.places[0] if len(variant.places) == 1 else None for variant in variants]
    places = sorted({place for place in single if place is not None})
    count = max(1, min(FOLDS, len(places)))
    if scheme == "modulo":
        runs = [places[fold::count] for fold in range(count)]
    else:
        runs = [run.tolist() for run in np.array_split(places, count)]
    fold = {place: str(number) for number, run in enumerate(runs) for place in run}
    return [None if place is None else fold[place] for place in single], True


def window(places: Sequence[int], length: int, max_length: int | None, name: str) -> slice:
    """The residues that the model reads: all, or `max_length` around the mutated ones."""
    if max_length is None or length <= max_length:
        return slice(0, length)
    first, last = min(places), max(places)
    if last - first >= max_length:
        raise UserError(
            f"a variant of {name} is mutated at {first + 1} and at {last + 1}, further apart than "
            f"task.max_length={max_length}; raise it"
        )
    start = min(max(0, (first + last + 1 - max_length) // 2), length - max_length)
    return slice(start, start + max_length)
