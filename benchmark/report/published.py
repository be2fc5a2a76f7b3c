"""Published scores beside measured ones: conf/published.yaml tells their form."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.core import UserError

CERTAINTIES = ("verified", "secondary", "derived")


class PublishedScore(NamedTuple):
    """A score that someone published."""

    task: str
    model: str
    method: str
    metric: str
    value: float
    source: str
    certainty: str


def read_published(results: Path) -> list[PublishedScore]:
    """The package's quoted scores, and those beside the Records."""
    import yaml

    import conf

    published = Path(conf.__file__).parent

    found = []
    for file in (published / "published.yaml", results / "published.yaml"):
        if file.exists():
            entries = yaml.safe_load(file.read_text(encoding="utf-8")) or []
            if not isinstance(entries, list):
                raise UserError(f"{file} is no list of quoted scores")
            found += [read_entry(entry, f"{file}: {entry}") for entry in entries]
    return found


def read_entry(entry: object, where: str) -> PublishedScore:
    """Check one entry of a file."""
    if not isinstance(entry, Mapping) or set(entry) != set(PublishedScore._fields):
        raise UserError(
            f"{where} needs the keys {', '.join(PublishedScore._fields)}, and no others"
        )
    quoted = PublishedScore(**entry)
    if type(quoted.value) not in (int, float):
        raise UserError(f"{where} has no number for its value")
    if quoted.certainty not in CERTAINTIES:
        raise UserError(
            f"{where} has the certainty {quoted.certainty}; allowed are {', '.join(CERTAINTIES)}"
        )
    return quoted


def published_rows(
    quoted: Iterable[PublishedScore], columns: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], list[str]]:
    """A row of cells for each model, and a note on each source; columns are (task, metric)."""
    rows, notes = dict[str, list[str]](), []
    for entry in quoted:
        places = [place for place, (task, _) in enumerate(columns) if task == entry.task]
        for place in places:
            row = rows.setdefault(entry.model, ["–"] * len(columns))
            told = "" if entry.metric == columns[place][1] else f" {entry.metric}"
            row[place] = f"{entry.value:g}{told}"
        if places:
            notes.append(
                f"Published, not measured: `{entry.task}`, {entry.model}, {entry.metric} "
                f"{entry.value:g}; {entry.source} ({entry.certainty})"
            )
    return [[f"{model} (published)", *row] for model, row in rows.items()], notes
