"""Tables of Records: results/README.md for people, results/leaderboard.csv for programs.

Of each (task, model, method, settings) the newest weights count, with all their seeds. Methods
never share a table, data or task versions never share a column, runs with `limit` are left out.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from benchmark.core import Area, UserError
from benchmark.data.digests import make_key
from benchmark.files import replacing
from benchmark.report.cells import Cell, Cells, Column, column_of, headings, label, row_of, tabulate
from benchmark.report.published import PublishedScore, published_rows, read_published
from benchmark.results.record import WITHOUT_OVERLAP, Record
from benchmark.results.storage import TITLE, load_all

SHOWN = 3
"""Further metrics beside the first in the terminal's table; the Record has all."""
USAGE = (
    *("parameters", "trained_parameters", "forward_flops", "backward_flops"),
    *("peak_bytes", "peak_gpu_bytes", "seconds"),
)
"""Columns of the csv file that tell what a run took."""
AREAS = get_args(Area)


def main_columns(cells: Cells) -> list[Column]:
    """One column for each task: the one in which most rows have a score."""
    counts = Counter(column for _, column in cells)
    chosen: dict[str, Column] = {}
    for column in sorted(counts):
        if column.task not in chosen or counts[column] > counts[chosen[column.task]]:
            chosen[column.task] = column
    return list(chosen.values())


def mean(cells: Mapping[Column, Cell], columns: Sequence[Column]) -> str:
    """The plain mean of an area's scores (the papers' headline figure), or how many are there.

    There is none over scores where less is better, nor over different weights of one name.
    """
    mine = [cells[column] for column in columns if column in cells]
    scores = [cell.score for cell in mine if not isnan(cell.score)]
    if len(scores) < len(columns):
        return f"{len(scores)}/{len(columns)}"
    records = [cell.records[-1] for cell in mine]
    if len({record.backbone.get("digest") for record in records}) > 1:
        return "mixed weights"
    if not all(record.higher_is_better[record.primary] for record in records):
        return "–"
    return f"{sum(scores) / len(scores):.3f}"


def best(cells: Sequence[Cell]) -> float:
    """The best score of a column."""
    record = cells[0].records[0]
    pick = max if record.higher_is_better[record.primary] else min
    scores = [round(cell.score, 3) for cell in cells if not isnan(cell.score)]
    return pick(scores) if scores else float("nan")


def markdown(cells: Cells, quoted: Sequence[PublishedScore] = ()) -> str:
    """All tables, an area and a method each."""
    lines = [
        TITLE,
        "",
        "Made by `python -m benchmark` from the Records in this folder; do not edit. Each score is "
        "of the task's first metric on its first test set, with its 95 % bootstrap interval over "
        "the task's resampling units (n: test examples); of several seeds it is their mean ± "
        "standard deviation, and the interval holds the variance between seeds as well. Best in "
        "bold. The mean is the plain mean of the row's scores.",
    ]
    places = sorted({(AREAS.index(c.area), c.embedded, row.method) for row, c in cells})
    for area, embedded, method in places:
        inside = {
            place: cell
            for place, cell in cells.items()
            if place[1].area == AREAS[area]
            and place[1].embedded is embedded
            and place[0].method == method
        }
        title = AREAS[area].replace("_", " ").capitalize() + (
            ", embedded tasks" if embedded else ""
        )
        published = [entry for entry in quoted if entry.method == method]
        lines += ["", f"## {title} · {method}", "", *table(inside, published)]
    return "\n".join(lines) + "\n"


def table(cells: Cells, quoted: Sequence[PublishedScore] = ()) -> list[str]:
    """One Markdown table: rows with most scores first, then by their mean; quoted ones last."""
    columns = sorted({column for _, column in cells})
    rows = sorted({row for row, _ in cells})
    names = headings(columns)
    top = {c: best([cell for (_, other), cell in cells.items() if other == c]) for c in columns}
    head, lines, asked, notes = ["model"], [], [], list[str]()
    for column in columns:
        record = next(cell.records[-1] for (_, other), cell in cells.items() if other == column)
        arrow = "↑" if record.higher_is_better[record.primary] else "↓"
        test = next(iter(record.scores))
        of = f" of {test}" if len(record.scores) > 1 and test in record.data else ""
        head.append(f"{names[column]}<br>{record.primary}{of} {arrow}, n = {record.scored[test]:,}")
        asked.append(
            ("" if "published_sizes" in record.data_report else column.task, record.primary)
        )
        told = describe(column, cells) if names[column] != column.task else None
        notes += [f"`{names[column]}`: {text}" for text in (told, overlap(column, cells)) if text]
    if len(columns) > 1:
        head.append("mean")
    for row in rows:
        mine = {column: cells[row, column] for column in columns if (row, column) in cells}
        line = [label(row, rows)]
        for column in columns:
            text = str(mine[column]) if column in mine else "–"
            if column in mine and round(mine[column].score, 3) == top[column]:
                score, _, rest = text.partition(" ")
                text = f"**{score}** {rest}".strip()
            line.append(text)
        rank = mean(mine, main_columns(cells))
        if len(columns) > 1:
            line.append(rank)
        first = next((mine[c].score for c in columns if c in mine), 0.0)
        if not any(c.records[0].higher_is_better[c.records[0].primary] for c in mine.values()):
            first = -first
        order = float(rank) if rank.replace(".", "").replace("-", "").isdigit() else -1e9
        lines.append((-len(mine), -order, -first, "| " + " | ".join(line) + " |"))
    rule = "|---" * len(head) + "|"
    body = [text for *_, text in sorted(lines)]
    extra, sources = published_rows(quoted, asked)
    body += ["| " + " | ".join([*row, "–"][: len(head)]) + " |" for row in extra]
    notes += sources
    return ["| " + " | ".join(head) + " |", rule, *body, *(line for n in notes for line in ("", n))]


def overlap(column: Column, cells: Cells) -> str | None:
    """How much of a column's test set is in train or valid, too, if any."""
    for (_, other), cell in cells.items():
        record = cell.records[-1]
        test = next(iter(record.scores))
        apart = record.strata.get(test, {}).get(WITHOUT_OVERLAP)
        if other == column and apart and apart["examples"] < record.scored[test]:
            count = record.scored[test] - apart["examples"]
            return (
                f"{count:,} of {record.scored[test]:,} test examples are in train or valid, too; "
                "`python -m benchmark leaderboard by=identity` has the scores without them"
            )
    return None


def describe(column: Column, cells: Cells) -> str:
    """What sets a column apart from another of the same task."""
    record = next(cell.records[-1] for (_, other), cell in cells.items() if other == column)
    data, asked = json.loads(column.question)
    test = next(iter(record.scores))
    digest = data.get(test) or make_key(data)  # a mean has no data of its own
    others = [json.loads(c.question)[1] for _, c in cells if c.task == column.task]
    differing = [key for key in sorted(asked) if any(o.get(key) != asked[key] for o in others)]
    settings = "".join(f", {key}={asked[key]}" for key in differing)
    return f"version {column.version}, test data {digest}{settings}"


def rows_of_csv(cells: Cells) -> list[dict[str, Any]]:
    """One row for each model, task, test set, metric and seed."""
    rows = []
    for (row, column), cell in sorted(cells.items()):
        for record in cell.records:
            for test, scores in record.scores.items():
                for metric, score in scores.items():
                    low, high = record.intervals[test].get(metric, ("", ""))
                    rows.append(
                        {
                            "area": column.area,
                            "task": column.task,
                            "version": column.version,
                            "model": row.model,
                            "method": row.method,
                            "test": test,
                            "metric": metric,
                            "score": score,
                            "low": low,
                            "high": high,
                            "higher_is_better": record.higher_is_better[metric],
                            "scored": record.scored[test],
                            "units": record.units[test],
                            "seed": record.seed,
                            **usage_of(record),
                            "settings": row.settings,
                            "created": record.created,
                            "record": str(record.folder / f"seed{record.seed}.json"),
                        }
                    )
    return rows


def usage_of(record: Record) -> dict[str, Any]:
    """What the run took; empty where it is not known."""
    known = {**record.backbone, **record.usage, "seconds": record.seconds.get("total", "")}
    return {name: known.get(name, "") for name in USAGE}


def write(results: Path) -> Cells:
    """Make both tables again from every Record below `results`."""
    cells = tabulate(load_all(results))
    if not cells:
        return cells
    with replacing(results / "README.md") as file:
        file.write_text(markdown(cells, read_published(results)), encoding="utf-8")
    rows = rows_of_csv(cells)
    with replacing(results / "leaderboard.csv") as file, file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["task"])
        writer.writeheader()
        writer.writerows(rows)
    return cells


def require(cells: Cells, results: Path) -> Cells:
    """Refuse an empty leaderboard."""
    if cells:
        return cells
    raise UserError(f"there are no Records in {results}; run `python -m benchmark` first")


def tell(results: Path, record: Record) -> None:
    """Make the tables again, and print how models compare on the Record's task, by its method."""
    cells = write(results)
    if record.limit is not None:
        return
    show_task(cells, record)
    shown = cells[row_of(record), column_of(record)].records[-1]
    if shown.backbone["digest"] != record.backbone["digest"]:
        print(
            f"the tables show newer weights of the name {record.model}; name=WORD sets them apart"
        )
    elif shown.key != record.key:
        print(
            f"the tables show a newer run, of other code: {shown.folder}; delete it, or tell them "
            "apart by name=WORD"
        )


def show_task(cells: Cells, record: Record) -> None:
    """Print how models compare on the Record's task, by its method."""
    from rich.console import Console
    from rich.table import Table

    here, column = row_of(record), column_of(record)
    rows = {
        row: cell for (row, c), cell in cells.items() if c == column and row.method == here.method
    }
    sign = -1 if record.higher_is_better[record.primary] else 1
    others = [name for name in record.higher_is_better if name != record.primary][:SHOWN]
    shown = Table(box=None, pad_edge=False)
    for heading in ("model", record.primary, *others):
        shown.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row, cell in sorted(rows.items(), key=lambda item: sign * item[1].score):
        found = [next(iter(record.scores.values())) for record in cell.records]
        rest = [
            f"{fmean(scores[name] for scores in found):.3f}"
            if all(name in scores for scores in found)
            else "–"
            for name in others
        ]
        shown.add_row(label(row, rows), str(cell), *rest, style="bold" if row == here else "")
    console = Console()
    wide = console.options.update(max_width=1000)
    # a table is as wide as it needs: in a narrower one numbers would be cut off
    console.width = max(console.width, console.measure(shown, options=wide).maximum)
    console.print(shown)
