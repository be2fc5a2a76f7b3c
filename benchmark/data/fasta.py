"""FASTA files with annotated headers, as FLIP and biotrainer write them.

`>ID some words KEY=VALUE KEY=VALUE`: the words before the first key are the column `description`; a
value reaches to the next key. TARGET is the column `label`, SET `split`, and every other key a
column of its name. INTERACTOR=ID names the second protein of a pair by its record; the column holds
its sequence.
"""

import io
from collections import Counter
from typing import TYPE_CHECKING

from benchmark.core import UserError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {"TARGET": "label", "SET": "split"}
PARTNER = "INTERACTOR"
REVERSED = "interactions given in both directions"
Row = dict[str, str | None]


def read_fasta(text: str, where: str) -> tuple["pa.Table", Counter[str]]:
    """A table of text columns, `seq`, `id` and the keys of the headers, and what was left out."""
    import pyarrow as pa
    from biotite.sequence.io.fasta import FastaFile

    lines = (line.strip() for line in io.StringIO(text))
    first = next((line for line in lines if line and not line.startswith(";")), "")
    if not first.startswith(">"):
        raise UserError(
            f"{where} has the text {first[:30]!r} before the first '>'; a FASTA file begins with a "
            "header"
        )
    rows = list[Row]()
    for header, sequence in FastaFile.read_iter(io.StringIO(text)):
        rows.append({"seq": sequence, **parse_header(header, where)})
    rows, left_out = with_partners(rows, where)
    columns = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in columns}), left_out


def parse_header(header: str, where: str) -> Row:
    """The columns of a header."""
    words, row, key = header.split(), Row(), ""
    if words and "=" not in words[0]:
        row["id"] = words.pop(0)
    for word in words:
        if "=" in word:
            name, _, value = word.partition("=")
            key = COLUMNS.get(name, name)
            if key in (*row, "seq"):
                raise UserError(
                    f"{where}: the header {header[:60]!r} gives {name} twice; leave one"
                )
            row[key] = value
        else:
            key = key or "description"
            row[key] = f"{row.get(key) or ''} {word}".lstrip()
    return {name: value or None for name, value in row.items()}


def with_partners(rows: list[Row], where: str) -> tuple[list[Row], Counter[str]]:
    """Replace the id of each second protein by its sequence; of A with B and B with A one stays."""
    if not any(row.get(PARTNER) for row in rows):
        return rows, Counter()
    sequences: dict[str | None, set[str | None]] = {}
    for row in rows:
        sequences.setdefault(row.get("id"), set()).add(row["seq"])
    pairs, left_out = dict[tuple[str | None, str | None], Row](), Counter[str]()
    for row in rows:
        own, other = row.get("id"), row.get(PARTNER)
        if other is None or len(sequences.get(other, ())) != 1:
            found = "no record" if other not in sequences else "records of several sequences"
            reason = f"{PARTNER}={other}, which has {found}" if other else f"no {PARTNER}"
            raise UserError(f"{where}: {own} has {reason}; each second protein needs one record")
        earlier = pairs.get((other, own))
        if earlier is not None and other != own:
            if any(earlier.get(key) != row.get(key) for key in ("label", "split", "VALIDATION")):
                raise UserError(
                    f"{where}: {own} with {other} and {other} with {own} differ; give "
                    "both the same label and split"
                )
            left_out[REVERSED] += 1
            continue
        if (own, other) in pairs:
            raise UserError(f"{where} has the interaction of {own} with {other} twice; leave one")
        pairs[own, other] = {**row, PARTNER: min(sequences[other], key=str)}
    return list(pairs.values()), left_out
