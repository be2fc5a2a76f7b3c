"""The committed Records that come with the program, read-only, and the folder of a user's own."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.results.record import Record
from benchmark.results.storage import load_all

CLONE = Path(__file__).parents[2]
FOLDERS = (CLONE / "results", Path(__file__).parent / "reference")
"""Where the committed Records are: in a clone, or inside the installed package."""


def default_results() -> Path:
    """The folder for a user's own Records: `results`; in a clone of the program `results/local`."""
    in_clone = (CLONE / "pyproject.toml").is_file() and Path.cwd() == CLONE
    return Path("results/local" if in_clone else "results")


def with_reference(records: Sequence[Record], results: Path) -> list[Record]:
    """Add the committed Records of the same tasks to a user's own; oldest first."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), None)
    if folder is None or results.resolve() == folder.resolve():
        return list(records)
    tasks = {record.task for record in records}
    return sorted([*load_all(folder, tasks), *records], key=lambda record: record.created)
