"""The leaderboard: results/README.md for people, results/leaderboard.csv for programs.

Of each (task, model, method, settings) the newest weights count, with all their seeds. Methods
never share a table, data or task versions never share a column, runs with `limit` are left out.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from statistics import fmean
from typing import Any

from benchmark.data.digests import make_key
from benchmark.files import replacing
from benchmark.report.cells import (
    Cell,
    Cells,
    Row,
    TaskColumn,
    area_order,
    column_of,
    headings,
    is_higher_better,
    labels,
    model_names,
    record_of,
    row_in,
    tabulate,
)
from benchmark.report.generation.tables import generation_tables, is_generation, names_of, score
from benchmark.report.published import PublishedScore, published_rows, read_published
from benchmark.report.render import render
from benchmark.report.render.terminal import blocks
from benchmark.report.suites import expected_tasks
from benchmark.report.table import ARROWS, Column, Noted, Report, Table, Value
from benchmark.results.identity import flat
from benchmark.results.record import WITHOUT_OVERLAP, Record, mean_of
from benchmark.results.storage import TITLE, load_all, states, with_reference, without_collection

USAGE = (
    *("parameters", "trained_parameters", "forward_flops", "backward_flops"),
    *("peak_bytes", "peak_gpu_bytes", "seconds"),
)
"""Columns of the CSV file that say what a run took."""
RUN = (
    *("area", "task", "version", "model", "method", "test", "metric", "score", "low", "high"),
    *("higher_is_better", "scored", "units", "seed", *USAGE, "settings", "created", "record"),
)
"""All columns of the CSV file."""
MOST_TIMES = 10
"""How often tables are written again because other runs have ended meanwhile."""
TEXT = (
    "Written by `python -m benchmark` from the Records in this folder; do not edit. Scores are "
    "each task's first metric on its first test set, or its mean over the test sets where the "
    "heading says so. The 95 % intervals use Student's t with standard errors from resampling the "
    "units of the task (n: test examples). For several seeds, a score is the mean ± standard "
    "deviation, and the interval includes the variance between seeds. The best score is in bold. "
    "The column mean is the plain mean over the area's tasks, for rows that have all of them."
)


def leaderboard(cells: Cells, published: Sequence[PublishedScore] = ()) -> Report:
    """A table for each area and method; generation has tables of its own, with several scores."""
    tables = []
    for title, method, mine, expected in grouped(cells):
        scores = [entry for entry in published if entry.method == method]
        tables.append(scores_table(title, mine, scores, expected))
    return Report([*tables, *generation_tables(cells)], TITLE.removeprefix("# "), TEXT)


def grouped(cells: Cells) -> Iterator[tuple[str, str, Cells, Sequence[str]]]:
    """Title, method, cells and the tasks of the mean, for each area and method but generation.

    A task's rows without a model are in its tables of all methods.
    """
    groups = defaultdict[tuple[str, bool, str], Cells](dict)
    for column, rows in cells.items():
        if is_generation(rows):
            continue
        methods = dict.fromkeys(row.method for row in rows if not row.model_free)
        for row, cell in rows.items():
            for method in (methods if row.model_free else ()) or [row.method]:
                groups[column.area, column.embedded, method].setdefault(column, {})[row] = cell
    for area, embedded, method in sorted(groups, key=lambda p: (*area_order(p[0]), *p)):
        title = area.replace("_", " ").capitalize() + (", embedded tasks" if embedded else "")
        expected = expected_tasks(area, embedded)
        yield f"{title} · {method}", method, groups[area, embedded, method], expected


def members(cells: Cells, expected: Sequence[str]) -> list[TaskColumn]:
    """The columns of a mean: of each expected task the one with most rows."""
    by_rows = sorted(reversed(cells), key=lambda column: len(cells[column]))
    main = {column.task: column for column in by_rows}
    return [column for task, column in main.items() if task in expected]


def scores_table(
    title: str, cells: Cells, published: Sequence[PublishedScore], expected: Sequence[str]
) -> Table:
    """One table: the best mean first, then the best of each column in turn; published rows last.

    `expected` are the tasks of the mean.
    """
    columns, notes, targets = [Column("model")], list[str](), list[tuple[str, str]]()
    for column, name in headings(list(cells)).items():
        record = record_of(cells[column])
        metric, test = record.primary, next(iter(record.scores))
        better = record.higher_is_better[metric]
        several = len(record.scores) > 1 and test in record.data
        measure = f"{metric}{f' of {test}' if several else ''}{ARROWS[better]}"
        parts = [measure, mean_of(record), f"n = {record.scored[test]:,}"]
        detail = ", ".join(filter(None, parts))
        columns.append(Column(name, "score", 3, better, detail, bold_best=True))
        targets.append(("" if "published_sizes" in record.data_report else column.task, metric))
        notes += [f"`{name}`: {x}" for x in describe(column, cells) + overlap(cells[column])]
    averaged = members(cells, expected)
    with_mean = len(averaged) > 1 and all(is_higher_better(cells[column]) for column in averaged)
    lines: list[list[Value]] = []
    for row, name in labels(dict.fromkeys(row for rows in cells.values() for row in rows)).items():
        found = [rows.get(row) for rows in cells.values()]
        lines.append([name, *(cell.estimate if cell else None for cell in found)])
        if with_mean:
            scored = [cells[column][row] for column in averaged if row in cells[column]]
            lines[-1].append(mean(scored, len(expected)))
    columns += [Column("mean", "number", higher_is_better=True)] * with_mean
    order = ["mean"] * with_mean + [column.name for column in columns[1:]]
    extra, sources = published_rows(published, targets)
    padded = [[*row, *[None] * with_mean] for row in extra]
    rows = [*Table(title, columns, lines).ranked(*order).rows, *padded]
    return Table(title, columns, rows, [*notes, *sources])


def mean(cells: Sequence[Cell], expected: int) -> float | Noted:
    """The plain mean over an area's tasks (the papers' headline figure); NaN: undefined.

    There is none if a task is missing, or over different weights of one name.
    """
    if len(cells) < expected:
        return Noted(None, f"{len(cells)} of {expected} tasks")
    if len({cell.records[-1].backbone.get("digest") for cell in cells}) > 1:
        return Noted(None, "mixed weights")
    return fmean(cell.estimate.score for cell in cells)


def overlap(rows: Mapping[Row, Cell]) -> list[str]:
    """How much of a column's test set is in train or valid, too, if any."""
    for record in (cell.records[-1] for cell in rows.values()):
        test = next(iter(record.scores))
        scored = record.scored[test]
        apart = record.strata.get(test, {}).get(WITHOUT_OVERLAP, {}).get("examples", scored)
        if apart < scored:
            return [
                f"{scored - apart:,} of {scored:,} test examples are in train or valid, too; "
                "`python -m benchmark leaderboard by=identity` has the scores without them"
            ]
    return []


def describe(column: TaskColumn, cells: Cells) -> list[str]:
    """What sets a column apart from others of the same task, if there are any."""
    data, settings = read_question(column)
    others = [read_question(other)[1] for other in cells if other.task == column.task]
    if len(others) == 1:
        return []
    test = next(iter(record_of(cells[column]).scores))
    digest = data.get(test) or make_key(data)  # an aggregate has no data of its own
    differing = [k for k in sorted(settings) if any(o.get(k) != settings[k] for o in others)]
    text = "".join(f", {key}={settings[key]}" for key in differing)
    return [f"version {column.version}, test data {digest}{text}"]


def read_question(column: TaskColumn) -> tuple[dict[str, str], dict[str, Any]]:
    """The digests of a column's data, and its settings by dotted name."""
    data, settings = json.loads(column.question)
    return data, {name.removeprefix("."): value for name, value in flat("", settings).items()}


def runs_table(cells: Cells) -> Table:
    """One row for each model, task, test set, metric and seed: the content of the CSV file."""
    lines, names = list[list[Value]](), model_names({r for rows in cells.values() for r in rows})
    for row, column in sorted((row, column) for column, rows in cells.items() for row in rows):
        for record in cells[column][row].records:
            usage, path = usage_of(record).values(), str(record.path)
            for test, scores in record.scores.items():
                for metric, value in scores.items():
                    low, high = record.intervals[test].get(metric, (None, None))
                    lines.append(
                        [
                            *(column.area, column.task, column.version, names[row], row.method),
                            *(test, metric, value, low, high, record.higher_is_better[metric]),
                            *(record.scored[test], record.units[test], record.seed),
                            *(*usage, row.settings),
                            *(record.created, path),
                        ]
                    )
    return Table("runs", [Column(name) for name in RUN], lines, names=0)


def usage_of(record: Record) -> dict[str, Any]:
    """What the run took; None where it is not known."""
    known = {**record.backbone, **record.usage, "seconds": record.seconds.get("total")}
    return {name: known.get(name) for name in USAGE}


def read(results: Path) -> tuple[Cells, Report]:
    """The tables of the ranked Records below `results` and the committed ones."""
    ranked = [record for record in load_all(results) if record.limit is None]
    cells = tabulate(with_reference(ranked, results))
    return cells, leaderboard(cells, read_published(results))


@without_collection()
def write(results: Path) -> tuple[Cells, Report]:
    """Write both tables anew.

    Other processes may finish at the same time: the tables that are written last have all Records.
    """
    for _ in range(MOST_TIMES):
        before = states(results)
        cells, report = read(results)
        if cells:
            text = render(report, "markdown")
            with replacing(results / "README.md") as file:
                file.write_text(text + "\n", encoding="utf-8")
            text = render(Report([runs_table(cells)]), "csv")
            with replacing(results / "leaderboard.csv") as file:
                file.write_text(text + "\n", encoding="utf-8", newline="\r\n")
        if states(results) == before:
            break
    return cells, report


def tell(results: Path, record: Record, table: bool = True) -> None:
    """Write the tables anew, and print how models compare on the Record's task, by its method."""
    cells, _ = write(results)
    if record.limit is not None:
        return
    if table:
        print(render(Report(blocks(task_table(cells, record), get_terminal_size().columns)[:1])))
    rows = cells[column_of(record)]
    shown = rows[row_in(rows, record)].records[-1]
    if shown.backbone["digest"] != record.backbone["digest"]:
        print(
            f"the tables show newer weights of the name {record.model}; name=WORD sets them apart"
        )
    elif shown.key != record.key:
        print(
            f"the tables show a newer run with other declared versions: {shown.folder}; delete it, "
            "or set the two apart by name=WORD"
        )


def task_table(cells: Cells, record: Record) -> Table:
    """How models compare on the Record's task with its method; its own row is highlighted."""
    column = cells[column_of(record)]
    here, better = row_in(column, record), record.higher_is_better
    shown = (r for r in column if r.method == here.method or r.model_free or here.model_free)
    rows = {row: column[row] for row in shown}
    names, others = names_of(rows), [metric for metric in better if metric != record.primary]
    columns = [Column("model"), Column(record.primary, "score", 3, better[record.primary])]
    columns += [Column(metric, "number", 3, better[metric]) for metric in others]
    lines = [
        [names[row], cell.estimate, *(score(cell, metric) for metric in others)]
        for row, cell in rows.items()
    ]
    return Table("", columns, lines, highlighted=names[here]).ranked(record.primary)
