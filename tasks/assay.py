"""One assay of ProteinGym's format: its table becomes variants and a wild type.

The columns are `mutant` ("A12G:K30R", counted from 1), `mutated_sequence` and `DMS_score`, and
perhaps ProteinGym's fold columns.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from benchmark.core import Readout, UserError
from benchmark.data.cell_values import STOP, is_missing, read_chains
from benchmark.data.roles import UNNAMED, shown
from benchmark.data.sources import Part
from tasks.table import read_answers

COLUMNS = {
    "random": ("fold_random_5", "fold_rand_multiples"),
    "modulo": ("fold_modulo_5",),
    "contiguous": ("fold_contiguous_5",),
}
"""ProteinGym's fold columns, by scheme."""
NEEDED = ("mutant", "mutated_sequence", "DMS_score")
WILD_TYPE = {"", "wt", "_wt", "wild-type", "wild_type", "wildtype", "p.=", "="}
"""What `mutant` says of a row of the wild type, in lower case."""
STOPS_ALLOWED = 0.1
"""Largest share of the rows of an assay that may have a stop codon."""


class Variant(NamedTuple):
    """A row of an assay; mutated positions are 0-based."""

    sequence: str
    places: tuple[int, ...]
    score: float
    fold: str | None
    mutant: str = ""


class Assay(NamedTuple):
    """A table of variants of one protein."""

    wild_type: str
    variants: list[Variant]
    changes: Mapping[str, int] = MappingProxyType({})
    """Rows that are no variants to score."""
    unread_columns: Sequence[str] = ()


def read_assay(name: str, part: Part, scheme: str | None) -> Assay:
    """Read an assay, and derive the wild type from its variants.

    Rows of the wild type itself and variants with a stop codon are left out, and counted.
    """
    check_columns(name, part)
    names = part.table.column_names
    theirs = [column for column in COLUMNS.get(scheme or "", ()) if column in names]
    folds = part.table[theirs[0]].to_pylist() if theirs else [None] * part.table.num_rows
    columns = (part.table[column].to_pylist() for column in NEEDED)
    variants, wild_type, changes = list[Variant](), "", Counter[str]()
    for row, (mutant, mutated, score, fold) in enumerate(zip(*columns, folds, strict=True)):
        mutant = "" if is_missing(mutant) else str(mutant).strip()
        stops = STOP in mutant or (isinstance(mutated, str) and STOP in mutated)
        if stops and mutant.lower() not in WILD_TYPE:
            changes["stop_codon_rows_left_out"] += 1
            continue
        try:
            chains = read_chains(mutated)
            if len(chains) > 1:
                raise ValueError(f"{len(chains)} chains, but an assay has a single one")
            own = mutant.lower() in WILD_TYPE
            places, before = ((), chains[0]) if own else undo(mutant, chains[0])
            if wild_type and before != wild_type:
                raise ValueError(
                    f"undoing {mutant or 'no mutation'} does not give the wild type of the rows "
                    "before"
                )
            value = float(read_answers(score, Readout("variant", "regression")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{part.where(row)} (assay {name}): {error}") from None
        wild_type = before
        if own:
            changes["wild_type_rows_left_out"] += 1
            continue
        own_fold = None if is_missing(fold) else str(fold)
        variants.append(Variant(chains[0], places, value, own_fold, mutant))
    rows, stopped = part.table.num_rows, changes["stop_codon_rows_left_out"]
    if not variants or stopped > STOPS_ALLOWED * rows:
        raise UserError(
            f"assay {name} has {len(variants)} variants to score, {stopped} of {rows} rows have a "
            f"stop codon (at most {STOPS_ALLOWED:.0%} are left out); remove those rows"
        )
    unread = [column or UNNAMED for column in names if column not in (*NEEDED, *theirs)]
    return Assay(wild_type, variants, changes, unread)


def check_columns(name: str, part: Part) -> None:
    """Refuse tables that are no assays of substitutions, and say what reads them."""
    names = part.table.column_names
    missing = [column for column in NEEDED if column not in names]
    other = "a task of the kind tasks.protein.Protein reads it, with columns: {sequence: "
    if "DMS_score" in missing and "DMS_bin_score" in names:
        raise UserError(
            f"assay {name} has classes (DMS_bin_score), as ProteinGym's clinical tables, and no "
            f"DMS_score; {other}mutated_sequence, label: DMS_bin_score}}, kind: classification"
        )
    if missing:
        hint = "; write the whole sequence of each variant" if missing[0] == NEEDED[1] else ""
        raise UserError(f"assay {name} has no column {missing[0]!r}; it has {shown(names)}{hint}")
    mutants, sequences = (part.table[column].to_pylist() for column in NEEDED[:2])
    if len({len(s) for s in sequences if s}) > 1 and mutants[0] == sequences[0]:
        raise UserError(
            f"assay {name} has insertions and deletions, as ProteinGym's indel tables; this task "
            f"scores substitutions; {other}mutated_sequence, label: DMS_score}}, kind: regression"
        )


def undo(mutant: str, mutated: str) -> tuple[tuple[int, ...], str]:
    """The mutated positions of a variant, 0-based, and its sequence without the mutations."""
    residues, places = list(mutated), []
    for mutation in re.split("[:,;]", mutant):
        found = re.fullmatch(r"([A-Z])(\d+)([A-Z])", mutation.strip())
        if not found:
            hgvs = " in HGVS's notation" if mutation.startswith(("p.", "c.", "g.", "n.")) else ""
            raise ValueError(f"mutation {mutation!r}{hgvs}; write A12G, counted from 1")
        old, place, new = found[1], int(found[2]) - 1, found[3]
        if not 0 <= place < len(mutated) or mutated[place] != new:
            raise ValueError(f"its sequence has no {new} at {place + 1}, as {mutant} says")
        residues[place] = old
        places.append(place)
    return tuple(places), "".join(residues)
