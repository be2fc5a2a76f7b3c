"""Read tables into examples: every row is checked, and every change is counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import (
    RESIDUES,
    Array,
    Chains,
    DataReport,
    Example,
    Readout,
    Splits,
    UserError,
    known_answers,
    unknown,
)
from benchmark.data import roles
from benchmark.data.cell_values import (
    STOP,
    class_words,
    cut_label,
    is_missing,
    known_of_pairs,
    mask_label,
    mask_states,
    read_chains,
    read_mask,
)
from benchmark.data.digests import digest
from benchmark.data.formats import cells
from benchmark.data.resampling_units import joined, keys
from benchmark.data.sources import Part, Reading, name_splits, read_source
from benchmark.data.splits import (
    NEXT_FOLD,
    also_in_train,
    chains_in_train,
    cross_validate,
    hold_out,
)

VALID_SHARE = 0.1
UNIT = ("name", "chain", "substitutions")
LIMITED = {
    "truncated": "are longer than the task's max_length",
    "unknown_letters": "have letters outside the 20 residues",
    "unknown_labels": "have no known label",
}
"""Changes that a task limits by its `allow`, in words."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of sequences and labels, and how it becomes examples. The fields are a task's yaml.

    columns: the column of each role (`benchmark.data.roles`). Several "sequence" columns hold the
        chains of a row, "partner" its second chain; several "label" columns are labels of
        kind=multilabel. "split" names the split of a row (default: `split` or `set`), "validation"
        flags rows of train that are valid (default: `validation`), "mask" says which residues have
        an answer (default: `mask`). A table with a "fold" column has no splits: each fold is a test
        set, the next fold its valid, and the mean over folds is the score. A table for likelihoods
        has no labels and is tested whole; each value of a "test" column is a test set, and their
        plain mean comes first. "id" names the rows in the table of predictions (default: `id`).
    unit: the resampling unit: its "name" in words, and "chain" and "substitutions", the arguments
        of `benchmark.data.resampling_units.keys`; a column "group" takes precedence.
    chains: several chains of a row are embedded "apart" or "joined" (`benchmark.core.Readout`).
    max_length: longer chains are truncated to their first `max_length` residues.
    allow: largest share of a split's rows that may be "truncated", have "unknown_letters", or have
        "unknown_labels"; if there are more, the run fails.
    sizes: examples per split as published.
    missing: more text that means an unknown label, in a cell or of a residue.
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
    missing: Sequence[str]
    mirror: str | None

    def changed(self, cell: Any) -> Mapping[str, int]:
        """Kind of change -> how often `parse` makes it in a cell, for the report."""
        return {}

    def read(self, parse: Callable[[Any, Chains], Array], readout: Readout) -> Splits:
        """Read every split; `parse` makes a label from a cell, its ValueError says what is wrong.

        Without a validation split 10 % of the train groups are held out, always the same ones.
        """
        self._check(readout)
        fold, has_training = self.columns.get("fold"), readout.kind != "likelihood"
        reading = read_source(self.source, self.mirror, self.revision)
        parts, dividing, left_out = self._divide(reading, has_training)
        labels = {name: self._labels(part) for name, part in parts.items()}
        classes = dict[str, int]()
        if readout.kind == "classification" and readout.level == "protein":
            learned = "train" if "train" in labels else next(iter(labels))
            classes = class_words(labels, learned, readout.size)
        splits, changes, unread = {}, {}, list[str]()
        for name, part in parts.items():
            used, given = self._used(part, readout), labels[name]
            if classes:
                given = [classes.get(str(cell).strip(), cell) for cell in given]
            splits[name], changes[name] = self._examples(name, part, used, given, parse, readout)
            read = {*used.values(), *self._chain_columns(used), *self._label_columns(), *dividing}
            unread += [n for n in part.table.column_names if n not in (*read, *unread)]
        counts = {len(example.chains) for examples in splits.values() for example in examples}
        if len(counts) > 1:
            raise UserError(
                f"{self.source} has rows of {min(counts)} and of {max(counts)} chains; "
                "every row needs the same number"
            )
        sizes = {name: len(examples) for name, examples in splits.items()}
        found = {name: sizes.get(name, 0) for name in self.sizes}
        if wrong := [name for name in found if name not in ("train", "valid", "test", *sizes)]:
            raise unknown("key of task.sizes", wrong[0], list(sizes))
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
            ((name, part),) = parts.items()
            folds = part.table[fold].to_pylist()
            for row in (row for row, value in enumerate(folds) if is_missing(value)):
                raise UserError(f"{part.where(row)} has no fold; every row needs one")
            tests, learned_from = cross_validate(splits[name], folds)
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
        report = DataReport(
            source=self.source,
            revision=reading.revision,
            mirror=self.source.startswith("hub:") and bool(self.mirror),
            unit=self.unit["name"],
            sizes=sizes | {name: len(examples) for name, examples in made.tests.items()},
            published_sizes=dict(self.sizes) if found != self.sizes else {},
            changes=changes,
            valid=valid_from,
            classes=list(classes),
            unread_columns=[name or roles.UNNAMED for name in unread],
            unread_files=list(reading.unread_files),
            left_out={**reading.left_out, **left_out},
            also_in_train=also_in_train(made),
            chains_in_train=chains_in_train(made),
        )
        return made._replace(report=report, aggregates=aggregates)

    def _check(self, readout: Readout) -> None:
        for name in ("columns", "unit", "allow", "sizes"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise UserError(f"task.{name}={value} is not allowed; give names with their values")
        if not isinstance(self.source, str):
            raise UserError(f"task.source={self.source} is not allowed; give file:PATH or hub:NAME")
        if isinstance(self.missing, str) or not all(isinstance(text, str) for text in self.missing):
            raise UserError(f"task.missing={self.missing} is not allowed; give a list of words")
        longest = self.max_length
        if longest is not None and (type(longest) is not int or longest < 1):
            raise UserError(f"task.max_length={longest} is not allowed; give 1 or more, or null")
        roles.check_columns(self.columns)
        label = self.columns.get("label")
        if not self.columns.get("sequence") or not (label or readout.kind == "likelihood"):
            raise UserError("columns.sequence and columns.label have to name columns")
        if isinstance(label, list | tuple) and readout.kind != "multilabel":
            raise UserError(
                f"task.columns.label names {len(label)} columns, which kind=multilabel reads as "
                f"one label each; kind={readout.kind} reads a single column"
            )
        for name in self.unit:
            if name not in UNIT:
                raise unknown("key of task.unit", str(name), UNIT)
        for name, share in self.allow.items():
            if name not in LIMITED:
                raise unknown("key of task.allow", str(name), list(LIMITED))
            if type(share) not in (int, float) or not 0 <= share <= 1:
                raise UserError(
                    f"task.allow.{name}={share} is not allowed; give a share from 0 to 1"
                )
        for name, size in self.sizes.items():
            if type(size) is not int or size < 0:
                raise UserError(f"task.sizes.{name}={size} is not a number of examples")

    def _divide(
        self, reading: Reading, has_training: bool
    ) -> tuple[dict[str, Part], list[str], Mapping[str, int]]:
        """The table of each split, train first; columns that divide the source; rows left out."""
        parts, column = reading.parts, self.columns.get("test")
        first = next(iter(parts.values()))
        if self.columns.get("fold") or not has_training:
            if len(parts) > 1:
                raise UserError(
                    f"{self.source} has the tables {', '.join(parts)}; a task with folds or "
                    "without training reads a single table"
                )
            if has_training or column is None:
                return parts if has_training else {"test": first}, [], {}
            roles.require([column], first)
            values = first.table[column].to_pylist()
            for row in (row for row, value in enumerate(values) if is_missing(value)):
                raise UserError(f"{first.where(row)} has no {column!r}, which names its test set")
            return first.by_value(list(map(str, values))), [column], {}
        split = self.columns.get("split")
        if reading.divided and (len(parts) > 1 or not roles.find("split", self.columns, first)):
            if split:
                raise UserError(
                    f"{self.source} has a table for each split, so task.columns.split={split} has "
                    "no use; remove it"
                )
            parts, left_out = roles.divide_train(parts, self.columns), Counter[str]()
        else:
            parts, left_out = roles.divide(first, self.columns)
        divided = [roles.find(role, self.columns, first) for role in ("split", "validation")]
        return name_splits(parts, self.source), list(filter(None, divided)), left_out

    def _label_columns(self) -> list[str]:
        label = self.columns.get("label")
        return list(label) if isinstance(label, list | tuple) else [label] if label else []

    def _chain_columns(self, used: Mapping[str, str]) -> list[str]:
        sequence = self.columns["sequence"]
        first = [sequence] if isinstance(sequence, str) else list(sequence)
        return [*first, *filter(None, [used.get("partner")])]

    def _used(self, part: Part, readout: Readout) -> dict[str, str]:
        """The column of each role that this task reads, beside sequences, labels and splits."""
        wanted = ["group", "fold", "id"]
        wanted += ["partner"] if readout.level == "protein" else []
        wanted += ["mask"] if readout.level in ("residue", "pair") and self._label_columns() else []
        found = {role: roles.find(role, self.columns, part) for role in wanted}
        if self.columns.get("mask") and "mask" not in found:
            raise UserError(
                f"task.columns.mask is for answers per residue, not per {readout.level}"
            )
        return {role: column for role, column in found.items() if column}

    def _labels(self, part: Part) -> list[Any]:
        """The cells of the label; of several columns a list for each row."""
        names = self._label_columns()
        roles.require(names, part)
        if len(names) > 1 or names != [self.columns.get("label")]:
            columns = [cells(part.table[name]) for name in names]
            return list(map(list, zip(*columns, strict=True))) or [None] * part.table.num_rows
        found = cells(part.table[names[0]]) if names else [None] * part.table.num_rows
        return [None if isinstance(c, str) and c in self.missing else c for c in found]

    def _examples(
        self,
        split: str,
        part: Part,
        used: Mapping[str, str],
        labels: Sequence[Any],
        parse: Callable[[Any, Chains], Array],
        readout: Readout,
    ) -> tuple[list[Example], dict[str, int]]:
        table = part.table
        roles.require(chain_columns := self._chain_columns(used), part)
        sequences = zip(*(table[column].to_pylist() for column in chain_columns), strict=True)
        nothing = [None] * table.num_rows
        own = table[used["id"]].to_pylist() if "id" in used else nothing
        masks = cells(table[used["mask"]]) if "mask" in used else nothing
        names = ["" if name is None or name != name else str(name) for name in own]
        changes = Counter(rows=table.num_rows, truncated=0, residues_cut=0)
        rows: list[Chains] = []
        answers: list[Array] = []
        for row, (sequence, cell, mask) in enumerate(zip(sequences, labels, masks, strict=True)):
            try:
                whole = tuple(chain for text in sequence for chain in read_chains(text))
                resolved = None if mask is None else read_mask(mask, len(whole[0]))
                answer = parse(mask_states(cell, resolved), whole)
                answer = mask_label(answer, resolved, readout)
            except (ValueError, TypeError) as error:
                known_as = f" ({names[row]})" if names[row] else ""
                raise UserError(f"{part.where(row)}{known_as}: {error}") from None
            changes.update(self.changed(cell))
            changes["stop_codons"] += sum(STOP in text for text in sequence)
            chains = tuple(chain[: self.max_length] for chain in whole)
            if chains != whole:
                changes["truncated"] += 1
                changes["residues_cut"] += sum(map(len, whole)) - sum(map(len, chains))
                answer = cut_label(answer, readout.level, len(chains[0]))
            changes["unknown_letters"] += any(set(chain) - set(RESIDUES) for chain in chains)
            known = known_answers(answer, readout)
            if readout.level == "pair":
                known = known_of_pairs(answer, len(chains[0]), readout)
                changes["unresolved_residues"] += int(np.sum(answer[:, 0] == answer[:, 1]))
            changes["unknown_labels"] += bool(known.size and not known.any())
            if readout.kind != "likelihood":  # there, a position without an answer is not scored
                changes["unknown_answers"] += int(np.sum(~known))
            rows.append(chains)
            answers.append(answer)
        for kind, words in LIMITED.items():
            count, share = changes[kind], self.allow.get(kind, 0.0)
            if count > share * len(rows):
                raise UserError(
                    f"{count} of {len(rows)} rows of split {split} of {self.source} {words}, "
                    f"more than the task allows ({share:.0%}); fix the data or raise "
                    f"task.allow.{kind}"
                )
        groups = [digest(key) for key in keys(rows, self.unit["chain"], self.unit["substitutions"])]
        if "group" in used:
            both = zip(table[used["group"]].to_pylist(), groups, strict=True)
            groups = joined(rows, [own if is_missing(g) else str(g) for g, own in both])
        examples, seen = list[Example](), Counter[Chains]()
        for chains, answer, group, name in zip(rows, answers, groups, names, strict=True):
            row_id = f"{digest(*chains)}-{seen[chains]}"
            examples.append(Example(chains, answer, row_id, group, name))
            seen[chains] += 1
        return examples, dict(+changes)
