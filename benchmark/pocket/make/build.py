"""Make the embedded data again, in ten minutes: `python -m benchmark.pocket.make.build --out DIR`.

Pool -> MMseqs2, all against all -> single-linkage clusters -> whole clusters assigned to splits ->
a second, exhaustive search across the splits -> Parquet. No two splits share relatives: proteins
with 30 % identity over 80 % of the shorter one. The first search has no effective E-value cut-off,
so its result does not depend on the size of the pool. Everything is seeded: the same packages give
the same bytes.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.core import Array
from benchmark.data import mmseqs
from benchmark.data.resampling_units import components
from benchmark.pocket.make.script import one_sentence
from benchmark.pocket.make.sources import POOLS, Protein, Random, check_packages

SEED = 0
SPLITS = ("train", "valid", "test")
SIZES = {
    "structure": (300, 60, 120),
    "location": (2000, 400, 600),
    "metal": (2000, 400, 600),
    "solubility": (2000, 400, 600),
}
MEMBERS = {"structure": 1, "location": 3, "metal": 3, "solubility": 3}
"""Largest number of proteins from one cluster."""
SPARE = 1.1
"""Proteins assigned per protein needed: the second search removes some."""

LABEL_TYPES = {
    "label": pa.int8(),
    "ss8": pa.string(),
    "contacts": pa.list_(pa.list_(pa.int16(), 2)),
}


class Search(NamedTuple):
    """Smallest identity of the aligned columns and coverage of the shorter protein, and options."""

    identity: float
    coverage: float
    options: str


# By k-mers, at the highest sensitivity; neither E-value nor number of hits limits the result
KMERS = Search(0.30, 0.80, "-s 7.5 -e 1e6 --max-seqs 10000")
# Every pair on every diagonal: slow, but misses no relative without a common k-mer. With a margin,
# because another aligner may place the ends of an alignment differently
EXHAUSTIVE = Search(0.28, 0.70, "--prefilter-mode 1 -e 1 --max-seqs 10000")

Dealt = dict[int, int]
"""Index into the pool -> index into SPLITS."""


def relatives(queries: Sequence[str], targets: Sequence[str], search: Search) -> Array:
    """Find related pairs: (m, 2), index into `queries` and into `targets`."""
    hits = mmseqs.search(queries, targets, f"{search.options} --min-seq-id {search.identity}")
    related = (hits.identity >= search.identity) & (hits.coverage >= search.coverage)
    return np.stack([hits.query, hits.target], axis=1)[related]


def clusters(pool: list[Protein]) -> Array:
    """Number the cluster of each protein, (n,): relatives of relatives belong together."""
    seqs = [protein.seq for protein in pool]
    return components(relatives(seqs, seqs, KMERS), len(pool))


def quotas(pool: list[Protein], size: int) -> Counter[Hashable]:
    """Number of proteins of each stratum in a split of `size`, in the pool's proportions."""
    strata = Counter(protein.stratum for protein in pool)
    return Counter({name: round(size * number / len(pool)) for name, number in strata.items()})


def deal(
    pool: list[Protein], cluster: Array, sizes: Sequence[int], members: int, rng: Random
) -> Dealt:
    """Assign clusters, in random order, to random splits that still need their strata.

    At most `members` proteins of a cluster are used, all in one split.
    """
    left = [quotas(pool, round(size * SPARE)) for size in sizes]
    by_cluster, dealt = defaultdict[int, list[int]](list), Dealt()
    for index in rng.permutation(len(pool)).tolist():
        by_cluster[int(cluster[index])].append(index)
    for indices in by_cluster.values():
        wanted = [any(lack[pool[index].stratum] > 0 for index in indices) for lack in left]
        if not any(wanted):
            continue
        chance = np.array(sizes) * wanted
        split = int(rng.choice(len(sizes), p=chance / chance.sum()))
        given = 0
        for index in indices:
            if given < members and left[split][pool[index].stratum] > 0:
                left[split][pool[index].stratum] -= 1
                dealt[index] = split
                given += 1
    return dealt


def without_relatives(pool: list[Protein], dealt: Dealt) -> Dealt:
    """Remove valid and test proteins that have a relative in another split, by exhaustive search.

    Of a related pair, the protein in the later of train, valid, test is removed.
    """
    held_out = [index for index, split in dealt.items() if split]
    everything, kept = list(dealt), dict(dealt)
    queries, targets = ([pool[index].seq for index in part] for part in (held_out, everything))
    pairs = relatives(queries, targets, EXHAUSTIVE)
    for query, target in sorted(pairs.tolist()):
        one, other = held_out[query], everything[target]
        if one in kept and other in kept and kept[one] != kept[other]:
            del kept[one if kept[one] > kept[other] else other]
    return kept


def trimmed(pool: list[Protein], dealt: Dealt, sizes: Sequence[int]) -> Dealt:
    """Reduce each split to its quotas; the proteins assigned last are removed first."""
    left, kept = [quotas(pool, size) for size in sizes], Dealt()
    for index, split in dealt.items():
        if left[split][pool[index].stratum] > 0:
            left[split][pool[index].stratum] -= 1
            kept[index] = split
    return kept


def table(pool: list[Protein], cluster: Array, dealt: Dealt, rng: Random) -> pa.Table:
    """Make the file's table: train, valid, test, each in random order."""
    shuffled = [list(dealt)[place] for place in rng.permutation(len(dealt))]
    rows = sorted(shuffled, key=lambda index: dealt[index])
    number: dict[int, int] = {}  # clusters in the order of their first row
    columns = {
        "id": [pool[index].id for index in rows],
        "seq": [pool[index].seq for index in rows],
        "split": [SPLITS[dealt[index]] for index in rows],
        "cluster": pa.array(
            [number.setdefault(int(cluster[index]), len(number)) for index in rows], pa.int32()
        ),
    }
    for name in pool[0].labels:
        columns[name] = pa.array([pool[index].labels[name] for index in rows], LABEL_TYPES[name])
    return pa.table(columns)


def build(name: str) -> pa.Table:
    """Make one file's table."""
    rng = np.random.default_rng([SEED, list(POOLS).index(name)])
    pool, sizes = POOLS[name](rng), SIZES[name]
    cluster = clusters(pool)
    dealt = deal(pool, cluster, sizes, MEMBERS[name], rng)
    apart = without_relatives(pool, dealt)
    kept = trimmed(pool, apart, sizes)
    print(
        f"{name}: pool {len(pool)}, clusters {cluster.max() + 1}, largest "
        f"{np.bincount(cluster).max()}, dealt {len(dealt)}, related across splits "
        f"{len(dealt) - len(apart)}, kept {len(kept)}",
        flush=True,
    )
    return table(pool, cluster, kept, rng)


def write_table(table: pa.Table, file: Path) -> None:
    """Write at the highest level: once, and every copy of the package carries it."""
    short = ["split", "cluster", "label", "band", "file", "part"]
    pq.write_table(table, file, compression="zstd", compression_level=22, use_dictionary=short)


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description="Remake the embedded data.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--only", choices=list(POOLS), nargs="+", default=list(POOLS))
    options = parser.parse_args()
    with one_sentence():
        check_packages()
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            write_table(build(name), options.out / f"{name}.parquet")


if __name__ == "__main__":
    main()
