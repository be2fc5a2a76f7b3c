"""Drop evaluated proteins with a relative in the corpus that the searches of `corpus.py` missed.

    python -m benchmark.pocket.make.leaks --corpus train.txt.gz

Held-out proteins and the tasks' valid and test proteins are searched against the training set
again: with a higher E-value and more hits, and for exact 5-mers without masking of low complexity.
Rows whose relative is too close move from the Parquet files to dropped.parquet, where
`corpus.evaluated` still reads them: a corpus made again is the same.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.core import Array
from benchmark.pocket import FOLDER
from benchmark.pocket.make.build import write_table
from benchmark.pocket.make.corpus import BANDS, DROPPED, EVALUATED, FAR, LEAK, relatives
from benchmark.pocket.make.script import one_sentence
from benchmark.pocket.make.train import read_chains

WIDE = "-e 1 --max-seqs 10000 --min-ungapped-score 45 --min-seq-id 0.3"
"""What has E <= 1 in this corpus scores 79 or more with gaps, and nearly always 45 without."""
EXACT = "-k 5 --exact-kmer-matching 1 --spaced-kmer-mode 0 --mask 0 --comp-bias-corr 0"
LIMITS = {"valid": LEAK, "test": LEAK} | {band: high or FAR for band, (_, high) in BANDS.items()}
"""Identity to the corpus from which on a row of a split or a band is dropped."""


def nearest(queries: Sequence[str], limits: Array, corpus: Sequence[str]) -> Array:
    """Identity of each query to its nearest relative, (n,); 0 without a relative.

    Close relatives are found at a low sensitivity, too, which takes a tenth of the time.
    """
    identity = np.zeros(len(queries), np.float32)
    far = limits <= FAR
    for options, chosen in (("-s 7.5", far), ("-s 4", ~far), (EXACT, far | ~far)):
        rows = np.flatnonzero(chosen).tolist()
        found = relatives([queries[row] for row in rows], corpus, f"{options} {WIDE}")
        for row, near in zip(rows, found, strict=True):
            identity[row] = max(identity[row], near.identity.max(initial=0))
    return identity


def drop(folder: Path, corpus: Sequence[str]) -> None:
    """Move the rows that are too close to the corpus to dropped.parquet in the same folder."""
    tables = {name: pq.read_table(folder / f"{name}.parquet") for name in (*EVALUATED, "heldout")}
    every = pa.concat_tables(part_of(name, table) for name, table in tables.items())
    limits = np.array([LIMITS.get(part, np.inf) for part in every["part"].to_pylist()])
    evaluated = np.flatnonzero(np.isfinite(limits))
    identity = np.zeros(len(every), np.float32)
    queries = every["seq"].take(evaluated).to_pylist()
    identity[evaluated] = nearest(queries, limits[evaluated], corpus)
    leaks = identity >= limits
    found = every.append_column("identity", pa.array(identity)).filter(pa.array(leaks))
    before = [pq.read_table(folder / DROPPED)] if (folder / DROPPED).exists() else []
    write_table(pa.concat_tables([*before, found]), folder / DROPPED)
    for name, table in tables.items():
        keep, leaks = ~leaks[: len(table)], leaks[len(table) :]
        print(f"{name}: {len(table) - keep.sum():,} of {len(table):,} rows dropped", flush=True)
        write_table(table.filter(pa.array(keep)), folder / f"{name}.parquet")


def part_of(name: str, table: pa.Table) -> pa.Table:
    """A file's rows by file, part (split or band), id and sequence."""
    part = table["band" if name == "heldout" else "split"]
    columns = {"file": pa.array([name] * len(table)), "part": part}
    return pa.table(columns | {key: table[key] for key in ("id", "seq")})


def main() -> None:
    """Read the command line and rewrite the package's files."""
    parser = argparse.ArgumentParser(description="Drop proteins with relatives in the corpus.")
    parser.add_argument("--corpus", type=Path, required=True, help="train.txt.gz of make.corpus")
    with one_sentence():
        drop(FOLDER, read_chains(parser.parse_args().corpus))


if __name__ == "__main__":
    main()
