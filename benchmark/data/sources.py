"""Find the tables of a source: the hub, a mirror of it, this package, or the user's files.

tasks/README.md describes sources and splits; `benchmark.data.formats` reads each file.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.core import Array, UserError
from benchmark.data.formats import NAMES, open_file, position, suffix

if TYPE_CHECKING:
    import pyarrow as pa

VALID_NAMES = ("valid", "validation", "val", "dev")
FIRST = ("test", "fold", "superfamily", "family")
"""Order of test sets, of which the first ranks: the hardest level of SCOP; others by name."""
HIDDEN = "hidden files"
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(-[0-9a-f]+)?")


class Part(NamedTuple):
    """Rows of a source, and where each of them stands."""

    table: "pa.Table"
    place: str
    """Names the table in errors."""
    files: Sequence[tuple[Path, int]] = ()
    """Files, each with its number of rows."""
    rows: Array | None = None
    """Index of each row in the rows of all files; None: all of them."""

    def where(self, row: int) -> str:
        """Name a row in errors, by its line in its file if it has one."""
        number = row if self.rows is None else int(self.rows[row])
        for file, count in self.files:
            if number < count:
                return position(file, number)
            number -= count
        return f"row {number + 1} of {self.place}"

    def take(self, rows: Sequence[int] | Array) -> "Part":
        """Some of the rows."""
        chosen = np.asarray(rows, np.int64)
        before = chosen if self.rows is None else self.rows[chosen]
        return self._replace(table=self.table.take(chosen), rows=before)

    def by_value(self, values: Sequence[str | None]) -> dict[str, "Part"]:
        """The rows of each value, in the order of their first rows; without those of None."""
        rows: dict[str, list[int]] = {}
        for row, value in enumerate(values):
            if value is not None:
                rows.setdefault(value, []).append(row)
        return {value: self.take(chosen) for value, chosen in rows.items()}


class Reading(NamedTuple):
    """The tables of a source by name, and what was not read."""

    parts: dict[str, Part]
    unread_files: Sequence[str] = ()
    left_out: Mapping[str, int] = {}
    revision: str = ""
    """Commit of the hub's data set."""
    divided: bool = False
    """Whether the tables are splits, rather than one file."""


def read_source(source: str, mirror: str | None, revision: str | None) -> Reading:
    """Read all tables of a source."""
    from benchmark.pocket import FOLDER

    kind, _, name = str(source).partition(":")
    if kind == "hub" and mirror:
        return read_files(Path(mirror) / name, f"the mirror of {name}")
    if kind == "hub":
        return _from_hub(name, revision)
    if kind == "package":
        return read_files(FOLDER / name, f"the embedded {name}")
    if kind == "file":
        return read_files(Path(name).expanduser(), f"the source {name}")
    raise UserError(f"source {source!r} is not known; it starts with hub:, package: or file:")


def name_splits(parts: Mapping[str, Part], source: str) -> dict[str, Part]:
    """The splits by our names, train first, then valid, then the test sets, hardest first."""
    splits = dict[str, Part]()
    for name, part in parts.items():
        if (known := split_name(name, source)) in splits:
            raise UserError(f"{source} has two splits that mean {known}; leave one")
        splits[known] = part
    order = {name: place for place, name in enumerate(("train", "valid", *FIRST))}
    names = sorted(splits, key=lambda name: (order.get(name, len(order)), name))
    if "train" not in splits or not set(names) - {"train", "valid"}:
        raise UserError(
            f"{source} has the splits {', '.join(parts)}; it needs at least train and test"
        )
    return {name: splits[name] for name in names}


def split_name(name: str, source: str) -> str:
    """Our name of a source's split: train, valid, test, test2, or X for a test set test.X."""
    if name in VALID_NAMES:
        return "valid"
    first, _, further = name.partition(".")
    if name == "train" or re.fullmatch(r"test\d*", name):
        return name
    if first == "test" and further not in ("", "train", *VALID_NAMES):
        return further
    raise UserError(
        f"{source} has a split {name!r}; allowed are train, {' or '.join(VALID_NAMES)}, test, and "
        "test2 or test.NAME for further test sets"
    )


def read_files(path: Path, what: str) -> Reading:
    """Read a folder of tables, named after their files, or one file."""
    import pyarrow as pa

    if not path.is_dir():
        check_file(path, what)
        table, left_out = open_file(path, what)
        stem = path.name[: -len(suffix(path))]
        return Reading({stem: Part(table, what, [(path, table.num_rows)])}, (), dict(left_out))
    hidden = [file for file in path.iterdir() if file.name.startswith(".")]
    others = sorted(file for file in path.iterdir() if file not in hidden)
    files = [file for file in others if suffix(file) and file.is_file()]
    unread = [file.name for file in others if file not in files]
    if not files and (path / "data").is_dir():  # as the hub has it
        reading = read_files(path / "data", what)
        unread.remove("data")
        all_left_out = Counter(reading.left_out) + Counter({HIDDEN: len(hidden)})
        return reading._replace(
            unread_files=[*unread, *reading.unread_files], left_out=dict(all_left_out)
        )
    if not files:
        raise UserError(f"{what} holds no table; put {NAMES} files there")
    parts, left_out = dict[str, Part](), Counter[str]()
    for name, shards in by_split(files, what).items():
        opened = [open_file(file, f"{what}: {file.name}") for file in shards]
        tables = [table for table, _ in opened]
        counts = [(file, t.num_rows) for file, t in zip(shards, tables, strict=True)]
        if any(table.schema != tables[0].schema for table in tables):
            raise UserError(f"{what}: the files of {name} have different columns; download again")
        parts[name] = Part(pa.concat_tables(tables), f"{what}, split {name},", counts)
        left_out.update(sum((counted for _, counted in opened), Counter[str]()))
    left_out[HIDDEN] = len(hidden)
    return Reading(parts, unread, dict(+left_out), divided=True)


def check_file(path: Path, what: str) -> None:
    """Refuse a path that is not a file of a known format."""
    if not path.exists():
        raise UserError(
            f"{what} is not there: {path.absolute()} is neither a folder nor a file; give a "
            "folder with train and test as .parquet or .csv or .fasta, or one such file"
        )
    if not suffix(path):
        kind = {".pt": " holds tensors, perhaps embeddings of fair-esm; a task reads sequences"}
        reason = kind.get(path.suffix, f" is a {path.suffix or 'file without an ending'}")
        raise UserError(f"{what}{reason}; a table is a {NAMES} file")


def by_split(files: Sequence[Path], what: str) -> dict[str, list[Path]]:
    """The files of each split: one, or the shards that the hub divides a split into."""
    found: dict[str, dict[tuple[int, int], Path]] = {}
    for file in files:
        name, shard = file.name[: -len(suffix(file))], (0, 1)
        if match := SHARD.fullmatch(name):
            name, shard = match[1], (int(match[2]), int(match[3]))
        if shard in found.setdefault(name, {}):
            raise UserError(f"{what} holds a table in two formats; leave one of them ({name})")
        found[name][shard] = file
    for name, shards in found.items():
        _, total = min(shards)
        if sorted(shards) != [(number, total) for number in range(total)]:
            raise UserError(
                f"{what} has {len(shards)} of {total} files of {name}; download it completely"
            )
    return {name: [shards[shard] for shard in sorted(shards)] for name, shards in found.items()}


def _from_hub(name: str, revision: str | None) -> Reading:
    """Read a data set from the hub, and its commit; with HF_HUB_OFFLINE=1 an earlier download."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    datasets.enable_progress_bars()
    try:
        with suppress(OfflineModeIsEnabled):
            # first, because it fails at once without a network, and resolves the revision
            revision = HfApi().dataset_info(name, revision=revision, timeout=20).sha
        loaded = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # the network stack below raises many unrelated types
        raise UserError(
            f"cannot get {name} from the hub ({type(error).__name__}); connect to the network (and "
            "log in with `hf auth login` if its page asks for it), set HF_HUB_OFFLINE=1 to use an "
            f"earlier download, or give mirror=DIR with DIR/{name}/train.parquet and test.parquet "
            "(valid.parquet if there is one)"
        ) from None
    parts = {
        str(split): Part(loaded[split].data.table, f"split {split} of hub:{name}")
        for split in loaded
    }
    return Reading(parts, revision=revision or "an earlier download", divided=True)
