"""The task of generation: its splits, what it measures, and what a run of it leaves."""

import json
import tracemalloc
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import isnan, log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hydra.utils import instantiate
from sklearn.decomposition import PCA

from benchmark.core import RESIDUES, Array, FitContext, Sampled, UserError
from benchmark.data import mmseqs
from benchmark.data.reference import SEARCH, entries, open_reference
from benchmark.methods.natural import Natural
from benchmark.metrics.generation.measured import Measured
from benchmark.results.storage import load
from tasks.generation import Generation
from tests.command_line import refused, run_cli
from tests.conftest import composed, make_task

rng = np.random.default_rng(3)


def random_chains(number: int, length: int = 60) -> list[str]:
    return ["".join(rng.choice(list(RESIDUES), length)) for _ in range(number)]


WHOLE: Any = make_task("generation")
NATURAL, HELD_OUT = random_chains(12), random_chains(8, 50)


class Counting:
    """A judge whose answers follow from the residues."""

    def likelihoods(self, chains: Sequence[str]) -> tuple[Array, Array]:
        lengths = np.array([len(chain) for chain in chains])
        return np.full(len(chains), -log(20)), lengths

    def embeddings(self, chains: Sequence[str]) -> Array:
        return np.array([[chain.count(residue) for residue in RESIDUES] for chain in chains], float)

    def structure(self, chains: Sequence[str]) -> Array:
        return np.tile([0.5, 0.25, 0.25], (len(chains), 1))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of natural proteins, and a cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, chains in (("natural", NATURAL), ("held_out", HELD_OUT)):
        text = "".join(f">{name}{at}\n{chain}\n" for at, chain in enumerate(chains))
        (tmp_path / f"{name}.fasta").write_text(text)
    return tmp_path


def small(folder: Path, **settings: Any) -> Generation:
    given = {"reference": str(folder / "natural.fasta"), "num": 6}
    given |= {"source": f"file:{folder / 'held_out.fasta'}", "judge": None, **settings}
    return replace(WHOLE, **given)


def test_natural_proteins_are_drawn_and_held_out(folder: Path) -> None:
    splits, again = small(folder).load(), small(folder).load()

    drawn = [str(example.label) for example in splits.tests["test"]]
    assert len(set(drawn)) == 6 and set(drawn) <= set(NATURAL)
    assert [example.chains for example in splits.train] == [(chain,) for chain in drawn]
    assert {example.chains[0] for example in splits.valid} <= set(HELD_OUT)
    assert [example.chains for example in splits.tests["test"]] == [("",)] * 6
    assert len({example.id for example in splits.tests["test"]}) == 6
    assert splits == again


def test_another_reference_is_other_data(folder: Path) -> None:
    before = small(folder).load().further
    (folder / "natural.fasta").write_text((folder / "natural.fasta").read_text() + ">x\nACD\n")

    assert small(folder).load().further != before


@pytest.mark.slow
def test_a_database_is_read_as_its_fasta(folder: Path) -> None:
    fasta, database = folder / "natural.fasta", folder / "db"
    mmseqs.run([mmseqs.program(), "createdb", fasta, database, "-v", "1"])

    found, made = small(folder, reference=str(database)), small(folder)

    assert found.load().tests == made.load().tests
    assert found.database.nearest(NATURAL[:1]) == made.database.nearest(NATURAL[:1])


def test_starts_in_a_database_are_those_of_its_index(folder: Path) -> None:
    """The rows that NumPy reads; and drawing from many takes their starts alone."""
    lengths = np.random.default_rng(0).integers(10, 600, 100_000)
    rows = np.column_stack([np.arange(len(lengths)), lengths.cumsum() - lengths, lengths + 2])
    np.savetxt(folder / "db.index", rows, "%d", "\t")

    tracemalloc.start()
    found = entries(folder / "db", 30, 500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    read = np.loadtxt(folder / "db.index", np.int64)
    assert found.tolist() == read[(read[:, 2] >= 32) & (read[:, 2] <= 502), 1].tolist()
    assert peak < 3 * 8 * len(rows)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--compressed", "1"], "is compressed or not of protein"),
        (["--dbtype", "2"], "not of pro"),
    ],
)
def test_other_databases_are_refused(folder: Path, option: list[str], message: str) -> None:
    made = folder / "db"
    mmseqs.run([mmseqs.program(), "createdb", folder / "natural.fasta", made, "-v", "1", *option])

    with pytest.raises(UserError, match=message):
        open_reference(str(made))


def test_a_database_without_its_index_is_refused(folder: Path) -> None:
    (folder / "db").write_text("MKT\n\0")
    (folder / "db.dbtype").write_bytes(bytes(4))

    with pytest.raises(UserError, match="lacks its index"):
        open_reference(str(folder / "db"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [("MKT", ["MKT"] * 6), (["A", ""], ["A", ""] * 3), (None, [""] * 6)],
)
def test_prompts_are_used_in_turn(folder: Path, given: Any, expected: list[str]) -> None:
    tests = small(folder, prompts=given).load().tests["test"]

    assert [example.chains[0] for example in tests] == expected


def test_prompts_of_a_fasta_are_first_residues(folder: Path) -> None:
    prompts = str(folder / "held_out.fasta")

    splits = small(folder, prompts=prompts, prompt_length=5).load()

    found = [example.chains[0] for example in splits.tests["test"]]
    assert found == [chain[:5] for chain in HELD_OUT[:6]]
    assert splits.report.left_out["prompts beyond task.num"] == len(HELD_OUT) - 6


def measured(task: Generation, chains: Sequence[str], judge: Any = None) -> list[Measured]:
    examples = task.load().tests["test"][: len(chains)]
    made = [task.compact(Sampled(chain, -1.0, True), examples[0]) for chain in chains]
    found = task.measure(made, examples, judge, lambda part: nullcontext())
    return [one for one in found if isinstance(one, Measured)]


@pytest.mark.slow
def test_nearest_proteins_and_clusters_are_mmseqs2s(folder: Path) -> None:
    copy, mutant = NATURAL[0], "".join("W" if at % 3 else c for at, c in enumerate(NATURAL[1]))
    half = NATURAL[2][:35] + random_chains(1, 30)[0]
    chains = [copy, mutant, half, copy, "ACD", ""]

    found = measured(small(folder), chains)

    hits = mmseqs.search(chains[:3], NATURAL, SEARCH)
    for row in range(3):
        mine = hits.query == row
        assert found[row].identity == (hits.identity[mine].max() if mine.any() else 0)
    assert [one.nearest for one in found] == ["natural0", "", "natural2", "natural0", "", ""]
    assert found[0].identity == found[0].coverage == 1
    assert found[2].coverage == pytest.approx(35 / 60, abs=0.1)
    assert np.isnan(found[4].identity) and np.isnan(found[5].identity)
    numbers = [one.cluster for one in found]
    assert numbers[0] == numbers[3] and len(set(numbers)) == 5 and numbers[5] == -1


def test_the_likelihood_is_of_what_follows_the_prompt(folder: Path) -> None:
    task = small(folder, prompts="MK")
    example = task.load().tests["test"][0]

    ended = task.compact(Sampled("MKTAY", -8.0, True), example)
    cut = task.compact(Sampled("MKTAY", -6.0, False), example)

    assert ended[:4] == ("MKTAY", -2.0, 4, True)
    assert cut[:4] == ("MKTAY", -2.0, 3, False)


@pytest.mark.slow
def test_embeddings_are_scikit_learns_components_of_the_natural_proteins(folder: Path) -> None:
    judge, task = Counting(), small(folder, num=12, dimensions=1)
    chains = random_chains(12)

    found = measured(task, chains, judge)

    natural = [str(example.label) for example in task.load().tests["test"]]
    model = PCA(1, svd_solver="full").fit(judge.embeddings(natural))
    for name, its in (("embedding", chains), ("natural", natural)):
        ours = np.stack([getattr(one, name) for one in found])
        theirs = model.transform(judge.embeddings(its))
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)
    assert found[0].judged == 60 and found[0].structure.sum() == 1


def test_a_set_of_chains_too_short_for_a_search_is_measured(folder: Path) -> None:
    (one,) = measured(small(folder), ["MKTAYIAK"])

    assert (one.nearest, isnan(one.identity)) == ("", True)


def test_a_set_of_empty_sequences_is_measured(folder: Path) -> None:
    assert [one.cluster for one in measured(small(folder), ["", ""], Counting())] == [-1, -1]


@pytest.mark.parametrize(
    ("length", "stratum"),
    [(0, ""), (100, "1-100"), (101, "101-200"), (300, "201-300"), (500, "301-500"), (501, "")],
)
def test_strata_are_bins_of_length(folder: Path, length: int, stratum: str) -> None:
    task = small(folder)
    example = task.load().tests["test"][0]

    assert task.stratum(Measured("A" * length), example) == stratum


def test_natural_and_shuffled_answer_from_held_out_proteins(folder: Path) -> None:
    splits = small(folder).load()
    context: Any = FitContext(None, small(folder).readout, 0)
    inputs = [example.chains for example in splits.tests["test"]]

    def sampled(shuffled: bool) -> list[str]:
        predictor = Natural(shuffled=shuffled).fit(splits.train, splits.valid, context)
        return [str(one[0]) for one in predictor.predict(inputs) if isinstance(one, Sampled)]

    natural, shuffled = sampled(False), sampled(True)
    assert natural == [example.chains[0] for example in splits.valid[:6]]
    assert natural != shuffled and [*map(sorted, natural)] == [*map(sorted, shuffled)]
    with pytest.raises(UserError, match="6 natural proteins were held out, and 12 are needed"):
        next(iter(Natural(shuffled=False).fit((), splits.valid, context).predict(inputs * 2)))


def words_of(folder: Path, *more: str) -> list[str]:
    given = [f"task.reference={folder / 'natural.fasta'}", "task.num=6", "store=off"]
    given += [f"task.source=file:{folder / 'held_out.fasta'}", "task.judge=bigram"]
    return ["task=generation", f"results={folder / 'results'}", *given, *more]


@pytest.mark.slow
def test_a_run_leaves_sequences_measurements_and_strata(folder: Path) -> None:
    done = run_cli(*words_of(folder, "method=natural"), cwd=folder)

    assert not done.returncode, done.stderr
    (path,) = folder.glob("results/generation/none/natural/*/seed0.json")
    record = load(path)
    assert set(record.strata["test"]) == {"1-100"}
    assert "clusters_per_100" not in record.strata["test"]["1-100"]["scores"]
    assert record.strata["test"]["1-100"]["scores"]["length"] == 50
    assert record.choices["judge"]["model"] == "bigram"
    assert not record.choices["judge"]["self_judged"]
    assert {"nearest", "clusters", "judge"} <= set(record.seconds)
    assert record.set_sizes["test"]["clusters_per_100"] == 6
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    text = path.with_suffix(".fasta").read_text()
    assert text.count(">") == 6
    assert f">{rows[0]['id']} prompt= log_likelihood=nan ended=true\n{rows[0]['sequence']}" in text


@pytest.mark.slow
def test_what_the_judge_computes_is_counted(folder: Path) -> None:
    """Likelihoods, embeddings with those of natural proteins, structure, the probe's chains."""
    done = run_cli(*words_of(folder, "task.judge=pocket_clm_s", "method=natural"), cwd=folder)

    assert not done.returncode, done.stderr
    (path,) = folder.glob("results/generation/none/natural/*/seed0.json")
    usage = load(path).usage
    assert usage["judge_chains"] == 6 + 2 * 6 + 6 + 100
    judge = instantiate(composed("model=pocket_clm_s").model, _convert_="all")
    parameters = judge.facts()["parameters"]
    assert usage["judge_forward_flops"] > usage["judge_tokens"] * parameters
    assert "chains" not in usage, "natural proteins are from no model"
    assert f"{usage['judge_forward_flops']:.1e} FLOPs by the judge" in done.stdout


@pytest.mark.slow
def test_a_judge_of_other_weights_is_another_run_and_column(folder: Path) -> None:
    for judge in ("bigram", "unigram"):
        done = run_cli(*words_of(folder, f"task.judge={judge}", "method=natural"), cwd=folder)
        assert not done.returncode, done.stderr
    paths = [*folder.glob("results/generation/none/natural/*/seed0.json")]
    first, second = (json.loads(path.read_text())["identity"] for path in paths)

    assert first["judge"]["weights"] != second["judge"]["weights"]
    assert "Generation #2" in done.stdout or "Generation #2" in (
        folder / "results" / "README.md"
    ).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_model_that_judges_itself_is_marked(folder: Path) -> None:
    done = run_cli(*words_of(folder, "model=bigram"), cwd=folder)

    assert not done.returncode, done.stderr
    assert "bigram (baseline) (self-judged)" in (folder / "results/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("task.judge=bigrm", "unknown model 'bigrm'"),
        ("task.judge=onehot", "is no language model with its head"),
    ],
)
def test_models_that_cannot_judge_are_refused(folder: Path, word: str, message: str) -> None:
    done = run_cli(*words_of(folder, "method=natural", word), cwd=folder)

    assert done.returncode == 2, done
    assert message in refused(done)
    assert not (folder / "results").exists()
