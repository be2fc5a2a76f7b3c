"""Natural proteins as a reference: a FASTA file or a database of MMseqs2, of any size.

A FASTA file is made a database once, in the user's cache, by its content.
"""

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from hashlib import file_digest
from itertools import islice
from math import inf
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.core import RESIDUES, Array, UserError
from benchmark.data import mmseqs
from benchmark.data.cell_values import STOP
from benchmark.data.homology import PARAMETERS, nearest_relatives

INDEXED = 500_000
"""From so many proteins on a FASTA's database has an index of k-mers, which takes much space."""
GZIP = b"\x1f\x8b"
"""First bytes of a .gz file."""
BLOCK = 100_000
"""Chains that are read at once."""
SEARCH = f"-s {PARAMETERS['sensitivity']} -e {PARAMETERS['evalue']}"


class Nearest(NamedTuple):
    """The natural protein that shares most with a chain."""

    name: str
    identity: float
    """Share of equal residues among the aligned columns."""
    coverage: float
    """Share of the shorter of the two that is aligned."""


class Reference(NamedTuple):
    """A database of natural proteins."""

    path: Path
    digest: str
    """Of its content."""
    name: str
    """Of the user's file."""

    def blocks(self) -> Iterator[Sequence[str]]:
        """All chains, in parts."""
        with (
            self.path.open("rb") as file,
            mmap(file.fileno(), 0, access=ACCESS_READ) as data,
            self.path.with_name(f"{self.path.name}.index").open() as index,
        ):
            rows = (map(int, line.split()) for line in index)
            chains = (data[start : start + size - 2] for _, start, size in rows)
            while block := [
                chain.decode("ascii").upper().removesuffix(STOP) for chain in islice(chains, BLOCK)
            ]:
                yield block

    def relatives(self, chains: Sequence[str]) -> tuple[Array, Array]:
        """Whether each chain is in it, and its identity with the nearest relative, as an audit."""
        return nearest_relatives(
            chains,
            self.blocks,
            lambda queries, options: mmseqs.search_database(queries, self.path, options),
        )

    def draw(self, number: int, longest: int, seed: int) -> list[str]:
        """Different proteins of the 20 residues and of a length from 30 to `longest`, at random."""
        starts = entries(self.path, PARAMETERS["shortest"], longest)
        np.random.default_rng(seed).shuffle(starts)
        found = dict[str, None]()
        with self.path.open("rb") as file:
            for start in starts:
                if len(found) == number:
                    break
                file.seek(start)
                chain = file.readline().decode("ascii").rstrip("\n").removesuffix(STOP)
                if not set(chain) - set(RESIDUES):
                    found[chain] = None
        return list(found)

    def nearest(self, chains: list[str]) -> list[Nearest | None]:
        """For each chain the hit with most equal residues (E-value as in an audit); None: no hit.

        Chains under 30 residues are too short for the search and have none.
        """
        long = [row for row, c in enumerate(chains) if len(c) >= PARAMETERS["shortest"]]
        hits = mmseqs.search_database([chains[row] for row in long], self.path, SEARCH)
        best: list[Nearest | None] = [None] * len(chains)
        for at in np.argsort(hits.equal, kind="stable").tolist():  # the last one has most
            row, scores = long[int(hits.query[at])], (hits.identity[at], hits.coverage[at])
            best[row] = Nearest(hits.names[at], *map(float, scores))
        return best


def entries(database: Path, shortest: float, longest: float) -> Array:
    """Where the sequences of these lengths start in a database, (n,), in bytes.

    The index is read in blocks: of a billion proteins no more than the starts are in memory.
    """
    import pyarrow.csv

    index = database.with_name(f"{database.name}.index")
    columns = pyarrow.csv.ReadOptions(column_names=["key", "start", "bytes"])
    tabs = pyarrow.csv.ParseOptions(delimiter="\t")
    found = [np.empty(0, np.int64)]
    with pyarrow.csv.open_csv(index, columns, tabs) as blocks:
        for block in blocks:
            lengths = block["bytes"].to_numpy() - 2  # a line end and a zero byte follow
            found.append(block["start"].to_numpy()[(lengths >= shortest) & (lengths <= longest)])
    return np.concatenate(found)


def open_reference(source: str, setting: str = "reference") -> Reference:
    """Open `package:NAME`, or the path of a FASTA file (also .gz) or of a database.

    setting: of the task, which gives the source.
    """
    from benchmark.pocket import FOLDER

    given = f"task.{setting}={source}"
    kind, _, name = source.rpartition(":")
    path = FOLDER / name if kind == "package" else Path(source.removeprefix("file:")).expanduser()
    if not path.is_file():
        raise UserError(
            f"{given} is not a file; give a FASTA file (also .gz), or a database "
            "that `mmseqs createdb` made"
        )
    with path.open("rb") as file:
        content = file_digest(file, "blake2b").hexdigest()[:16]
    if path.with_name(f"{path.name}.dbtype").is_file():
        return checked(Reference(path, content, path.name), given)
    if first_byte(path) not in (b">", b";"):
        raise UserError(
            f"{given} is neither a FASTA file, which begins with >, nor a database of MMseqs2, "
            "which has a file .dbtype next to it; give one of them"
        )
    return checked(Reference(made_database(path, content, given), content, path.name), given)


def first_byte(path: Path) -> bytes:
    """Of a file, decompressed if it is a .gz; b"" if that fails."""
    with path.open("rb") as file:
        start = file.read(2)
    if start != GZIP:
        return start[:1]
    try:
        with gzip.open(path) as text:
            return text.read(1)
    except (OSError, EOFError, zlib.error):
        return b""


def refuse_damaged(fasta: Path, given: str) -> None:
    """Refuse a .gz file that cannot be read to its end, which MMseqs2 would read in part."""
    with fasta.open("rb") as file:
        if file.read(2) != GZIP:
            return
    try:
        with gzip.open(fasta) as text:
            while text.read(1 << 24):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{given} is damaged or cut off ({error}); copy it again") from None


def checked(reference: Reference, given: str) -> Reference:
    """The same; refuse a database of other things than proteins, or without residues."""
    kind = reference.path.with_name(f"{reference.path.name}.dbtype").read_bytes()
    if any(kind[:4]):
        raise UserError(
            f"{given} is a file of nucleotides, or a database of MMseqs2 that is compressed or not "
            "of proteins; give protein sequences, or decompress it with `mmseqs decompress`"
        )
    index = reference.path.with_name(f"{reference.path.name}.index")
    if not index.is_file():
        raise UserError(f"{given} lacks its index, {index}; make it again with `mmseqs createdb`")
    if not reference.path.stat().st_size or not any(map(any, reference.blocks())):
        raise UserError(f"{given} has no sequences; give a file of proteins")
    return reference


def made_database(fasta: Path, content: str, given: str) -> Path:
    """The database of a FASTA file, made now or before."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        folder = cache / "plm-benchmark" / "mmseqs"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir(), f"plm-benchmark-{os.getuid()}", "mmseqs")
        folder.mkdir(parents=True, exist_ok=True)
    made = folder / content
    if not made.is_dir():
        refuse_damaged(fasta, given)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            place = Path(scratch, "made")
            place.mkdir()
            mmseqs.run([mmseqs.program(), "createdb", fasta, place / "db", "-v", "1"])
            if len(entries(place / "db", 0, inf)) >= INDEXED:
                words = ["-s", str(PARAMETERS["sensitivity"]), "-v", "1"]
                mmseqs.run(
                    [mmseqs.program(), "createindex", place / "db", Path(scratch, "tmp"), *words]
                )
            try:
                place.rename(made)
            except OSError:  # another process was first
                if not made.is_dir():
                    raise
    return made / "db"
