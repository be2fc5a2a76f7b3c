"""Assays of mutations: every variant against its wild type, folds and means as ProteinGym's."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.core import UserError
from benchmark.data.digests import digest_splits
from benchmark.data.sources import name_splits, read_source
from benchmark.metrics import find
from benchmark.run.evaluation import evaluate
from tasks.assay import Variant
from tasks.variant import VariantEffect, assign, window
from tests.conftest import SHARED, composed, make_task, random_chain

WILD = random_chain(np.random.default_rng(0), 40)
HEADER = ("mutant", "mutated_sequence", "DMS_score")


def mutate(wild: str, *mutations: tuple[int, str]) -> tuple[str, str]:
    """A variant's name, counted from 1, and its sequence; places are counted from 0."""
    residues = list(wild)
    for place, new in mutations:
        residues[place] = new
    return ":".join(f"{wild[p]}{p + 1}{new}" for p, new in mutations), "".join(residues)


def assay(wild: str = WILD, seed: int = 0) -> list[tuple[Any, ...]]:
    """All single substitutions by A, C, W, and ten doubles; W is what is wanted."""
    rng = np.random.default_rng(seed)
    singles = [[(p, new)] for p in range(len(wild)) for new in "ACW" if wild[p] != new]
    doubles = [[(p, "A" if wild[p] != "A" else "C"), (p + 9, "W")] for p in range(10)]
    rows = [mutate(wild, *mutations) for mutations in (*singles, *doubles)]
    return [(*row, row[1].count("W") + rng.normal(0, 0.3)) for row in rows]


def write(path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...] = HEADER) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def task(folder: Path, **more: Any) -> VariantEffect:
    fields = {"source": f"file:{folder}", "reference": None, "folds": None, "max_length": None}
    common = {"area": "function", "version": 1, "metrics": ["spearman"]}
    return VariantEffect(**{**common, **fields, **more})  # type: ignore[arg-type]


def test_without_folds_an_assay_is_a_test_set_with_its_wild_type(tmp_path: Path) -> None:
    write(tmp_path / "ONE.csv", assay())
    other = random_chain(np.random.default_rng(1), 30)
    write(tmp_path / "TWO.csv", [*assay(other), (*mutate(other, (0, "W")), "")])
    splits = task(tmp_path).load()

    assert {name: len(part) for name, part in splits.tests.items()} == splits.report.sizes
    assert {e.chains[1] for e in splits.tests["ONE"]} == {WILD}
    assert {e.chains[1] for e in splits.tests["TWO"]} == {other}
    assert [e.chains[0] for e in splits.tests["ONE"]] == [row[1] for row in assay()]
    assert not splits.train and not splits.valid and not splits.train_valid_by_test
    assert splits.aggregates == {"mean": {"ONE": 0.5, "TWO": 0.5}}
    assert splits.report.changes["TWO"]["unknown_labels"] == 1
    assert "task.reference=" in splits.report.aggregate


@pytest.mark.parametrize("folds", ["random", "contiguous", "modulo"])
def test_folds_by_scheme(tmp_path: Path, folds: str) -> None:
    """A position is in one fold, or none is; doubles have no fold by position; W is learned."""
    write(tmp_path / "ONE.csv", assay())
    made = task(tmp_path, folds=folds)
    splits = made.load()
    rows = len(assay())
    tested = [e.id for part in splits.tests.values() for e in part]
    assert len(set(tested)) == len(tested) == (rows if folds == "random" else rows - 10)
    places = []
    for part in splits.tests.values():
        differ = [[i for i in range(40) if e.chains[0][i] != WILD[i]] for e in part]
        places.append({i for found in differ for i in found})
    if folds == "random":
        assert splits.report.changes["ONE"] == {"rows": rows}
        sizes = [len({e.chains for e in part}) for part in splits.tests.values()]
        assert max(sizes) - min(sizes) <= 1
    else:
        assert splits.report.changes["ONE"] == {"rows": rows, "without_a_fold": 10}
        assert sorted(i for found in places for i in found) == list(range(40))
        step = 5 if folds == "modulo" else 1
        assert all(np.diff(sorted(found)).tolist() == [step] * 7 for found in places)
    assert splits.report.folds_made_here == ["ONE"]
    linear = instantiate(composed().method, _convert_="all")
    outcome = evaluate(made, splits, Kmer(1), linear, [find("spearman")], 0)
    assert list(outcome.tests)[:2] == ["mean", "ONE"]
    assert outcome.tests["mean"].scores == outcome.tests["ONE"].scores
    assert outcome.tests["mean"].scores["spearman"] > 0.4
    assert outcome.tests["mean"].scored == len(tested)


def test_positions_are_dealt_out_as_proteingym_deals_them() -> None:
    """Worked by hand: ranks among the mutated positions; runs, the first ones longer by one."""
    places = [2, 3, 5, 8, 9, 12, 13]
    variants = [Variant("A", (place,), 0.0, None) for place in (*places, *places[::-1])]
    modulo, contiguous = (assign(variants, scheme) for scheme in ("modulo", "contiguous"))

    assert modulo == (list("0123401") + list("1043210"), True)
    assert contiguous == (list("0011234") + list("4321100"), True)
    few = [Variant("A", (place,), 0.0, None) for place in (4, 6, 7)]
    assert assign(few, "modulo")[0] == ["0", "1", "2"]


def test_what_was_measured_twice_is_in_one_fold(tmp_path: Path) -> None:
    rows = assay()
    write(tmp_path / "ONE.csv", rows + rows[::2])
    splits = task(tmp_path, folds="random").load()

    for name, test in splits.tests.items():
        train, valid = splits.train_valid_by_test[name]
        assert not {e.chains for e in test} & {e.chains for e in (*train, *valid)}
    assert splits.report.also_in_train == {}
    folds = [(*row, i % 3) for i, row in enumerate(rows[:15] + rows[:3] + rows[1:4])]
    write(tmp_path / "ONE.csv", folds, (*HEADER, "fold_random_5"))
    counts = task(tmp_path, folds="random").load().report.also_in_train
    assert counts == {"ONE 0": 1, "ONE 1": 2, "ONE 2": 2}, "as the table's own folds have it"


def test_another_wild_type_or_weighting_is_another_run(tmp_path: Path) -> None:
    """Two sites, each variant mutated at both: rows that do not show what they came from."""
    variants = ["AC" + "D" * 8, "CA" + "D" * 8, "CC" + "D" * 8]
    digests = []
    for old in ("WW", "YW"):
        rows = [(f"{old[0]}1{v[0]}:{old[1]}2{v[1]}", v, i) for i, v in enumerate(variants)]
        write(tmp_path / "ONE.csv", rows)
        digests.append(digest_splits(task(tmp_path).load()))
    assert digests[0] != digests[1]

    folder = tmp_path / "assays"
    folder.mkdir()
    for name in "ABC":
        write(folder / f"{name}.csv", assay()[:12])
    about = {"DMS_id": list("ABC"), "UniProt_ID": list("PPQ"), "target_seq": [WILD] * 3}
    found = []
    for kinds in (["Activity"] * 3, ["Activity", "Binding", "Binding"]):
        pd.DataFrame({**about, "coarse_selection_type": kinds}).to_csv(
            tmp_path / "reference.csv", index=False
        )
        made = task(folder, reference=str(tmp_path / "reference.csv"))
        found.append(digest_splits(made.load()))
    assert found[0] != found[1] and "proteingym, its weights" in found[0]


def test_the_tables_own_folds_are_taken(tmp_path: Path) -> None:
    rows = [(*row, i % 3) for i, row in enumerate(assay()[:30])]
    write(tmp_path / "ONE.csv", rows, (*HEADER, "fold_modulo_5"))
    splits = task(tmp_path, folds="modulo").load()

    assert {name: len(part) for name, part in splits.tests.items()} == {
        f"ONE {fold}": 10 for fold in range(3)
    }
    assert not splits.report.folds_made_here
    few = [(*row, i % 2) for i, row in enumerate(assay()[:30])]
    write(tmp_path / "ONE.csv", few, (*HEADER, "fold_modulo_5"))
    with pytest.raises(UserError, match=r"ONE has 2 folds \(0, 1\); cross-validation needs"):
        task(tmp_path, folds="modulo").load()


def test_proteingyms_average(tmp_path: Path) -> None:
    """Within protein and function, then within function: pandas' groups of means agree."""
    folder = tmp_path / "assays"
    folder.mkdir()
    wild = {p: random_chain(np.random.default_rng(i), 30) for i, p in enumerate(("P1", "P2", "P3"))}
    about = pd.DataFrame(
        [("A1", "P1", "Stability"), ("A2", "P1", "Stability"), ("A3", "P2", "Stability"),
         ("A4", "P1", "Binding"), ("A5", "P3", "Activity"), ("UNUSED", "P3", "Activity")],
        columns=["DMS_id", "UniProt_ID", "coarse_selection_type"],
    )  # fmt: skip
    about["target_seq"] = about["UniProt_ID"].map(wild)
    about.to_csv(tmp_path / "reference.csv", index=False)
    for name, protein in about[["DMS_id", "UniProt_ID"]].to_numpy()[:5]:
        write(folder / f"{name}.csv", assay(wild[protein])[:12])
    splits = task(folder, reference=str(tmp_path / "reference.csv")).load()
    scores = pd.Series(np.random.default_rng(0).random(5), index=about["DMS_id"][:5])
    table = about[:5].assign(score=scores.to_numpy())
    each = table.groupby(["UniProt_ID", "coarse_selection_type"])["score"].mean()
    expected = each.groupby("coarse_selection_type").mean().mean()

    weights = splits.aggregates["proteingym"]
    assert sum(weights[name] * scores[name] for name in weights) == pytest.approx(expected)
    assert list(splits.aggregates) == ["mean", "proteingym"] and not splits.report.aggregate
    folded = task(folder, reference=str(tmp_path / "reference.csv"), folds="random").load()
    assert sum(folded.aggregates["proteingym"].values()) == pytest.approx(1)
    assert folded.aggregates["proteingym"]["A4 0"] == pytest.approx(weights["A4"] / 5)
    write(folder / "NEW.csv", assay()[:12])
    with pytest.raises(UserError, match="assay NEW is not in the reference"):
        task(folder, reference=str(tmp_path / "reference.csv")).load()
    (folder / "NEW.csv").unlink()
    write(folder / "A1.csv", assay()[:12])
    with pytest.raises(UserError, match="the variants of A1 do not derive from its target_seq"):
        task(folder, reference=str(tmp_path / "reference.csv")).load()


GOOD = mutate(WILD, (3, "W"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("A12", GOOD[1], 1), "mutation 'A12'; write A12G, counted from 1"),
        (("A99W", GOOD[1], 1), "ONE.csv .assay ONE.: its sequence has no W at 99, as A99W says"),
        ((GOOD[0], WILD, 1), "line 3 of ONE.csv .assay ONE.: its sequence has no W at 4"),
        ((*mutate("A" + WILD[1:] if WILD[0] != "A" else "C" + WILD[1:], (3, "W")), 1),
         "ONE.csv .assay ONE.: undoing .* does not give the wild type of the rows before"),
        ((*GOOD, "high"), "line 3 of ONE.csv .assay ONE.: label 'high' is not a number"),
        ((GOOD[0], GOOD[1][:-1] + "1", 1), "letter '1' in the sequence"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, row: tuple[Any, ...], message: str) -> None:
    write(tmp_path / "ONE.csv", [(*mutate(WILD, (5, "W")), 1.0), row])
    with pytest.raises(UserError, match=message):
        task(tmp_path).load()


def test_rows_that_are_no_variants_are_counted(tmp_path: Path) -> None:
    rows = [(mutant.replace(":", ","), *rest) for mutant, *rest in assay()]
    for name in ("plain", "more"):
        (tmp_path / name).mkdir()
    write(tmp_path / "plain" / "ONE.csv", assay())
    others = [("_wt", WILD, 0.0), (f"{WILD[2]}3*", f"{WILD[:2]}*{WILD[3:]}", -9.0)]
    write(tmp_path / "more" / "ONE.csv", [*others, *rows])
    plain, more = (task(tmp_path / name).load() for name in ("plain", "more"))

    assert digest_splits(plain) == digest_splits(more)
    assert more.report.changes["ONE"] == {
        "rows": len(rows) + 2, "wild_type_rows_left_out": 1, "stop_codon_rows_left_out": 1,
    }  # fmt: skip


def test_a_long_protein_is_read_around_its_mutations(tmp_path: Path) -> None:
    assert window((50,), 100, None, "x") == slice(0, 100)
    assert window((0,), 100, 20, "x") == slice(0, 20)
    assert window((99,), 100, 20, "x") == slice(80, 100)
    assert window((45, 54), 100, 20, "x") == slice(40, 60)
    write(tmp_path / "ONE.csv", assay())
    splits = task(tmp_path, max_length=11).load()
    for example in splits.tests["ONE"]:
        assert len(example.chains[0]) == len(example.chains[1]) == 11
        assert example.chains[0] != example.chains[1]
    assert splits.report.changes["ONE"]["truncated"] == len(assay())
    with pytest.raises(UserError, match=r"further apart than task.max_length=9"):
        task(tmp_path, max_length=9).load()


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a folder of assays; unpack ProteinGym's"):
        make_task("variant_effect").load()
    write(tmp_path / "ONE.csv", [row[1:] for row in assay()], HEADER[1:])
    with pytest.raises(UserError, match="assay ONE has no column 'mutant'; it has mutated_seq"):
        task(tmp_path).load()
    with pytest.raises(UserError, match="folds=chance is not known; allowed are random"):
        task(tmp_path, folds="chance")


@pytest.mark.slow
@pytest.mark.shared
def test_gb1_as_an_assay_scores_as_fitness_does(tmp_path: Path) -> None:
    """The variants of `fitness`, random folds: near its own split, by the same probe."""
    source = "hub:biomap-research/fitness_prediction"
    parts = name_splits(read_source(source, str(SHARED / "data"), None).parts, source)
    rows = [(row["seq"], row["label"]) for p in parts.values() for row in p.table.to_pylist()]
    letters = np.array([list(sequence) for sequence, _ in rows])
    places = np.flatnonzero((letters != letters[0]).any(axis=0))
    wild = letters[0].copy()
    wild[places] = list("VDGV")  # sites 39, 40, 41 and 54 of the domain
    table = []
    for row, (sequence, score) in zip(letters, rows, strict=True):
        mutant = ":".join(f"{wild[p]}{p + 1}{row[p]}" for p in places if row[p] != wild[p])
        if mutant:
            table.append((mutant, sequence, score))
    write(tmp_path / "GB1.csv", table)
    linear = instantiate(composed().method, _convert_="all")
    scores = {}
    for made in (task(tmp_path, folds="random"), make_task("fitness", f"mirror={SHARED / 'data'}")):
        outcome = evaluate(made, made.load(), Kmer(1), linear, [find("spearman")], 0)
        scores[type(made).__name__] = next(iter(outcome.tests.values())).scores["spearman"]

    assert len(places) == 4
    assert scores["VariantEffect"] == pytest.approx(scores["Protein"], abs=0.03)
    assert scores["Protein"] > 0.3
