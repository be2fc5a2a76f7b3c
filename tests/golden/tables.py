"""The tables and tasks that the golden cases run on: tiny, and always the same."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.core import RESIDUES

Rows = dict[str, list[Any]]

SPLITS = ["train"] * 36 + ["valid"] * 12 + ["test"] * 16
FEW = ["train"] * 20 + ["valid"] * 6 + ["test"] * 12
SCALE = dict(
    zip(
        RESIDUES,
        np.linspace(-2, 2, 20)[np.random.default_rng(7).permutation(20)].tolist(),
        strict=True,
    )
)
"""A property of residues that labels follow."""

RANGES = ("", "_short", "_medium", "_long")
CONTACTS = [f"p_at_{top}{part}" for top in ("l5", "l2", "l") for part in RANGES]
OF_CLASSES = ["accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"]
OF_NUMBERS = ["spearman", "pearson", "r2", "rmse"]
PERPLEXITIES = ["perplexity", "perplexity_per_protein"]
PROTEIN, RESIDUE = "tasks.protein.Protein", "tasks.residue.Residue"
TASKS: dict[str, dict[str, Any]] = {
    "real": {"_target_": PROTEIN, "kind": "real", "size": 1, "metrics": OF_NUMBERS},
    "binary": {"kind": "class", "size": 2, "metrics": ["roc_auc", "pr_auc", *OF_CLASSES]},
    "classes": {"kind": "class", "size": 5, "metrics": OF_CLASSES}
    | {"unit": {"name": "family", "chain": None, "substitutions": 1}},
    "labels": {"kind": "labels", "size": 3, "metrics": ["roc_auc_macro", "pr_auc_macro"]},
    "apart": {"kind": "class", "size": 2, "metrics": ["roc_auc", "mcc"]}
    | {"columns": {"sequence": ["one", "other"]}},
    "joined": {"kind": "real", "size": 1, "metrics": ["spearman"], "chains": "joined"}
    | {"unit": {"name": "epitope", "chain": -1, "substitutions": None}},
    "folds": {"kind": "real", "size": 1, "metrics": OF_NUMBERS, "columns": {"fold": "fold"}},
    "several": {"kind": "real", "size": 1, "metrics": OF_NUMBERS, "columns": {"group": "FAMILY"}},
    "antibody": {"_target_": "tasks.antibody.Antibody", "assay": "HIC", "kind": "real", "size": 1}
    | {"columns": {"sequence": ["heavy", "light"], "label": "HIC", "fold": "fold"}}
    | {"metrics": ["spearman", "rmse"], "allow": {"unknown_labels": 0.7}},
    "numbers": {"_target_": RESIDUE, "kind": "real", "size": 1, "states": None}
    | {"metrics": ["spearman", "r2"]},
    "letters": {"_target_": RESIDUE, "kind": "class", "size": 3, "states": "abc"}
    | {"metrics": OF_CLASSES, "max_length": 25, "allow": {"truncated": 1, "unknown_letters": 1}},
    "q8": {"_target_": "tasks.residue.SecondaryStructure", "kind": "class", "size": 8}
    | {"states": "GHIBESTC", "metrics": ["q8", "q8_per_protein", "q3", "q3_per_protein"]},
    "q3": {"_target_": "tasks.residue.SecondaryStructure", "kind": "class", "size": 3}
    | {"states": "HEC", "metrics": ["q3", "q3_per_protein", "f1_macro"]},
    "contacts": {"_target_": "tasks.contact.Contact", "min_separation": 6, "metrics": CONTACTS},
    "left": {"defaults": ["perplexity", "_self_"], "columns": {"test": "BAND"}}
    | {"metrics": PERPLEXITIES},
    "both": {"defaults": ["pseudo_perplexity", "_self_"], "positions": 5}
    | {"allow": {"unknown_letters": 1}, "metrics": PERPLEXITIES},
    "unmasked": {"defaults": ["single_pass_pseudo_perplexity", "_self_"], "positions": 5}
    | {"allow": {"unknown_letters": 1}},
    "near": {"kind": "class", "size": 2, "metrics": ["accuracy", "roc_auc"]},
}
"""The keys of each task's yaml that are not the default; its table lies beside it."""


def chains_of(rng: np.random.Generator, count: int, low: int = 12, high: int = 40) -> list[str]:
    """Random chains."""
    return ["".join(rng.choice(list(RESIDUES), rng.integers(low, high))) for _ in range(count)]


def changed(chain: str, *places: int) -> str:
    """The chain with the next residue of the alphabet at each of these places."""
    letters = list(chain)
    for place in places:
        letters[place] = RESIDUES[(RESIDUES.index(letters[place]) + 1) % 20]
    return "".join(letters)


def property_of(chain: str) -> np.ndarray:
    """Of each residue, by its own scale and its neighbour's."""
    own = np.array([SCALE.get(letter, 0.0) for letter in chain])
    return np.round(own + 0.5 * own * np.roll(own, 1), 3)


def sort_into(values: Iterable[float], classes: int) -> list[int]:
    """Classes of about one size, from the lowest values on."""
    values = np.asarray(list(values))
    return np.searchsorted(np.quantile(values, np.arange(1, classes) / classes), values).tolist()


def touching(chain: str) -> list[list[int]]:
    """Pairs of residues whose property fits, about a tenth."""
    fit = np.abs(np.add.outer(property_of(chain), property_of(chain)))
    i, j = np.nonzero(np.triu(fit < 0.2, 6))
    return [[a, b] for a, b in zip(i.tolist(), j.tolist(), strict=True)]


def tables() -> dict[str, Rows]:
    """The table of each task; a name's suffix is its format."""
    rng = np.random.default_rng(0)
    chains, long = chains_of(rng, len(SPLITS)), chains_of(rng, len(FEW), 30, 44)
    means = [float(property_of(chain).sum()) for chain in chains]
    cuts = np.quantile(means, [0.3, 0.5, 0.7])
    base: Rows = {"seq": chains, "split": SPLITS}
    first, second = rng.choice(chains_of(rng, 16, 12, 20), (2, len(SPLITS))).tolist()
    pairs = [f"{a}|{b}" for a, b in zip(first, second, strict=True)]
    fits = [SCALE[pair[0]] + float(property_of(pair).mean()) for pair in pairs]
    folds = np.arange(len(chains)) % 4
    relatives = [*chains[:50], *(changed(chain, 3) for chain in chains[36:50])]
    classes = [(0, 2, 3, 4)[c] for c in sort_into((property_of(x).sum() for x in relatives), 4)]
    classes[:2] = [1, 1]  # in train alone: a class may be absent from a test set
    kin = [
        *long[:26],
        *long[:3],
        *(changed(c, *range(2, 30, step)) for c in long[3:12] for step in (5, 9)),
    ]
    states = [[min(7, max(0, int(v * 2 + 4))) for v in property_of(chain)] for chain in long]
    with_x = [
        f"{chain[:4]}X{chain[5:]}" if at % 9 == 0 else chain for at, chain in enumerate(chains)
    ]
    several = [*chains[:56], *chains[:3], *chains[56:], *chains[36:38]]
    sets = [*SPLITS[:56], *["test"] * 3, *SPLITS[56:], *["test.further"] * 2]
    several, sets = [*several, *chains_of(rng, 10)], [*sets, *["test.further"] * 10]
    return {
        "real.csv": base | {"label": [f"{mean:.3f}" for mean in means]},
        "binary.parquet": base | {"label": sort_into(means, 2)},
        "classes.csv": {"seq": relatives, "split": SPLITS} | {"label": classes},
        "labels.parquet": base | {"label": [[int(mean > cut) for cut in cuts] for mean in means]},
        "apart.csv": {"one": first, "other": second, "split": SPLITS, "label": sort_into(fits, 2)},
        "joined.csv": {"seq": pairs, "split": SPLITS, "label": fits},
        "folds.csv": {"seq": chains, "fold": folds.tolist(), "label": means},
        "several.fasta": {"seq": several, "SET": sets}
        | {"TARGET": [f"{property_of(chain).sum():.3f}" for chain in several]}
        | {"FAMILY": [at // 2 for at in range(len(several))]},
        "antibody.csv": {"heavy": chains, "light": chains[::-1], "fold": folds.tolist()}
        | {"HIC": ["" if at % 5 == 0 else mean for at, mean in enumerate(means)]},
        "numbers.parquet": base
        | {"label": [[None, *property_of(chain)[1:].tolist()] for chain in chains]},
        "letters.csv": base
        | {"seq": with_x}
        | {"label": ["".join("abc"[c] for c in sort_into(property_of(x), 3)) for x in with_x]},
        "q8.csv": {"seq": long, "split": FEW}
        | {"label": ["".join("GHIBESTC"[state] for state in row) for row in states]},
        "q3.parquet": {"seq": long, "split": FEW}
        | {"label": [[-1, *(state // 3 for state in row[1:])] for row in states]},
        "contacts.parquet": {"seq": long, "split": FEW, "label": [touching(x) for x in long]},
        "left.fasta": {"seq": chains[:24], "BAND": ["far", "near"] * 12},
        "both.fasta": {"seq": with_x[:16]},
        "unmasked.fasta": {"seq": with_x[:16]},
        "nature.fasta": {"seq": long[:20], "NUMBER": list(range(20))},
        "held_out.fasta": {"seq": long[20:38]},
        "near.csv": {"seq": kin, "split": FEW[:26] + ["test"] * (len(kin) - 26)}
        | {"label": sort_into((property_of(chain).sum() for chain in kin), 2)},
        **{f"assays/{name}.csv": assay(chain) for name, chain in zip("AB", long, strict=False)},
        "reference.csv": {"DMS_id": ["A", "B"], "UniProt_ID": ["P", "Q"], "target_seq": long[:2]}
        | {"coarse_selection_type": ["Stability", "Activity"]},
    }


def assay(wild: str) -> Rows:
    """Variants of a protein, every fourth with two mutations."""
    places = [(at, at + 5) if at % 4 == 0 else (at,) for at in range(22)]
    variants = [changed(wild, *at) for at in places]
    names = [
        [f"{wild[p]}{p + 1}{v[p]}" for p in at] for at, v in zip(places, variants, strict=True)
    ]
    score = [float(property_of(variant).sum() - property_of(wild).sum()) for variant in variants]
    return {
        "mutant": [":".join(n) for n in names],
        "mutated_sequence": variants,
        "DMS_score": score,
    }


def write(file: Path, rows: Rows) -> None:
    """Write a table in the format of its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.table(rows), file)
        return
    with file.open("w", newline="", encoding="utf-8") as stream:
        if file.suffix == ".csv":
            csv.writer(stream).writerows([list(rows), *zip(*rows.values(), strict=True)])
            return
        for row in zip(*rows.values(), strict=True):
            seq, *values = row
            pairs = zip(list(rows)[1:], values, strict=True)
            stream.write(f">{' '.join(f'{key}={value}' for key, value in pairs)}\n{seq}\n")


def prepare(folder: Path) -> None:
    """Write the tables and the tasks' yamls; checkpoints are made when they are asked for."""
    for name, rows in tables().items():
        write(folder / name, rows)
        task = Path(name).stem
        if task not in TASKS:
            continue
        general = {"defaults": [{"/source@_here_": "table"}, "_self_"], "_target_": PROTEIN}
        general |= {"area": "function", "version": 1, "source": f"file:{folder / name}"}
        own = TASKS[task]
        values = {"source": general["source"]} | own if "defaults" in own else general | own
        yaml = folder / "conf" / "task" / f"{task}.yaml"
        yaml.parent.mkdir(parents=True, exist_ok=True)
        yaml.write_text(json.dumps(values))
