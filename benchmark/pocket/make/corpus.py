"""Make the corpus of the pocket models: `python -m benchmark.pocket.make.corpus --out DIR`.

Swiss-Prot 2014_01 -> without relatives of the embedded tasks' valid and test proteins -> held-out
proteins in bands of identity to what is left -> the training set. It takes about half an hour on
two cores, nearly all of it MMseqs2; seeded, the same packages give the same files:

- train.txt.gz, a sequence a line, in random order (68 MB; it is not shipped);
- watched.txt, the first 15 held-out proteins of each band: their loss is logged in training;
- heldout.parquet, natural.fasta.gz, counts.npz, which are shipped.
"""

import argparse
import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.backbones.baselines.ngram import count_triples
from benchmark.core import RESIDUES
from benchmark.data import mmseqs
from benchmark.pocket import FOLDER
from benchmark.pocket.make.build import clusters
from benchmark.pocket.make.script import one_sentence
from benchmark.pocket.make.sources import Protein, check_packages, entries

SEED = 0
SHORTEST, LONGEST = 30, 1022
EVALUATED = ("structure", "location", "metal", "solubility")
"""Files of the embedded tasks."""
DROPPED = "dropped.parquet"
"""Rows that `leaks.py` moved out of these files; `file`, `part` (split or band), `identity`."""
LEAK = 0.5
"""Relatives of valid and test proteins with at least this identity are left out."""
FAR = 0.3
"""Proteins of the last band are dropped if another search finds a relative of this identity."""
COVERAGE = 0.8
"""Share of the shorter protein that an alignment must cover for its identity to count."""
BANDS = {"70-90": (0.7, 0.9), "50-70": (0.5, 0.7), "30-50": (0.3, 0.5), "no-hit": (0.0, 0.0)}
"""Identity to the nearest training protein; in the last band the search has no hit at all."""
HELD_OUT = 1000
"""Proteins in each band."""
CANDIDATES = 10_000
"""Proteins from which the held-out ones are chosen."""
SPARE = {"70-90": 1.1, "50-70": 1.1, "30-50": 1.2, "no-hit": 1.5}
"""Proteins chosen per protein needed: the second, more sensitive search removes some."""
MOST_REMOVED = 20
"""Relatives that may leave the training set for one protein to be in a band."""
WATCHED = 15
"""Proteins of each band whose loss is logged in training."""
NATURAL = 10_000
"""Training proteins in natural.fasta.gz."""
FAST = "-s 4 -e 1e-3 --max-seqs 1000"
SENSITIVE = "-s 7.5 -e 1e-3 --max-seqs 1000"


class Relatives(NamedTuple):
    """Hits of one protein: indices, and identities, 0 where the coverage is too small."""

    target: NDArray[np.int64]
    identity: NDArray[np.float64]


class HeldOut(NamedTuple):
    """A held-out protein, and its identity to its nearest relative in the training set."""

    seq: str
    band: str
    identity: float


def swiss_prot() -> dict[str, str]:
    """Accession of each usable sequence of the three ontologies' databases, sorted by accession."""
    found = {
        title.partition("|")[0]: seq
        for ontology in ("BPO", "CCO", "MFO")
        for title, seq in entries(ontology)
        if SHORTEST <= len(seq) <= LONGEST and set(seq) <= set(RESIDUES)
    }
    first = {found[accession]: accession for accession in sorted(found, reverse=True)}
    return {accession: found[accession] for accession in sorted(first.values())}


def evaluated() -> list[str]:
    """Valid and test proteins of the embedded tasks, with those dropped since."""
    tables = (pq.read_table(FOLDER / f"{name}.parquet").to_pylist() for name in EVALUATED)
    found = {row["seq"] for table in tables for row in table if row["split"] != "train"}
    dropped = pq.read_table(FOLDER / DROPPED).to_pylist()
    return sorted(found | {row["seq"] for row in dropped if row["file"] in EVALUATED})


def relatives(queries: Sequence[str], targets: Sequence[str], options: str) -> list[Relatives]:
    """The hits of each query."""
    hits = mmseqs.search(queries, targets, options)
    identity = np.where(hits.coverage >= COVERAGE, hits.identity, 0)
    order = np.argsort(hits.query, kind="stable")
    ends = np.searchsorted(hits.query[order], np.arange(1, len(queries)))
    return [Relatives(hits.target[rows], identity[rows]) for rows in np.split(order, ends)]


def without_leaks(pool: Sequence[str]) -> list[str]:
    """The sequences without a relative among valid and test proteins of the embedded tasks."""
    leaks = {
        index
        for near in relatives(evaluated(), pool, FAST)
        for index in near.target[near.identity >= LEAK].tolist()
    }
    print(f"relatives of the tasks' valid and test proteins: {len(leaks):,}", flush=True)
    return [seq for index, seq in enumerate(pool) if index not in leaks]


def too_near(near: Relatives, band: str) -> set[int] | None:
    """The relatives to remove for a protein to be in a band; None: it cannot be in it."""
    low, high = BANDS[band]
    leaving = near.identity >= high
    if high and not np.any(near.identity[~leaving] >= low):
        return None
    return set(near.target[leaving].tolist()) if leaving.sum() <= MOST_REMOVED else None


def hold_out(pool: Sequence[str], rng: np.random.Generator) -> tuple[list[HeldOut], set[int]]:
    """The held-out proteins, and the indices of all that the training set must not contain."""
    candidates = rng.permutation(len(pool))[:CANDIDATES].tolist()
    found = relatives([pool[index] for index in candidates], pool, FAST)
    bands: dict[int, str] = {}
    left = {band: round(HELD_OUT * SPARE[band]) for band in BANDS}
    gone = set(candidates)
    for index, near in zip(candidates, found, strict=True):
        others = near.target != index
        near = Relatives(near.target[others], near.identity[others])
        for band in sorted(BANDS, key=lambda name: -left[name]):  # the emptiest first
            leaving = too_near(near, band)
            if left[band] and leaving is not None:
                left[band] -= 1
                bands[index] = band
                gone |= leaving
                break
    # those in no band return to the pool: the second search finds relatives among them
    gone -= set(candidates) - set(bands)
    rest = [index for index in range(len(pool)) if index not in gone]
    found = relatives([pool[index] for index in bands], [pool[i] for i in rest], SENSITIVE)
    near_to = [Relatives(np.array(rest)[near.target], near.identity) for near in found]
    for band, near in zip(bands.values(), near_to, strict=True):
        gone |= too_near(near, band) or set()
    left, kept = dict.fromkeys(BANDS, HELD_OUT), []
    for (index, band), near in zip(bands.items(), near_to, strict=True):
        stay = ~np.isin(near.target, list(gone))
        nearest = float(near.identity[stay].max(initial=0))
        low, high = BANDS[band]
        inside = low <= nearest < high if high else not stay.any()
        if inside and left[band]:
            left[band] -= 1
            kept.append(HeldOut(pool[index], band, nearest))
    print(f"held out: {Counter(one.band for one in kept)}, left out: {len(gone):,}", flush=True)
    return kept, gone


def write(out: Path) -> None:
    """Make all files."""
    rng = np.random.default_rng(SEED)
    accession = {seq: name for name, seq in swiss_prot().items()}
    pool = without_leaks(list(accession))
    kept, gone = hold_out(pool, rng)
    train = [pool[i] for i in rng.permutation(len(pool)).tolist() if i not in gone]
    cluster = clusters([Protein("", one.seq, {}) for one in kept])
    order = sorted(range(len(kept)), key=lambda row: list(BANDS).index(kept[row].band))
    seqs, bands, identities = zip(*(kept[row] for row in order), strict=True)
    columns = {
        "id": [accession[seq] for seq in seqs],
        "seq": seqs,
        "band": bands,
        "identity": pa.array(identities, pa.float32()),
        "cluster": pa.array(cluster[order], pa.int32()),
    }
    table = pa.table(columns)
    pq.write_table(table, out / "heldout.parquet", compression="zstd", compression_level=22)
    np.savez_compressed(out / "counts.npz", triples=count_triples(train))
    natural = "".join(f">{accession[seq]}\n{seq}\n" for seq in train[:NATURAL])
    texts = {"natural.fasta.gz": natural, "train.txt.gz": "".join(f"{seq}\n" for seq in train)}
    members = [[one.seq for one in kept if one.band == band][:WATCHED] for band in BANDS]
    (out / "watched.txt").write_text("".join(f"{seq}\n" for seqs in members for seq in seqs))
    for name, text in texts.items():  # without a time, so that the same text gives the same bytes
        (out / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"training set: {len(train):,} sequences, {sum(map(len, train)):,} residues")


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description="Make the pocket language models' corpus.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    out = parser.parse_args().out
    with one_sentence():
        check_packages()
        out.mkdir(parents=True, exist_ok=True)
        write(out)


if __name__ == "__main__":
    main()
