"""`list`: what can be named on the command line."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.cli.catalogue import config_folders
from benchmark.cli.verbs.request import Request
from benchmark.core import OLD_KINDS, UserError, unknown
from benchmark.report.cells import area_order
from benchmark.report.suites import find, merged, names
from benchmark.report.table import Column, Report, Table, Value

Folders = Sequence[Path]


def show_list(request: Request) -> None:
    """Tasks, models, methods, metrics and suites, or one of the five."""
    which = request.options.get("group")
    if which is not None and which not in LISTS:
        raise unknown("list of", str(which), list(LISTS))
    folders = [*config_folders(), *request.folders]
    chosen = [which] if which else list(LISTS)
    request.show(Report([table for name in chosen for table in LISTS[name](folders)]))


def tasks(folders: Folders) -> list[Table]:
    """A table for each area."""
    columns = [
        *map(Column, ("task=", "answers", "metric")),
        *(Column(split, "count") for split in ("train", "valid", "test")),
        Column("source"),
    ]
    areas: dict[str, list[list[Value]]] = {}
    for name in names("task", folders):
        task = merged(folders, "task", name)
        if missing := [key for key in ("_target_", "area", "metrics") if not task.get(key)]:
            file = find(folders, "task", name)
            raise UserError(f"{file} has no {', '.join(missing)}; a task needs these keys")
        sizes = dict(task.get("sizes") or {})
        learned = [sizes.pop(split, None) for split in ("train", "valid")]
        test = sum(sizes.values()) if sizes else None
        line = [name, answers(task), str(task["metrics"][0]), *learned, test]
        areas.setdefault(str(task["area"]), []).append([*line, str(task.get("source", "–"))])
    return [
        Table(f"Tasks: {area.replace('_', ' ')}", columns, areas[area])
        for area in sorted(areas, key=area_order)
    ]


def answers(task: dict[str, Any]) -> str:
    """What a task's answers are, from its class and its settings."""
    kind, size = OLD_KINDS.get(task.get("kind"), task.get("kind")), task.get("size")
    words = "".join(
        f" {letter.lower()}" if letter.isupper() else letter
        for letter in str(task["_target_"]).rpartition(".")[2]
    ).strip()
    if isinstance(size, int) and kind in ("classification", "multilabel"):
        return f"{words}, {size:,} {'classes' if kind == 'classification' else 'labels'}"
    return f"{words}, {kind}" if kind else words


def models(folders: Folders) -> list[Table]:
    """Models with their published numbers of parameters."""
    rows = list[list[Value]]()
    for name in names("model", folders):
        model = merged(folders, "model", name)
        parameters = (model.get("facts") or {}).get("parameters")
        path = str(model.get("path", "–")).replace("???", "–")
        rows.append([name, parameters, comment(find(folders, "model", name)), path])
    columns = [Column("model="), Column("parameters", "count")]
    return [Table("Models", [*columns, Column("what"), Column("checkpoint")], rows)]


def metrics(folders: Folders) -> list[Table]:
    """Metrics with their direction."""
    from benchmark.metrics import known

    better = {True: "higher is better", False: "lower is better", None: "no direction"}
    rows = [[name, better[metric.higher_is_better]] for name, metric in sorted(known().items())]
    return [Table("Metrics", [Column("metric"), Column("direction")], rows)]


def described(title: str, heading: str, group: str, folders: Folders) -> list[Table]:
    """The names of a group, and the first comment of each yaml."""
    rows = [[name, comment(find(folders, group, name))] for name in names(group, folders)]
    return [Table(title, [Column(heading), Column("what")], rows)]


def comment(file: Path) -> str:
    """The first comment at the beginning of a yaml, which says what it is."""
    lines = file.read_text(encoding="utf-8").splitlines()
    notes = [line[2:] for line in lines if line.startswith("# ") and "@package" not in line]
    return notes[0] if notes else "–"


LISTS: dict[str, Callable[[Folders], list[Table]]] = {
    "tasks": tasks,
    "metrics": metrics,
    "models": models,
    "methods": partial(described, "Methods", "method=", "method"),
    "suites": partial(described, "Suites", "+suite=", "suite"),
}
