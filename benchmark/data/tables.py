"""Read tables into examples: every row is checked, and every change is counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
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

    columns: the column of each role (`benchmark.data.roles`, tasks/README.md).
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
        has_training = readout.kind != "likelihood"
        reading = read_source(self.source, self.mirror, self.revision)
        parts, dividing, left_out = self._divide(reading, has_training)
        used = {name: roles.used(self.columns, part, readout) for name, part in parts.items()}
        labels = {name: self._labels(part, used[name]["label"]) for name, part in parts.items()}
        classes = dict[str, int]()
        if readout.kind == "classification" and readout.level == "protein":
            learned = "train" if "train" in labels else next(iter(labels))
            classes = class_words(labels, learned, readout.size)
        splits, changes, unread = {}, {}, list[str]()
        for name, part in parts.items():
            given = (
                [classes.get(str(c).strip(), c) for c in labels[name]] if classes else labels[name]
            )
            made_here = self._examples(name, part, used[name], given, parse, readout)
            splits[name], changes[name] = made_here
            read = {*chain(*used[name].values()), *dividing}
            unread += [n for n in part.table.column_names if n not in (*read, *unread)]
        counts = {len(example.chains) for examples in splits.values() for example in examples}
        if len(counts) > 1:
            raise UserError(
                f"{self.source} has rows of {min(counts)} and of {max(counts)} chains; "
                "every row needs the same number"
            )
        sizes = {name: len(examples) for name, examples in splits.items()}
        found = {name: sizes.get(name, 0) for name in self.sizes}
        wrong = [name for name in found if name not in ("train", "valid", "test", *sizes)]
        if wrong and not self.columns.get("test"):  # whose values are names of any kind
            raise unknown("key of task.sizes", wrong[0], list(sizes))
        if found != self.sizes and self.source.startswith("package:"):
            raise UserError(
                f"{self.source} has {found} examples instead of {dict(self.sizes)}; "
                "install the package again"
            )
        made, valid_from = self._arranged(splits, parts, has_training)
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
        return made._replace(report=report)

    def _arranged(
        self, splits: dict[str, list[Example]], parts: Mapping[str, Part], has_training: bool
    ) -> tuple[Splits, str]:
        """Train, valid and tests of these splits, and where valid is from if the source has none.

        Several tests without training, and all folds, have a plain mean.
        """
        fold, valid_from = self.columns.get("fold"), ""
        if not has_training:
            made = Splits([], [], splits)
        elif fold is not None:
            ((name, part),) = parts.items()
            tests, learned_from = cross_validate(splits[name], roles.complete(part, fold, "fold"))
            made, valid_from = Splits([], [], tests, train_valid_by_test=learned_from), NEXT_FOLD
        else:
            train, valid = splits.pop("train"), splits.pop("valid", None)
            if valid is None:
                train, valid = hold_out(train, VALID_SHARE)
                valid_from = f"{VALID_SHARE:.0%} of the train groups; the source has no valid"
                if not self.columns.get("group"):
                    valid_from += " and no groups, so homologs may be in both train and valid"
            return Splits(train, valid, splits), valid_from
        if len(made.tests) == 1:
            return made, valid_from
        mean = dict.fromkeys(made.tests, 1 / len(made.tests))
        return made._replace(aggregates={"mean": mean}), valid_from

    def _check(self, readout: Readout) -> None:
        if readout.kind == "sequence":
            raise UserError("kind=sequence has no labels in a table; give task=generation")
        for name in ("columns", "unit", "allow", "sizes"):
            if not isinstance(value := getattr(self, name), Mapping):
                raise UserError(f"task.{name}={value} is not allowed; give names with their values")
        if isinstance(self.missing, str) or not all(isinstance(text, str) for text in self.missing):
            raise UserError(f"task.missing={self.missing} is not allowed; give a list of words")
        longest = self.max_length
        if longest is not None and (type(longest) is not int or longest < 1):
            raise UserError(f"task.max_length={longest} is not allowed; give 1 or more, or null")
        known = {"columns": roles.ROLES, "unit": UNIT, "allow": tuple(LIMITED)}
        for name, keys_of_name in known.items():
            for key in getattr(self, name):
                if key not in keys_of_name:
                    raise unknown(f"key of task.{name}", str(key), keys_of_name)
        for name, share in self.allow.items():
            if type(share) not in (int, float) or not 0 <= share <= 1:
                raise UserError(f"task.allow.{name}={share} is not allowed; give a share, 0 to 1")
        for name, size in self.sizes.items():
            if type(size) is not int or size < 0:
                raise UserError(f"task.sizes.{name}={size} is not a number of examples")

    def _divide(self, reading: Reading, has_training: bool) -> roles.Division:
        """The table of each split, train first."""
        parts, test = reading.parts, self.columns.get("test")
        first = next(iter(parts.values()))
        if self.columns.get("fold") or not has_training:
            if len(parts) > 1:
                raise UserError(
                    f"{self.source} has the tables {', '.join(parts)}; a task with folds or "
                    "without training reads a single table"
                )
            if has_training or test is None:
                return roles.Division(parts if has_training else {"test": first})
            roles.require([test], first)
            values = roles.complete(first, test, f"{test!r}, which names its test set")
            return roles.Division(first.by_value(values), [test])
        if not reading.divided or (len(parts) == 1 and roles.find("split", self.columns, first)):
            division = roles.divide(first, self.columns)
            return division._replace(parts=name_splits(division.parts, self.source))
        if split := self.columns.get("split"):
            raise UserError(
                f"{self.source} has a table for each split, so task.columns.split={split} has no "
                "use; remove it"
            )
        found = roles.Division(name_splits(parts, self.source))
        by_flag = roles.divide(found.parts["train"], self.columns, "train")
        if len(by_flag.parts) == 1:
            return found._replace(columns=by_flag.columns)
        if "valid" in found.parts:
            raise UserError(f"{self.source} has a split valid and rows flagged for validation")
        return by_flag._replace(parts=found.parts | by_flag.parts)

    def _labels(self, part: Part, names: Sequence[str]) -> list[Any]:
        """The cells of the label; of several columns a list for each row."""
        if isinstance(self.columns.get("label"), list | tuple):
            columns = [cells(part.table[name]) for name in names]
            return [*map(list, zip(*columns, strict=True))]
        found = cells(part.table[names[0]]) if names else [None] * part.table.num_rows
        return [None if isinstance(c, str) and c in self.missing else c for c in found]

    def _examples(
        self,
        split: str,
        part: Part,
        used: Mapping[str, Sequence[str]],
        labels: Sequence[Any],
        parse: Callable[[Any, Chains], Array],
        readout: Readout,
    ) -> tuple[list[Example], dict[str, int]]:
        table, nothing = part.table, [None] * part.table.num_rows
        sequences = zip(*(table[column].to_pylist() for column in used["sequence"]), strict=True)
        own = table[used["id"][0]].to_pylist() if "id" in used else nothing
        masks = cells(table[used["mask"][0]]) if "mask" in used else nothing
        names = ["" if name is None or name != name else str(name) for name in own]
        changes = Counter(rows=table.num_rows, truncated=0, residues_cut=0)
        rows: list[Chains] = []
        answers: list[Array] = []
        for row, (sequence, cell, mask) in enumerate(zip(sequences, labels, masks, strict=True)):
            try:
                whole = tuple(c for text in sequence for c in read_chains(text))
                resolved = read_mask(mask, len(whole[0]))
                answer = parse(mask_states(cell, resolved), whole)
                answer = mask_label(answer, resolved, readout)
            except (ValueError, TypeError) as error:
                known_as = f" ({names[row]})" if names[row] else ""
                raise UserError(f"{part.where(row)}{known_as}: {error}") from None
            changes.update(self.changed(cell))
            changes["stop_codons"] += sum(STOP in text for text in sequence)
            chains = tuple(c[: self.max_length] for c in whole)
            if chains != whole:
                changes["truncated"] += 1
                changes["residues_cut"] += sum(map(len, whole)) - sum(map(len, chains))
                answer = cut_label(answer, readout.level, len(chains[0]))
            changes["unknown_letters"] += any(set(c) - set(RESIDUES) for c in chains)
            known = known_answers(answer, readout)
            if readout.level == "pair":
                known = known_of_pairs(answer, len(chains[0]), readout)
                changes["unresolved_residues"] += len({i for i, j in answer.tolist() if i == j})
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
            both = zip(table[used["group"][0]].to_pylist(), groups, strict=True)
            groups = joined(rows, [own if is_missing(g) else str(g) for g, own in both])
        examples, seen = list[Example](), Counter[Chains]()
        for chains, answer, group, name in zip(rows, answers, groups, names, strict=True):
            row_id = f"{digest(*chains)}-{seen[chains]}"
            examples.append(Example(chains, answer, row_id, group, name))
            seen[chains] += 1
        return examples, dict(+changes)
