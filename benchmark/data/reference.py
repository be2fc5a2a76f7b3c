"""Natural proteins as a reference: a FASTA file or a database of MMseqs2, of any size.

A FASTA file is made a database once, in the user's cache, by its content.
"""

import os
import tempfile
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.core import RESIDUES, UserError
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
        rows = np.loadtxt(lines_of(self.path, ".index"), np.int64, ndmin=2)
        lengths = rows[:, 2] - 2  # a line end and a zero byte follow
        fitting = rows[(lengths >= PARAMETERS["shortest"]) & (lengths <= longest)]
        found = dict[str, None]()
        with self.path.open("rb") as file:
            for at in np.random.default_rng(seed).permutation(len(fitting)).tolist():
                if len(found) == number:
                    break
                file.seek(fitting[at, 1])
                chain = file.read(fitting[at, 2] - 2).decode("ascii")
                if not set(chain) - set(RESIDUES):
                    found[chain] = None
        return list(found)

    def nearest(self, chains: list[str]) -> list[Nearest | None]:
        """For each chain the hit with most equal residues (E-value as in an audit); None: no hit.

        Chains under 30 residues are too short for the search and have none.
        """
        long = [row for row, c in enumerate(chains) if len(c) >= PARAMETERS["shortest"]]
        hits, names = mmseqs.search_database([chains[row] for row in long], self.path, SEARCH)
        best: list[Nearest | None] = [None] * len(chains)
        for at in np.argsort(hits.equal, kind="stable").tolist():  # the last one has most
            row = long[int(hits.query[at])]
            best[row] = Nearest(names[at], float(hits.identity[at]), float(hits.coverage[at]))
        return best


def lines_of(path: Path, ending: str) -> list[str]:
    """Lines of a file of a database."""
    return path.with_name(path.name + ending).read_text().splitlines()


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
            if len(lines_of(place / "db", ".index")) >= INDEXED:
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
