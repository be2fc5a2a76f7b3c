"""Tables of scores by stratum (`benchmark.strata`): one for each task, method and test set."""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan

from benchmark.core import UserError
from benchmark.leaderboard import Cell, Cells, Row, cell, describe, headings, label
from benchmark.results import APART, Record
from benchmark.strata import BANDS


def by_identity(cells: Cells) -> str:
    """Each task's models by how near the test proteins are to train and valid, as Markdown."""
    names = headings(sorted({column for _, column in cells}))
    tables = {
        (column, row.method, test)
        for (row, column), found in cells.items()
        for test in ranked(found.records[-1])
    }
    if not tables:
        raise UserError(
            "no Record here has scores by identity; run `python -m benchmark audit TASK` first"
        )
    lines = [
        "# Scores by identity",
        "",
        "With the nearest protein of train or valid; n: test examples. `without overlap`: without "
        "the rows that are in train or valid, too.",
    ]
    for column, method, test in sorted(tables):
        rows = {
            row: found
            for (row, other), found in cells.items()
            if other == column and row.method == method
        }
        first = next(iter(rows.values())).records[0]
        arrow = "↑" if first.higher_is_better[first.primary] else "↓"
        title = f"## {names[column]} · {method} · {test}: {first.primary} {arrow}"
        lines += ["", title, "", *table(rows, test)]
        if names[column] != column.task:
            lines += ["", describe(column, cells)]
    return "\n".join(lines) + "\n"


def table(rows: Mapping[Row, Cell], test: str) -> list[str]:
    """Models, best first, by strata, nearest first."""
    records = [record for found in rows.values() for record in found.records]
    sizes = {
        name: stratum["examples"]
        for record in records
        for name, stratum in record.strata.get(test, {}).items()
    }
    shown = [name for name in (*BANDS, APART) if name in sizes]
    first = records[0]
    up = first.higher_is_better[first.primary]
    whole = {
        row: cell([replace(record, scores={test: record.scores[test]}) for record in found.records])
        for row, found in rows.items()
    }
    order = sorted(rows, key=lambda row: (isnan(whole[row].score), whole[row].score * (1 - 2 * up)))
    titles = [f"all, n = {first.scored[test]:,}"]
    titles += [f"{name}, n = {sizes[name]:,}" for name in shown]
    lines = [["model", *titles], ["---"] * (len(titles) + 1)]
    for row in order:
        parts = [cell([part(r, test, name) for r in rows[row].records]) for name in shown]
        lines.append([label(row, rows), str(whole[row]), *map(str, parts)])
    return ["| " + " | ".join(line) + " |" for line in lines]


def ranked(record: Record) -> list[str]:
    """The test sets with strata; of a cross-validated task the means over its folds."""
    means = set(record.scores) - set(record.data)
    return [test for test in record.strata if test in means or not means]


def part(record: Record, test: str, stratum: str) -> Record:
    """The Record as if the stratum were its only test set."""
    found = record.strata.get(test, {}).get(stratum, {"scores": {}, "intervals": {}})
    return replace(
        record, scores={stratum: found["scores"]}, intervals={stratum: found["intervals"]}
    )
