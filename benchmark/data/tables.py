"""Tables become examples: every row checked, every change counted, every unit kept together."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmark.core import RESIDUES, Array, Chains, Example, Readout, Splits, UserError
from benchmark.data.digests import digest
from benchmark.data.resampling_units import joined, keys
from benchmark.data.sources import by_value, cells, read_tables
from benchmark.data.splits import cross_validate, hold_out, overlap

if TYPE_CHECKING:
    import pyarrow as pa


AMBIGUOUS = "BJOUXZ"
"""IUPAC letters that are a residue but not one of the 20; allowed, and counted."""
CHAIN_BREAK = "|"
VALID_SHARE = 0.1
LIMITED = {
    "truncated": "are longer than the task's max_length",
    "unknown_letters": "have letters outside the 20 residues",
    "unknown_labels": "have no known label",
}
"""Changes that a task limits by its `allow`."""


@dataclass
class Changes:
    """How many rows of a split are not as the source has them; the task limits each kind."""

    rows: int = 0
    truncated: int = 0
    residues_cut: int = 0
    unknown_letters: int = 0
    unknown_labels: int = 0
    unknown_answers: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of sequences and labels, and how it becomes examples. The fields are a task's yaml.

    columns: names of the columns "sequence", "label", "group", "fold" and "test". Several sequence
        columns are the chains of a row. A table with a fold column has no splits: each fold is a
        test set, the next one its valid, and the mean over folds is the score. A table of which
        nothing is learned has no labels and is tested whole, each value of a test column as a set
        of its own; their plain mean comes first.
    unit: what is resampled: its "name" in words, and as `benchmark.data.resampling_units.keys`
        has them, "chain" and "substitutions"; a column "group" goes first.
    chains: several chains of a row are embedded "apart" or "joined" (`benchmark.core.Readout`).
    max_length: longer chains are cut to their first `max_length` residues.
    allow: share of a split's rows that may be "truncated", hold "unknown_letters", or have
        "unknown_labels"; more of them, and the run fails.
    sizes: examples per split as published.
    mirror: folder that stands for the hub.
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
        """Read every split; `parse` makes a label of a cell, its ValueError says what is wrong.

        A source without a validation split gives 10 % of its train groups, always the same ones.
        """
        self._check()
        fold, learned = self.columns.get("fold"), readout.kind != "likelihood"
        whole = fold is not None or not learned
        tables, notes = read_tables(self.source, self.mirror, self.revision, whole)
        if not learned:
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
        notes["unit"] = self.unit["name"]
        notes["sizes"] = {name: len(examples) for name, examples in splits.items()}
        sizes = {name: len(splits.get(name, ())) for name in self.sizes}
        if sizes != self.sizes:
            notes["published_sizes"] = dict(self.sizes)
            if self.source.startswith("package:"):
                raise UserError(
                    f"{self.source} has {sizes} examples instead of {dict(self.sizes)}; "
                    "install the package again"
                )
        notes["changes"] = {
            name: {k: v for k, v in vars(change).items() if v} for name, change in changes.items()
        }
        if not learned:
            means = {"mean": dict.fromkeys(splits, 1 / len(splits))} if len(splits) > 1 else {}
            made = Splits([], [], splits, notes, aggregates=means)
        elif fold is not None:
            ((name, table),) = tables.items()
            tests, learn = cross_validate(splits[name], table[fold].to_pylist())
            notes["valid"] = "of each fold the next one"
            means = {"mean": dict.fromkeys(tests, 1 / len(tests))}
            made = Splits([], [], tests, notes, learn, means)
        else:
            train, valid = splits.pop("train"), splits.pop("valid", None)
            if valid is None:
                train, valid = hold_out(train, VALID_SHARE)
                notes["valid"] = f"{VALID_SHARE:.0%} of the train groups; the source has no valid"
                if not self.columns.get("group"):
                    notes["valid"] += ", and no groups: relatives may be on both sides"
            made = Splits(train, valid, splits, notes)
        notes["sizes"] |= {name: len(examples) for name, examples in made.tests.items()}
        return made._replace(notes=notes | overlap(made))

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
                f"{self.source} has no column {column!r}, or a row without it: it names each row's "
                f"test set; the columns are {', '.join(table.column_names)}"
            )
        return by_value(table, column)

    def _examples(
        self,
        split: str,
        table: "pa.Table",
        parse: Callable[[Any, Chains], Array],
        readout: Readout,
    ) -> tuple[list[Example], Changes]:
        roles = ("sequence", "label", "group", "fold")
        sequence, label, group_column, fold = map(self.columns.get, roles)
        chain_columns = [sequence] if isinstance(sequence, str) else list(sequence or ())
        if not chain_columns or not (label or readout.kind == "likelihood"):
            raise UserError("columns.sequence and columns.label have to name columns")
        names = [*chain_columns, *filter(None, (label, group_column, fold))]
        if missing := [name for name in names if name not in table.column_names]:
            raise UserError(
                f"{self.source}, split {split}, has no column {missing[0]!r}; it has "
                f"{', '.join(table.column_names)}; name the right one in the task's yaml"
            )
        sequences = zip(*(table[column].to_pylist() for column in chain_columns), strict=True)
        labels = cells(table[label]) if label else [None] * table.num_rows
        changes, seen = Changes(rows=table.num_rows), Counter[Chains]()
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
                changes.truncated += 1
                changes.residues_cut += sum(map(len, whole)) - sum(map(len, chains))
                answer = cut_label(answer, readout.level, len(chains[0]))
            changes.unknown_letters += any(set(chain) - set(RESIDUES) for chain in chains)
            real = readout.kind in ("regression", "likelihood")
            unknown = np.isnan(answer) if real else answer == -1
            changes.unknown_labels += bool(np.size(unknown) and np.all(unknown))
            if readout.kind != "likelihood":  # there what is not asked is no gap in the data
                changes.unknown_answers += int(np.sum(unknown))
            rows.append(chains)
            answers.append(answer)
        if not rows:
            raise UserError(f"split {split} of {self.source} is empty; it needs at least one row")
        for kind, told in LIMITED.items():
            count, share = getattr(changes, kind), self.allow.get(kind, 0.0)
            if count > share * changes.rows:
                raise UserError(
                    f"{count} of {changes.rows} rows of split {split} of {self.source} {told}, "
                    f"more than the task allows ({share:.0%}); mend the data or raise "
                    f"task.allow.{kind}"
                )
        groups = [digest(key) for key in keys(rows, self.unit["chain"], self.unit["substitutions"])]
        if group_column:
            given = table[group_column].to_pylist()
            both = zip(given, groups, strict=True)
            groups = joined(rows, [own if g is None or g != g else str(g) for g, own in both])
        examples = []
        for chains, answer, group in zip(rows, answers, groups, strict=True):
            examples.append(Example(chains, answer, f"{digest(*chains)}-{seen[chains]}", group))
            seen[chains] += 1
        return examples, changes


def read_chains(sequence: object, where: str) -> Chains:
    """Split a cell into its chains and check every letter."""
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
    """Cut a label as its chain was cut to `length` residues."""
    if level == "pair":
        return label[(label < length).all(axis=1)]
    return label[:length] if level == "residue" else label
