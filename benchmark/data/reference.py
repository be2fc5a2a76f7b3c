"""Natural proteins as a reference: a FASTA file or a database of MMseqs2, of any size.

A FASTA file is made a database once, in the user's cache, by its content.
"""

import os
import tempfile
from hashlib import file_digest
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.core import RESIDUES, Array, UserError
from benchmark.data import mmseqs
from benchmark.data.homology import PARAMETERS

INDEXED = 500_000
"""From so many proteins on a FASTA's database has an index of k-mers, which takes much space."""
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
                chain = file.readline().decode("ascii").rstrip("\n")
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


def open_reference(source: str) -> Reference:
    """Open `package:NAME`, or the path of a FASTA file (also .gz) or of a database."""
    from benchmark.pocket import FOLDER

    kind, _, name = source.rpartition(":")
    path = FOLDER / name if kind == "package" else Path(source.removeprefix("file:")).expanduser()
    database = path.with_name(f"{path.name}.dbtype").is_file()
    if not path.is_file():
        raise UserError(
            f"task.reference={source} is not a file; give a FASTA file (also .gz), or a database "
            "that `mmseqs createdb` made"
        )
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        content = file_digest(file, "blake2b").hexdigest()[:16]
    if database:
        dbtype = path.with_name(f"{path.name}.dbtype").read_bytes()
        if any(dbtype):  # 0: plain amino acids
            raise UserError(
                f"task.reference={source} is a database of MMseqs2 that is compressed, or not of "
                "protein sequences; give one that `mmseqs createdb` made of proteins without "
                "--compressed, or make it with `mmseqs decompress`"
            )
        index = path.with_name(f"{path.name}.index")
        if not index.is_file() or not index.stat().st_size:
            raise UserError(
                f"task.reference={source} lacks its index, {index}; make the database again with "
                "`mmseqs createdb`"
            )
        return Reference(path, content)
    if start[:1] not in (b">", b";") and start != b"\x1f\x8b":
        raise UserError(
            f"task.reference={source} is neither a FASTA file, which begins with >, nor a database "
            "of MMseqs2, which has a file .dbtype next to it; give one of them"
        )
    return Reference(made_database(path, content), content)


def made_database(fasta: Path, content: str) -> Path:
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
