"""A baseline of `gate`: a frozen copy of a model's Records, which only a promotion replaces.

<folder>/<task>/<model>/<method>/<key>/seed<k>.json, seed<k>.parquet
<folder>/promoted.json    {"content": digest of the files, "history": [{"when", "reason", ...}]}
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from shutil import copy2, rmtree
from typing import Any, NamedTuple
from uuid import uuid4

from benchmark.core import UserError
from benchmark.results.predictions import VALUES
from benchmark.results.record import Record
from benchmark.results.storage import folder_of, load_all, load_below

LOG = "promoted.json"


class Results(NamedTuple):
    """One model's Records, and the folder of results that they are in."""

    name: str
    folder: Path
    records: Sequence[Record]


def find_results(word: str, results: Path) -> Results:
    """The Records of a folder of results, of a folder in one, or of a model in `results`."""
    path = Path(word).expanduser()
    records = load_all(results)
    if path.is_dir() and (load_below(path)[0] or word not in {r.model for r in records}):
        return read_results(path)
    if not (found := [record for record in records if record.model == word]):
        known = ", ".join(sorted({record.model for record in records})) or "none"
        raise UserError(
            f"{word} is not a folder, and no model in results={results}; models there: {known}"
        )
    return Results(word, results, found)


def read_results(path: Path) -> Results:
    """The Records of one model in a folder of results, or in a folder of a task, model or key."""
    records, folder = load_below(path)
    models = sorted({record.model for record in records})
    if not path.is_dir():
        raise UserError(
            f'baseline={path} is not a folder; make it by promote=true reason="..." with a '
            "candidate"
        )
    if not models:
        raise UserError(f"there are no Records in {path}; give a folder of results")
    if len(models) > 1:
        raise UserError(
            f"{path} has Records of several models ({', '.join(models[:3])}); give a folder of "
            "one, or as a candidate the model's name with results=FOLDER"
        )
    return Results(path.name if folder == path.absolute() else models[0], folder, records)


def require_whole(baseline: Path) -> None:
    """Refuse a baseline whose promotion was interrupted between moving the two folders."""
    previous = baseline.with_name(f"{baseline.name}.previous")
    if not baseline.exists() and (previous / LOG).exists():
        raise UserError(
            f"{baseline} is missing, and {previous} is there: a promotion was interrupted; rename "
            f"it to {baseline.name} again, or move it away to start over"
        )


def promoted(records: Sequence[Record]) -> Sequence[Record]:
    """What a baseline takes of these Records: those without limit=, if there are any."""
    return [record for record in records if record.limit is None] or records


def promote(
    records: Sequence[Record], results: Path, baseline: Path, entry: Mapping[str, Any]
) -> Path | None:
    """Replace the folder `baseline` by a copy of these Records, and note the entry in its history.

    The copy is complete before it takes the folder's place. The earlier folder is moved to
    NAME.previous, whose path is returned; None: there was no folder.
    """
    history = read_log(baseline).get("history", [])
    new = baseline.with_name(f".{baseline.name}.{uuid4().hex}")
    previous = baseline.with_name(f"{baseline.name}.previous")
    try:
        for record in promoted(records):
            copy(record, folder_of(record, results), new)
        log = {"content": content(new), "history": [*history, dict(entry)]}
        (new / LOG).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
        if existed := baseline.exists():
            if previous.exists() and not (previous / LOG).exists():
                raise UserError(f"{previous} is not an earlier baseline; move it away")
            rmtree(previous, ignore_errors=True)
            baseline.rename(previous)
        try:
            new.rename(baseline)
        except OSError:
            if existed:
                previous.rename(baseline)
            raise
    finally:
        rmtree(new, ignore_errors=True)
    return previous if existed else None


def copy(record: Record, source: Path, target: Path) -> None:
    """Copy a Record and its predictions, in the light form those of its task."""
    (target / record.folder).mkdir(parents=True, exist_ok=True)
    copy2(source / record.path, target / record.path)
    predictions, light = record.path.with_suffix(".parquet"), Path(record.task, VALUES)
    copied = next((path for path in (predictions, light) if (source / path).exists()), None)
    if copied is None:
        raise UserError(
            f"{source / record.path} has no predictions next to it; run it again with rerun=true"
        )
    if not (target / copied).exists():
        copy2(source / copied, target / copied)


def read_log(baseline: Path) -> dict[str, Any]:
    """The content of promoted.json; empty for a folder that was copied by hand."""
    file = baseline / LOG
    try:
        log = json.loads(file.read_text(encoding="utf-8"))
        return {"content": str(log["content"]), "history": list(log["history"])}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{file} is not written by gate; restore it, or delete it to start a new history"
        ) from None


def is_changed(baseline: Path) -> bool:
    """Whether a file was changed, added or removed since the promotion."""
    log = read_log(baseline)
    return bool(log) and log["content"] != content(baseline)


def content(folder: Path) -> str:
    """Digest of the Records and predictions in a folder."""
    digest = blake2b(digest_size=8)
    for file in sorted(f for p in ("*.json", "*.parquet") for f in folder.rglob(p)):
        if file.name != LOG:
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
