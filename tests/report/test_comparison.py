"""`compare` on Records whose predictions were made by hand."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.core import UserError
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from benchmark.report.comparison import Line, compare
from benchmark.report.paired_tables import figures, report
from benchmark.report.render import render
from benchmark.report.selection import select
from benchmark.results import storage
from benchmark.results.record import NO_MODEL, Record
from benchmark.results.storage import save
from tests.command_line import environment
from tests.report.test_leaderboard import record

N = 80
METRICS = {"accuracy": True, "roc_auc": True}


@pytest.fixture(autouse=True)
def no_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FOLDERS", ())
    monkeypatch.setattr("benchmark.report.selection.FOLDERS", ())


def make(folder: Path, model: str, strength: float = 1.0, **more: Any) -> Record:
    """Save a Record of a binary task; a model's predictions depend on its name alone."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, N)
    noise = np.random.default_rng([ord(letter) for letter in model]).normal(size=N)
    prediction = stats.norm.cdf(strength * (label - 0.5) + noise)
    rows = labelled(*label)
    scores = {name: float(find(name).scores(list(prediction), rows)[0]) for name in METRICS}
    values = {
        "scores": {"test": scores},
        "intervals": {"test": {}},
        "primary": "accuracy",
        "higher_is_better": METRICS,
        "units": {"test": N},
        "scored": {"test": N},
        "config": {"task": {"metrics": list(METRICS)}},
        "created": f"2026-01-01T00:00:0{len(list(folder.rglob('*.json')))}.000000Z",
        **more,
    }
    made = record(model=model, **values)
    columns = {
        "test": ["test"] * N,
        "id": [f"p{n}" for n in range(N)],
        "group": [f"g{n}" for n in range(N)],
        "seq": ["A" * (50 if n < N // 2 else 150) for n in range(N)],
        "kind": ["odd" if n % 2 else "even" for n in range(N)],
        "label": label.tolist(),
        "prediction": prediction.tolist(),
        "value.accuracy": ((prediction > 0.5) == label).astype(float).tolist(),
    }
    save(made, columns, folder)
    return made


def lines(folder: Path, *words: str, **settings: str) -> list[Line]:
    return compare(select(words, folder), **settings)[0]


def test_estimate_and_p_agree_with_scipy(tmp_path: Path) -> None:
    """The paired t-test of examples, each a unit; p within a tenth of its logarithm."""
    for model, strength in (("a", 1.8), ("b", 0.6)):
        make(tmp_path, model, strength)
    (line,) = lines(tmp_path, "a", "b")
    values = [run_values(tmp_path, model) for model in "ab"]
    expected = stats.ttest_rel(*values)
    assert line.difference.value == pytest.approx(np.mean(values[0] - values[1])) != 0
    assert np.log(line.difference.p or 1) == pytest.approx(np.log(expected.pvalue), rel=0.1)
    low, high = line.difference.interval or (0, 0)
    assert (low, high) == pytest.approx(expected.confidence_interval(), abs=0.01)
    assert line.holm == line.fdr == line.difference.p, "one task"


def run_values(folder: Path, model: str) -> Any:
    from benchmark.results.predictions import read_predictions

    (path,) = folder.glob(f"*/{model}/*/*/seed0.json")
    return read_predictions(path).values("accuracy")[0]


def test_agreement_of_answers(tmp_path: Path) -> None:
    for model in "ab":
        make(tmp_path, model)
    (line,) = lines(tmp_path, "a", "b")
    one, other = (run_values(tmp_path, model) for model in "ab")
    assert line.flips == np.mean(one != other), "of two classes"
    assert line.error_r == pytest.approx(stats.spearmanr(one, other).statistic)


def test_swapped_and_against_itself(tmp_path: Path) -> None:
    for model in "ab":
        make(tmp_path, model)
    (ab,), (ba,), (aa,) = (lines(tmp_path, *pair) for pair in ("ab", "ba", "aa"))
    assert ab.difference == ba.difference._replace(value=-ba.difference.value)
    assert ab.outcome == -ba.outcome
    assert aa.difference.value == 0 and aa.difference.p == 1 and aa.pair == ("a", "a (2)")


def test_several_tasks_are_corrected_and_counted(tmp_path: Path) -> None:
    for task, strengths in (("one", (3, 0.2)), ("two", (0.2, 3)), ("three", (1, 1))):
        for model, strength in zip("ab", strengths, strict=True):
            make(tmp_path, model, strength, task=task)
    make(tmp_path, "a", task="four")
    found, notes = compare(select(["a", "b"], tmp_path))
    assert [line.outcome for line in sorted(found, key=lambda x: x.column.task)] == [1, 0, -1]
    p = [line.difference.p or 0 for line in found]
    assert [line.fdr for line in found] == pytest.approx(stats.false_discovery_control(p).tolist())
    assert min(line.holm or 0 for line in found) == pytest.approx(3 * min(p))
    doubtful = replace(found[0], difference=found[0].difference._replace(value=1.0), holm=0.06)
    assert min(p) < 0.05 and doubtful.outcome == 0, "the corrected p-value decides"
    text = render(report(["a", "b"], found, notes), width=80)
    assert "a is better than b in 1, worse in 1 and tied in 1 of 3 tasks" in text
    assert "four: no results of b" in text
    assert max(map(len, text.splitlines())) <= 80
    mean = np.mean([line.difference.value for line in found])
    assert f"developability      3  {mean:.3f}" in text
    table = list(csv.DictReader(render(report(["a", "b"], found, notes), "csv").splitlines()))
    assert {(r["metric"], r["higher_is_better"]) for r in table if r["table"] == "Differences"} == {
        ("accuracy", "True")
    }
    assert not {"difference sd", "difference seeds"} & set(table[0])
    latex = render(report(["a", "b"], found, notes), "latex")
    assert r"\toprule" in latex and "& *** &" in latex


def test_three_models_are_a_matrix(tmp_path: Path) -> None:
    for model, strength in (("a", 0.1), ("b", 0.1), ("c", 4)):
        make(tmp_path, model, strength)
    found, notes = compare(select("abc", tmp_path))
    tables = json.loads(render(report("abc", found, notes), "json"))["tables"]
    assert tables[0]["rows"][0] == ["c", 2, 0, 0, "1–0–0", "1–0–0", None]
    best = tables[1]["rows"][0]
    assert best[0] == "c" and best[2]["note"] == "***" and best[4] is None
    row = next(row for row in tables[1]["rows"] if row[0] == "a")
    assert row[4]["value"] == -best[2]["value"]
    assert "$-$ b" in render(report("abc", found, notes), "latex"), "no sign that LaTeX lacks"


@pytest.mark.parametrize(("by", "n"), [("length", 2), ("kind", 2), ("label", 2)])
def test_strata(tmp_path: Path, by: str, n: int) -> None:
    for model in "ab":
        make(tmp_path, model)
    found = lines(tmp_path, "a", "b", by=by)
    assert len(found) == n and not any(line.ranks for line in found)
    assert sum(line.difference.units for line in found) == N
    text = report("ab", found, []).text
    assert "p-values are not corrected" in text and "FDR" not in text and "Detectable:" in text
    if by == "kind":
        values = [run_values(tmp_path, model)[1::2].mean() for model in "ab"]
        assert found[1].stratum == "odd" and found[1].scores == pytest.approx(values)


def test_a_column_that_is_not_stored(tmp_path: Path) -> None:
    for model in "ab":
        make(tmp_path, model)
    for by, what in (("band", "run `python -m benchmark audit solubility`"), ("id", "80 values")):
        with pytest.raises(UserError, match=what):
            lines(tmp_path, "a", "b", by=by)
    with pytest.raises(UserError, match="no column famly; there are test, id, group, seq, kind"):
        lines(tmp_path, "a", "b", by="famly")


def test_damaged_predictions(tmp_path: Path) -> None:
    for model in "ab":
        made = make(tmp_path, model)
    file = (tmp_path / made.path).with_suffix(".parquet")
    whole = file.read_bytes()
    for part in (b"", whole[:-100], whole[:4] + bytes(200) + whole[204:]):
        file.write_bytes(part)
        with pytest.raises(UserError, match=r"seed0.parquet is damaged; run it again with rerun"):
            lines(tmp_path, "a", "b")


def test_neither_torch_nor_pandas_is_imported(tmp_path: Path) -> None:
    """They take seconds to start."""
    for model in "ab":
        make(tmp_path / "results", model)
    code = (
        "import sys, runpy\n"
        "sys.argv = ['benchmark', 'compare', 'a', 'b']\n"
        "try: runpy.run_module('benchmark', run_name='__main__')\n"
        "except SystemExit as end: print('STATUS', end.code)\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'scipy.stats', 'matplotlib', 'transformers'}\n"
        "print('HEAVY', heavy & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert "STATUS 0\nHEAVY set()" in done.stdout, done.stdout + done.stderr


def test_all_metrics(tmp_path: Path) -> None:
    for model in "ab":
        make(tmp_path, model)
    found = lines(tmp_path, "a", "b", metric="all")
    assert [(line.metric, line.ranks) for line in found] == [("accuracy", True), ("roc_auc", False)]
    assert found[1].holm is None, "the correction is over tasks"


def test_figures_and_examples_that_differ_most(tmp_path: Path) -> None:
    for model in "ab":
        make(tmp_path, model)
    sides = select("ab", tmp_path)
    table = figures(sides, compare(sides)[0], tmp_path / "figures")
    assert (tmp_path / "figures" / "solubility_a_b.png").read_bytes()[1:4] == b"PNG"
    values = [run_values(tmp_path, model) for model in "ab"]
    moved = {row[1]: row[5] for row in table.rows}
    assert len(moved) == 10 and set(moved.values()) == {1.0, -1.0}
    assert all(moved[f"p{n}"] == values[0][n] - values[1][n] for n in range(N) if f"p{n}" in moved)


def test_what_names_a_result(tmp_path: Path) -> None:
    a, b = make(tmp_path / "x", "a"), make(tmp_path / "y", "b")
    make(tmp_path / "x", "b", method="mlp", key="0" * 8)
    folder, file = str(tmp_path / "y"), str(tmp_path / "y" / b.path)
    for word in (folder, file, str(Path(file).parent)):
        assert lines(tmp_path / "x", "a", word)[0].scores[1] == b.scores["test"]["accuracy"]
    for word in (f"a@{a.key[:3]}", a.key):
        assert lines(tmp_path / "x", word, folder)[0].scores[0] == a.scores["test"]["accuracy"]
    (line,) = compare(select(["a", "b"], tmp_path / "x"))[0]
    assert line.pair == ("a", "b"), "methods may differ"


def other(part: str, **values: Any) -> Callable[[Record], Record]:
    """A change of a part of a Record's identity, and of the Record itself."""
    return lambda r: replace(r, identity={**r.identity, part: {**r.identity[part], **values}})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            lambda r: replace(
                r,
                data={**r.data, "test": "9"},
                identity={**r.identity, "data": {**r.data, "test": "9"}},
            ),
            "data.test (3, 9)",
        ),
        (other("task", context="both"), "task.context (–, both)"),
        (other("versions", evaluation=9), "versions.evaluation (1, 9)"),
        (other("versions", method=9), "versions.method (1, 9)"),
        (
            lambda r: replace(r, identity={**r.identity, "dtype": "bfloat16"}),
            "dtype (float32, bfloat16)",
        ),
    ],
)
def test_results_that_are_not_comparable(tmp_path: Path, change: Any, what: str) -> None:
    make(tmp_path, "a")
    b = make(tmp_path, "b")
    storage.write_record(change(b), tmp_path)
    with pytest.raises(UserError, match="a and b cannot be compared on solubility") as error:
        lines(tmp_path, "a", "b")
    assert what in str(error.value)


def test_names_that_are_not_clear(tmp_path: Path) -> None:
    make(tmp_path, "b", task="other")
    make(tmp_path, "apple"), make(tmp_path, "apple", method="mlp", key="0" * 8)
    make(tmp_path, "cherry", method="lora")
    for alpha, key in ((1, "1" * 8), (2, "2" * 8)):
        make(tmp_path, "pear", key=key, settings={"method.alpha": alpha})
    make(tmp_path, "small", limit=20)
    (tmp_path / "empty").mkdir()
    for words, sentence in (
        (("aple", "b"), "unknown model 'aple'; did you mean apple"),
        (
            ("apple", "cherry"),
            r"no method in common, apple \(linear\), apple \(mlp\), cherry \(lora\)",
        ),
        (
            ("apple", "pear"),
            r"pear names 2 results of .* method=linear: pear \(alpha=1\)@11111111, ",
        ),
        (("b", "small"), "unknown model 'small'"),
        (("b", "small@" + make(tmp_path, "small", limit=20).key), "has only runs with limit="),
        (("b", str(tmp_path / "empty")), "empty has no Records; give a folder"),
        (("b", "apple@00000000"), "there is no task with results of two of them: b has other; "),
    ):
        with pytest.raises(UserError, match=sentence):
            lines(tmp_path, *words)
    with pytest.raises(UserError, match="apple has no results of method=lora"):
        select(["apple"], tmp_path, "lora")
    assert select(["apple"], tmp_path, "mlp")[0].cells


def test_every_method_that_two_models_have(tmp_path: Path) -> None:
    """A baseline without a model is compared with each of them; other tasks are notes."""
    for model in ("apple", "pear"):
        make(tmp_path, model)
        make(tmp_path, model, method="mlp", key=("1" if model == "apple" else "2") * 8)
    free = {"task": {"metrics": list(METRICS)}, "model": {"_target_": NO_MODEL}}
    make(tmp_path, "none", method="nearest", config=free)
    make(tmp_path, "fig", method="mlp", key="3" * 8)
    make(tmp_path, "apple", task="only"), make(tmp_path, "apple", task="only", method="lora")
    make(tmp_path, "pear", task="only", method="mlp")
    found, notes = compare(select(["apple (baseline)", "pear"], tmp_path))
    assert [(x.column.task, x.column.method) for x in found] == [
        ("solubility", "linear"),
        ("solubility", "mlp"),
    ]
    assert len(notes) == 1 and notes[0].startswith("only: no method in common")
    text = render(report(["apple", "pear"], found, notes), width=200)
    assert "\nsolubility · mlp " in text and "of 2 comparisons" in text
    for words, count in ((("apple", "nearest"), 2), (("fig", "apple"), 1), (("fig", "nearest"), 1)):
        assert len(lines(tmp_path, *words)) == count
    with pytest.raises(UserError, match="no method in common"):
        compare(select(["apple", "pear"], tmp_path, tasks="only"))


@pytest.mark.parametrize("word", ["random", "random (dim=320) (baseline)", "random (dim=320)"])
def test_of_several_settings_those_of_the_yaml(tmp_path: Path, word: str) -> None:
    make(tmp_path, "a")
    made = {
        dim: make(tmp_path, "random", dim / 100, settings={"model.dim": dim}) for dim in (96, 320)
    }
    assert lines(tmp_path, "a", word)[0].scores[1] == made[320].scores["test"]["accuracy"]
    (line,) = lines(tmp_path, "random (dim=96)", word)
    assert line.scores[0] == made[96].scores["test"]["accuracy"] != line.scores[1]
