"""Published scores next to measured ones: conf/published.yaml describes their form."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.core import UserError
from benchmark.report.suites import built_in
from benchmark.report.table import Noted, Value

CERTAINTIES = ("verified", "secondary", "derived")


class PublishedScore(NamedTuple):
    """A score from a publication."""

    task: str
    model: str
    method: str
    metric: str
    value: float
    source: str
    certainty: str


def read_published(results: Path) -> list[PublishedScore]:
    """The published scores that come with the package, and those next to the Records."""
    import yaml

    found = []
    own = (results / "published.yaml", results / "quoted.yaml")  # the name before version 0.2
    for file in (built_in() / "published.yaml", *own):
        if file.exists():
            entries = yaml.safe_load(file.read_text(encoding="utf-8")) or []
            if not isinstance(entries, list):
                raise UserError(f"{file} is not a list of published scores")
            found += [read_entry(entry, f"{file}: {entry}") for entry in entries]
    return found


def read_entry(entry: object, where: str) -> PublishedScore:
    """Check one entry of a file."""
    if not isinstance(entry, Mapping) or set(entry) != set(PublishedScore._fields):
        fields = ", ".join(PublishedScore._fields)
        raise UserError(f"{where} needs the keys {fields}, and no others")
    score = PublishedScore(**entry)
    if type(score.value) not in (int, float):
        raise UserError(f"{where} has a value that is not a number; give one")
    if score.certainty not in CERTAINTIES:
        allowed = ", ".join(CERTAINTIES)
        raise UserError(f"{where} has the certainty {score.certainty}; allowed are {allowed}")
    return score


def published_rows(
    entries: Iterable[PublishedScore], columns: Sequence[tuple[str, str]]
) -> tuple[list[list[Value]], list[str]]:
    """A row for each model, and a note on each source; columns are (task, metric)."""
    rows, notes = dict[str, list[Value]](), []
    for entry in entries:
        places = [place for place, (task, _) in enumerate(columns) if task == entry.task]
        for place in places:
            remark = "" if entry.metric == columns[place][1] else entry.metric
            row = rows.setdefault(f"{entry.model} (published)", [None] * len(columns))
            row[place] = Noted(entry.value, remark)
        if places:
            notes.append(
                f"Published, not measured: `{entry.task}`, {entry.model}, {entry.metric} "
                f"{entry.value:g}; {entry.source} ({entry.certainty})"
            )
    return [[name, *row] for name, row in rows.items()], notes
