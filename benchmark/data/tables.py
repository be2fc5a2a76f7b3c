"""Read tables into examples: every row is checked, and every change is counted."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmark.core import (
    RESIDUES,
    Array,
    Chains,
    Example,
    Readout,
    Splits,
    UserError,
    known_answers,
)
from benchmark.data.digests import digest
from benchmark.data.resampling_units import joined, keys
from benchmark.data.sources import by_value, cells, read_tables
from benchmark.data.splits import (
    NEXT_FOLD,
    also_in_train,
    chains_in_train,
    cross_validate,
    hold_out,
)

if TYPE_CHECKING:
    import pyarrow as pa


AMBIGUOUS = "BJOUXZ"
"""IUPAC letters for a residue outside the 20; allowed, and counted."""
CHAIN_BREAK = "|"
VALID_SHARE = 0.1
LIMITED = {
    "truncated": "are longer than the task's max_length",
    "unknown_letters": "have letters outside the 20 residues",
    "unknown_labels": "have no known label",
}
"""Changes that a task limits by its `allow`, in words."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of sequences and labels, and how it becomes examples. The fields are a task's yaml.

    columns: names of the columns "sequence", "label", "group", "fold", "test" and "id". Several
        sequence columns hold the chains of a row. A table with a fold column has no splits: each
        fold is a test set, the next fold its valid, and the mean over folds is the score. A table
        for likelihoods has no labels and is tested whole; each value of a test column is a test
        set, and their plain mean comes first. The id column names the rows in the table of
        predictions; without one the column `id` is used if it exists.
    unit: the resampling unit: its "name" in words, and "chain" and "substitutions", the arguments
        of `benchmark.data.resampling_units.keys`; a column "group" takes precedence.
    chains: several chains of a row are embedded "apart" or "joined" (`benchmark.core.Readout`).
    max_length: longer chains are truncated to their first `max_length` residues.
    allow: largest share of a split's rows that may be "truncated", have "unknown_letters", or have
        "unknown_labels"; if there are more, the run fails.
    sizes: examples per split as published.
    mirror: folder that replaces the hub.
    """

    source: str
    revision: str | None
    columns: Mapping[str, Any]
    unit: Mapping[str, Any]
    chains: Literal["apart", "joined"]
    max_length: int | None
    allow: Mapping[str, float]
    sizes: Mapping[str, int]
    mirror: str | None

    def read(self, parse: Callable[[Any, Chains], Array], readout: Readout) -> Splits:
        """Read every split; `parse` makes a label from a cell, its ValueError says what is wrong.

        Without a validation split 10 % of the train groups are held out, always the same ones.
        """
        self._check()
        fold, has_training = self.columns.get("fold"), readout.kind != "likelihood"
        whole = fold is not None or not has_training
        tables, report = read_tables(self.source, self.mirror, self.revision, whole)
        if not has_training:
            tables = self._tests(*tables.values())
        splits, changes = {}, {}
        for name, table in tables.items():
            splits[name], changes[name] = self._examples(name, table, parse, readout)
        counts = {len(example.chains) for examples in splits.values() for example in examples}
        if len(counts) > 1:
            raise UserError(
                f"{self.source} has rows of {min(counts)} and of {max(counts)} chains; "
                "every row needs the same number"
            )
        sizes = {name: len(examples) for name, examples in splits.items()}
        found = {name: sizes.get(name, 0) for name in self.sizes}
        if found != self.sizes and self.source.startswith("package:"):
            raise UserError(
                f"{self.source} has {found} examples instead of {dict(self.sizes)}; "
                "install the package again"
            )
        valid_from, aggregates = "", dict[str, dict[str, float]]()
        if not has_training:
            made = Splits([], [], splits)
            if len(splits) > 1:
                aggregates = {"mean": dict.fromkeys(splits, 1 / len(splits))}
        elif fold is not None:
            ((name, table),) = tables.items()
            tests, learned_from = cross_validate(splits[name], table[fold].to_pylist())
            made = Splits([], [], tests, train_valid_by_test=learned_from)
            valid_from, aggregates = NEXT_FOLD, {"mean": dict.fromkeys(tests, 1 / len(tests))}
        else:
            train, valid = splits.pop("train"), splits.pop("valid", None)
            if valid is None:
                train, valid = hold_out(train, VALID_SHARE)
                valid_from = f"{VALID_SHARE:.0%} of the train groups; the source has no valid"
                if not self.columns.get("group"):
                    valid_from += " and no groups, so homologs may be in both train and valid"
            made = Splits(train, valid, splits)
        report = replace(
            report,
            unit=self.unit["name"],
            sizes=sizes | {name: len(examples) for name, examples in made.tests.items()},
            published_sizes=dict(self.sizes) if found != self.sizes else {},
            changes=changes,
            valid=valid_from,
            also_in_train=also_in_train(made),
            chains_in_train=chains_in_train(made),
        )
        return made._replace(report=report, aggregates=aggregates)

    def _check(self) -> None:
        for name in ("columns", "unit", "allow", "sizes"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise UserError(f"task.{name}={value} is not allowed; give names with their values")
        longest = self.max_length
        if longest is not None and (type(longest) is not int or longest < 1):
            raise UserError(f"task.max_length={longest} is not allowed; give 1 or more, or null")
        for name, share in self.allow.items():
            if name not in LIMITED or type(share) not in (int, float) or not 0 <= share <= 1:
                raise UserError(
                    f"task.allow.{name}={share} is not allowed; give a share from 0 to 1 of any of "
                    f"{', '.join(LIMITED)}"
                )

    def _tests(self, table: "pa.Table") -> dict[str, "pa.Table"]:
        column = self.columns.get("test")
        if column is None:
            return {"test": table}
        if column not in table.column_names or table[column].null_count:
            raise UserError(
                f"{self.source} has no column {column!r} or a row without a value in it; it "
                f"names the test set of each row; the columns are {', '.join(table.column_names)}"
            )
        return by_value(table, column)

    def _examples(
        self, split: str, table: "pa.Table", parse: Callable[[Any, Chains], Array], readout: Readout
    ) -> tuple[list[Example], dict[str, int]]:
        roles = ("sequence", "label", "group", "fold", "id")
        sequence, label, group_column, fold, id_column = map(self.columns.get, roles)
        chain_columns = [sequence] if isinstance(sequence, str) else list(sequence or ())
        if not chain_columns or not (label or readout.kind == "likelihood"):
            raise UserError("columns.sequence and columns.label have to name columns")
        names = [*chain_columns, *filter(None, (label, group_column, fold, id_column))]
        if missing := [name for name in names if name not in table.column_names]:
            raise UserError(
                f"{self.source}, split {split}, has no column {missing[0]!r}; it has "
                f"{', '.join(table.column_names)}; name the right one in the task's yaml"
            )
        sequences = zip(*(table[column].to_pylist() for column in chain_columns), strict=True)
        labels = cells(table[label]) if label else [None] * table.num_rows
        seen = Counter[Chains]()
        changes = Counter(rows=table.num_rows, truncated=0, residues_cut=0)
        rows: list[Chains] = []
        answers: list[Array] = []
        for row, (parts, cell) in enumerate(zip(sequences, labels, strict=True)):
            where = f"row {row} of split {split} of {self.source}"
            whole = tuple(chain for part in parts for chain in read_chains(part, where))
            try:
                answer = parse(cell, whole)
            except (ValueError, TypeError) as error:
                raise UserError(f"{where}: {error}") from None
            chains = tuple(chain[: self.max_length] for chain in whole)
            if chains != whole:
                changes["truncated"] += 1
                changes["residues_cut"] += sum(map(len, whole)) - sum(map(len, chains))
                answer = cut_label(answer, readout.level, len(chains[0]))
            changes["unknown_letters"] += any(set(chain) - set(RESIDUES) for chain in chains)
            known = known_answers(answer, readout)
            changes["unknown_labels"] += bool(known.size and not known.any())
            if readout.kind != "likelihood":  # there, a position without an answer is not scored
                changes["unknown_answers"] += int(np.sum(~known))
            rows.append(chains)
            answers.append(answer)
        if not rows:
            raise UserError(f"split {split} of {self.source} is empty; it needs at least one row")
        for kind, words in LIMITED.items():
            count, share = changes[kind], self.allow.get(kind, 0.0)
            if count > share * len(rows):
                raise UserError(
                    f"{count} of {len(rows)} rows of split {split} of {self.source} {words}, "
                    f"more than the task allows ({share:.0%}); fix the data or raise "
                    f"task.allow.{kind}"
                )
        groups = [digest(key) for key in keys(rows, self.unit["chain"], self.unit["substitutions"])]
        if group_column:
            given = table[group_column].to_pylist()
            both = zip(given, groups, strict=True)
            groups = joined(rows, [own if g is None or g != g else str(g) for g, own in both])
        examples, own = [], [None] * len(rows)
        if (id_column := id_column or "id") in table.column_names:
            own = table[id_column].to_pylist()
        for chains, answer, group, name in zip(rows, answers, groups, own, strict=True):
            row_id = f"{digest(*chains)}-{seen[chains]}"
            name = "" if name is None else str(name)
            examples.append(Example(chains, answer, row_id, group, name))
            seen[chains] += 1
        return examples, dict(+changes)


def read_chains(sequence: object, where: str) -> Chains:
    """Split a cell into its chains and check every letter; `where` names the row in errors."""
    if not isinstance(sequence, str) or not sequence.strip():
        raise UserError(f"{where} has no sequence; every row needs one, in one-letter code")
    letters = sequence.strip()
    chains = tuple((letters.upper() if letters.isascii() else letters).split(CHAIN_BREAK))
    for chain in chains:
        if not chain:
            raise UserError(f"{where} has an empty chain; remove the extra {CHAIN_BREAK!r}")
        if wrong := set(chain) - set(RESIDUES) - set(AMBIGUOUS):
            raise UserError(
                f"{where} has the letter {min(wrong)!r}; allowed are {RESIDUES}, the ambiguous "
                f"{AMBIGUOUS}, and {CHAIN_BREAK!r} between chains"
            )
    return chains


def cut_label(label: Array, level: str, length: int) -> Array:
    """Truncate a label like its chain, to `length` residues."""
    if level == "pair":
        return label[(label < length).all(axis=1)]
    return label[:length] if level == "residue" else label
