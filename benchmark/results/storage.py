"""Read and write Records: a JSON file per run, and next to it the predictions as Parquet.

    results/<task>/<model>/<method>/<key>/seed<k>.json, seed<k>.parquet

and, of tasks of generation, the sequences as seed<k>.fasta.

Files are written under a temporary name and renamed, so an interrupted run leaves no partial file.
"""

import gc
import json
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.core import UserError
from benchmark.files import replacing
from benchmark.results.migrations import migrate
from benchmark.results.predictions import as_fasta, column
from benchmark.results.record import FORMAT, Record

TITLE = "# Leaderboard"
"""First line of the tables' README.md."""
KEY = "[0-9a-f]" * 8
"""Of the names of folders; no others are looked into, so that results=/ is not a search."""
RECORDS = f"*/*/*/{KEY}/seed*.json"
"""Pattern of the files of Records below a folder of results."""
CLONE = Path(__file__).parents[2]
FOLDERS = (CLONE / "results", Path(__file__).parent / "reference")
"""Where the committed Records are: in a clone, or inside the installed package."""


def save(record: Record, predictions: Mapping[str, Sequence[Any]], results: Path) -> Path:
    """Write the predictions and the Record; on a full disk neither. Return the Record's path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, text = results / record.path, as_text(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")
        with replacing(path.with_suffix(".parquet")) as table:  # takes its place first
            columns = {name: column(values) for name, values in predictions.items()}
            pq.write_table(pa.table(columns), table, compression="zstd")
            if "sequence" in predictions:
                with replacing(path.with_suffix(".fasta")) as fasta:
                    fasta.write_text(as_fasta(predictions), encoding="ascii")
    return path


def write_record(record: Record, results: Path) -> None:
    """Write or replace the Record; its predictions stay unchanged."""
    with replacing(results / record.path) as file:
        file.write_text(as_text(record), encoding="utf-8")


def as_text(record: Record) -> str:
    """The Record as JSON."""
    return json.dumps(asdict(record), indent=1, allow_nan=False) + "\n"


def load(path: Path) -> Record:
    """Read one Record."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if (old := values["format"]) not in range(1, FORMAT + 1):
            raise UserError(f"{path} has the format {old}; this program reads 1 to {FORMAT}")
        return Record(**migrate(values))
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{path} is not a Record of this program; move it out of results") from None


def load_all(results: Path, tasks: Collection[str] | None = None) -> list[Record]:
    """Read all Records below a folder, or those of some tasks, oldest first.

    A file that cannot be read is reported on stderr and left out.
    """
    records = []
    for path in sorted(results.glob(RECORDS)):
        try:
            if tasks is None or path.parts[-5] in tasks:
                records.append(load(path))
        except UserError as error:
            print(f"left out of the tables: {error}", file=sys.stderr)
    return sorted(records, key=lambda record: record.created)


def states(results: Path) -> dict[Path, int]:
    """The folders of Records, with what changes when another process adds or replaces one."""
    found = {}
    for path in results.glob(f"*/*/*/{KEY}"):
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_mtime_ns
    return found


def load_below(path: Path) -> tuple[list[Record], Path]:
    """The Records at a file, or below a folder of results, of a task, model, method or key.

    Oldest first, with the results folder that they are in.
    """
    path = path.expanduser().absolute()
    files = [file for level in range(5) for file in path.glob(f"{'*/' * level}seed*.json")]
    files = [path] if path.is_file() else [f for f in files if re.fullmatch(KEY, f.parent.name)]
    records = sorted(map(load, files), key=lambda record: record.created)
    return records, files[0].parents[4] if files else path


def default_results() -> Path:
    """The folder for a user's own Records: `results`; in a clone of the program `results/local`."""
    in_clone = (CLONE / "pyproject.toml").is_file() and Path.cwd() == CLONE
    return Path("results/local" if in_clone else "results")


def reference() -> Path:
    """The folder of the committed Records."""
    return next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])


def with_reference(records: Sequence[Record], results: Path) -> list[Record]:
    """Add the committed Records of the same tasks to a user's own; oldest first."""
    folder = reference()
    if results.resolve() == folder.resolve():
        return list(records)
    tasks = {record.task for record in records}
    return sorted([*load_all(folder, tasks), *records], key=lambda record: record.created)


def folder_of(record: Record, results: Path) -> Path:
    """The results folder that a Record is in: the user's, or that of the committed ones."""
    folders = (results, *FOLDERS)
    return next((folder for folder in folders if (folder / record.path).is_file()), results)


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for reference cycles, which takes as long as reading: there are none in Records."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def find(word: str, results: Path) -> Record:
    """Read the Record at a file, in a folder with a single Record, or with a key."""
    path = Path(word).expanduser()
    found = [path]
    if not path.is_file():
        found = [file for level in range(5) for file in path.glob(f"{'*/' * level}seed*.json")]
    if not found and re.fullmatch(KEY, word):
        found = sorted(results.glob(f"*/*/*/{word}/seed*.json"))
    if len(found) != 1:
        matches = f"several Records ({', '.join(map(str, found[:3]))}, ...)"
        raise UserError(
            f"{word} matches {matches if found else 'no Record'} in {results}; give a file, a "
            "folder with one Record, or a key of eight letters that has one seed"
        )
    return load(found[0])


def check_writable(results: Path) -> None:
    """Refuse a folder, before the run, to which the Record cannot be written."""
    try:
        existing = next(f for f in (results, *results.absolute().parents) if f.exists())
        readme = results / "README.md"
        if readme.exists() and not readme.read_text(errors="replace").startswith(TITLE):
            raise UserError(
                f"results={results} holds a README.md that is not a leaderboard, which the tables "
                "would replace; give another folder"
            )
        tempfile.TemporaryFile(dir=existing).close()  # the folder is made with its first Record
    except OSError as error:
        reason = f"cannot write to results={results} ({error.strerror}); give another folder"
        raise UserError(reason) from None
