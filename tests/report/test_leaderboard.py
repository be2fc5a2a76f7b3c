"""Tables say what the Records say, and never mix what cannot be compared."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import UserError
from benchmark.data.digests import make_key
from benchmark.files import replacing
from benchmark.report.breakdowns import by_method
from benchmark.report.cells import Cells, tabulate
from benchmark.report.leaderboard import leaderboard, runs_table, task_table, tell, write
from benchmark.report.published import PublishedScore
from benchmark.report.render import render
from benchmark.results.migrations import migrate
from benchmark.results.record import Record
from benchmark.results.storage import load, load_all, save
from benchmark.stats.seeds import estimate


def record(task: str = "solubility", model: str = "a", score: float = 0.5, **more: Any) -> Record:
    settings = more.pop("settings", {"dtype": "float32", "model.layer": -1})
    values: dict[str, Any] = {
        "task": task,
        "area": "developability",
        "version": 1,
        "model": model,
        "method": "linear",
        "seed": 0,
        "limit": None,
        "key": make_key([task, model, settings, more.get("data"), more.get("backbone")]),
        "primary": "roc_auc",
        "higher_is_better": {"roc_auc": True, "rmse": False},
        "scores": {"test": {"roc_auc": score, "rmse": 1.0}},
        "intervals": {"test": {"roc_auc": (score - 0.1, score + 0.1)}},
        "examples": {"train": 10, "valid": 5, "test": 1234},
        "scored": {"test": 1234},
        "units": {"test": 600},
        "notes": {"source": "hub:x/y"},
        "data": {"train": "1", "valid": "2", "test": "3"},
        "config": {"task": {"min": 1}},
        "settings": settings,
        "choices": {},
        "backbone": {"digest": "w"},
        "seconds": {"total": 1.0},
        "environment": {},
        "created": "2026-01-01T00:00:00.000000Z",
    }
    values |= {"format": 1, **more}
    config = {"model": {}, "method": {}, **values["config"]}
    return Record(**migrate({**values, "config": config}))


def markdown(cells: Cells, published: Sequence[PublishedScore] = ()) -> str:
    return render(leaderboard(cells, published), "markdown") + "\n"


def lines(*records: Record) -> list[str]:
    """The table without the rule below its head."""
    text = markdown(tabulate(records))
    return [x for x in text.splitlines() if x.startswith("| ") and not x.startswith("| ---")]


SUITE = ("pocket_contact", "pocket_ss8")
"""The embedded tasks of the area structure."""


def embedded(task: str, model: str = "a", score: float = 0.5, **more: Any) -> Record:
    return record(task, model, score, area="structure", notes={"source": "package:x"}, **more)


def test_the_best_is_bold_and_first_and_a_complete_area_has_a_mean() -> None:
    one, other = SUITE
    table = lines(
        embedded(one, score=0.4), embedded(other, score=0.6),
        embedded(one, "b", 0.7), embedded(other, "b", 0.5),
        embedded(one, "c", 0.1),
        embedded(one, "d"), embedded(other, "d", scores={"test": {}}, intervals={"test": {}}),
    )  # fmt: skip

    assert table[0] == (
        "| model | pocket_contact<br>roc_auc ↑, n = 1,234 | pocket_ss8<br>roc_auc ↑, n = 1,234 "
        "| mean ↑ |"
    )
    assert table[1] == "| b | **0.700** [0.600, 0.800] | 0.500 [0.400, 0.600] | 0.600 |"
    assert table[2] == "| a | 0.400 [0.300, 0.500] | **0.600** [0.500, 0.700] | 0.500 |"
    assert table[3] == "| d | 0.500 [0.400, 0.600] | undefined | undefined |"
    assert table[4] == "| c | 0.100 [0.000, 0.200] | – | – (1 of 2 tasks) |"


def test_an_area_that_misses_tasks_of_its_suite_has_no_mean() -> None:
    tasks = ("contact", "fold", "ssp_q3", "ssp_q8")
    runs = [record(task, area="structure") for task in tasks]

    assert lines(*runs[:2])[1].endswith("| – (2 of 4 tasks) |")
    assert lines(*runs)[1].endswith("| 0.500 |")
    assert lines(*runs, record("mine", area="structure", score=1.0))[1].endswith("| 0.500 |")
    assert "mean" not in lines(record("mine"), record("ours"))[0], "no suite, no mean"


def test_lower_is_better_ranks_upward_and_has_no_mean() -> None:
    down = {"primary": "rmse", "higher_is_better": {"rmse": False}}
    table = lines(
        embedded(SUITE[0], scores={"test": {"rmse": 2.0}}, **down),
        embedded(SUITE[0], "b", scores={"test": {"rmse": 1.0}}, **down),
        embedded(SUITE[1], "b"),
    )

    assert "mean" not in table[0]
    assert table[1] == "| b | **1.000** | **0.500** [0.400, 0.600] |"
    assert table[2].startswith("| a | 2.000 |")


def test_an_unknown_area_is_last() -> None:
    text = markdown(tabulate([record(), record("old", area="antiquity")]))

    assert text.index("## Developability") < text.index("## Antiquity · linear")


def test_baselines_are_marked() -> None:
    target = {"model": {"_target_": "benchmark.backbones.floors.Window"}, "task": {"min": 1}}
    runs = [record(), record(model="onehot", score=0.4, config=target)]
    cells = tabulate(runs)

    assert lines(*runs)[2].startswith("| onehot (baseline) | 0.400 ")
    assert task_table(cells, runs[0]).rows[1][0] == "onehot (baseline)"
    assert "onehot (baseline)" in render(by_method(cells), "markdown")
    assert {row[3] for row in runs_table(cells).rows} == {"a", "onehot"}, "names for programs"


def test_rows_without_a_model_are_in_the_tables_of_all_methods_under_the_methods_name() -> None:
    none = {"model": {"_target_": "benchmark.backbones.baselines.none.NoModel"}, "task": {"min": 1}}
    memory = record(model="none", method="nearest", score=0.6, config=none)
    records = [record(), record(method="lora", score=0.7), memory]
    text = markdown(tabulate(records))

    assert text.count("| nearest (baseline) |") == 2
    assert "· nearest" not in text and "| none" not in text
    assert "· nearest" in markdown(tabulate([memory])), "alone they have a table"
    shown = task_table(tabulate(records), records[0])
    assert [row[0] for row in shown.rows] == ["nearest (baseline)", "a"]


def test_the_table_after_a_run_fits_in_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Further metrics are shown as far as they fit."""
    better = dict.fromkeys(["roc_auc", "rmse", "spearman", "a_metric_of_a_long_name"], True)
    run = record(model="esm2_t33_650M", higher_is_better=better)
    save(run, {"id": ["a"]}, tmp_path)
    for width, last in ((80, "spearman ↑"), (50, "rmse ↑"), (20, "roc_auc ↑")):
        monkeypatch.setenv("COLUMNS", str(width))
        tell(tmp_path, run)
        heading, row = capsys.readouterr().out.splitlines()
        assert heading.endswith(last) and row.startswith("esm2_t33_650M  0.500 [0.400, 0.600]")
        assert len(heading) <= max(width, 36)


def test_a_version_that_differs_is_shown() -> None:
    run = record()
    identity = {**run.identity, "versions": {**run.identity["versions"], "method": 2}}
    newer = replace(run, identity=identity)

    assert [line.split(" | ")[0] for line in lines(run, newer)[1:]] == [
        "| a (method version=1)",
        "| a (method version=2)",
    ]


def test_the_newest_of_the_same_settings_counts() -> None:
    old = record(score=0.9)
    new = record(score=0.2, created="2026-02-01T00:00:00.000000Z")

    assert "**0.200**" in lines(old, new)[1] and len(lines(old, new)) == 2


def test_other_settings_are_rows_of_their_own() -> None:
    table = lines(record(), record(score=0.4, settings={"dtype": "float32", "model.layer": 3}))

    assert [line.split(" | ")[0] for line in table[1:]] == ["| a (layer=-1)", "| a (layer=3)"]
    mixed = lines(record(), record(settings={"dtype": "bfloat16", "model.layer": -1}))
    assert len(mixed) == 3, "dtypes do not mix"


def test_seeds_are_one_row_and_limited_runs_left_out() -> None:
    """By hand: s = 0.02, t(2) = 4.303, s t / sqrt(3) = 0.0497; with 0.1 of sampling 0.1117."""
    runs = [record(score=score, seed=seed) for seed, score in enumerate((0.48, 0.50, 0.52))]
    table = lines(*runs, record(score=1.0, limit=5), record(model="b", score=0.4))

    assert table[1] == "| a | **0.500** ± 0.020 [0.388, 0.612], 3 seeds |"
    assert table[2] == "| b | 0.400 [0.300, 0.500] |"
    few = [replace(run, intervals={"test": {}}) for run in runs]
    assert lines(*few)[1] == "| a | **0.500** ± 0.020, 3 seeds |"
    assert len(runs_table(tabulate(runs)).rows) == 6, "a row for each seed and metric"


@pytest.mark.parametrize("between", [0.0, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_seeds_hold_the_truth(seeds: int, between: float) -> None:
    """Simulated: 100 test proteins that all seeds share, and a standard deviation between seeds.

    The plain mean of the intervals' ends, as it would be without the seeds' variance, does not.
    """
    rng = np.random.default_rng(0)
    count, proteins, truth = 4000, 100, 0.5
    half = 1.96 / np.sqrt(proteins)
    sampled = truth + rng.normal(size=(count, proteins)).mean(axis=1, keepdims=True)
    scores = sampled + between * rng.normal(size=(count, seeds))
    found = [
        estimate(row, [(x - half, x + half) for x in row], "identity") for row in scores.tolist()
    ]
    ends = np.array([one.interval for one in found])
    held = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    plain = np.mean(np.abs(scores.mean(axis=1) - truth) <= half)

    assert 0.94 <= held <= (0.99 if seeds == 2 else 0.98)
    if between == 0.3:
        assert plain < 0.87


def test_test_rows_that_are_all_in_train_are_told() -> None:
    """Also where nothing is left without them."""
    nothing = {"examples": 0, "units": 0, "scores": {}, "intervals": {}}
    text = markdown(tabulate([record(strata={"test": {"without overlap": nothing}})]))
    assert "1,234 of 1,234 test examples are in train or valid, too" in text


def test_the_set_that_ranks_is_named_where_there_are_several() -> None:
    several = {"fold": {"roc_auc": 0.1}, "family": {"roc_auc": 0.9}}
    counts = {"fold": 1234, "family": 99}
    found = record(
        scores=several,
        intervals={name: {} for name in several},
        scored=counts,
        data={"train": "1", **dict.fromkeys(several, "")},
    )
    assert "solubility<br>roc_auc of fold ↑, n = 1,234" in lines(found)[0]
    assert "solubility<br>roc_auc ↑, n = 1,234" in lines(record())[0]


def test_weights_of_one_name_never_mix() -> None:
    """A checkpoint overwritten in place: its seeds are not averaged with the old ones'."""
    new = {"backbone": {"digest": "new"}, "created": "2026-02-01T00:00:00.000000Z"}
    table = lines(record(score=0.9), record(score=0.9, seed=2), record(score=0.2, seed=1, **new))
    assert "**0.200**" in table[1]
    one, other = SUITE
    partly = lines(embedded(one), embedded(other), embedded(other, **new))
    assert partly[1].endswith("| – (mixed weights) |")


def test_other_settings_of_a_task_do_not_cost_the_mean() -> None:
    one, other = SUITE
    table = lines(
        embedded(one), embedded(other, score=0.7), embedded(one, "b"), embedded(other, "b"),
        embedded(one, score=0.1, config={"task": {"min": 2}}),
    )  # fmt: skip

    assert [line.split(" | ")[-1] for line in table[1:]] == ["0.600 |", "0.500 |"]


def test_undefined_scores_are_last() -> None:
    table = lines(record(scores={"test": {}}, intervals={"test": {}}), record(model="b", score=0.3))

    assert table[1:] == ["| b | **0.300** [0.200, 0.400] |", "| a | undefined |"]


def test_embedded_and_published_tasks_have_tables_of_their_own() -> None:
    text = markdown(tabulate([record(), record("pocket_x", notes={"source": "package:x"})]))

    assert text.index("## Developability · linear") < text.index("## Developability, embedded")


def test_saved_and_loaded_again(tmp_path: Path) -> None:
    saved = record()
    path = save(saved, {"id": ["a", "b"], "label": [0, 1]}, tmp_path)

    assert load_all(tmp_path) == [load(path)]
    assert load(path).scores == saved.scores
    assert markdown(tabulate([load(path)])) == markdown(tabulate([saved]))
    write(tmp_path)
    row, _ = csv.DictReader((tmp_path / "leaderboard.csv").read_text().splitlines())
    assert row["score"] == "0.5" and row["record"] == str(path.relative_to(tmp_path))
    assert row["seconds"] == "1.0" and row["forward_flops"] == "", "it was not counted"
    assert not list(tmp_path.rglob(".*"))


def test_a_record_never_holds_what_is_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(record(score=float("nan")), {"id": ["a"]}, tmp_path)
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob(".*"))


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file is renamed into its place, so that no reader and no kill finds half of it."""
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as file:
        file.write_text("new")
        written = file.stat().st_ino
        assert path.read_text() == "old"
    assert path.read_text() == "new" and path.stat().st_ino == written
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write_text("half")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]
    absent = tmp_path / "no" / "a.json"
    with pytest.raises(FileNotFoundError) as error, replacing(absent) as file:
        file.write_text("new")
    assert error.value.filename == str(absent), "not the temporary file"


def test_foreign_and_later_records_are_named(tmp_path: Path) -> None:
    path = save(record(), {"id": ["a"]}, tmp_path)
    path.write_text("{}")
    with pytest.raises(UserError, match="is not a Record of this program"):
        load(path)
    save(replace(record(), format=99), {"id": ["a"]}, tmp_path)
    with pytest.raises(UserError, match="has the format 99; this program reads 1 to 2"):
        load(path)


def test_methods_stand_side_by_side_with_their_cost() -> None:
    spent = {"trained_parameters": 1234, "forward_flops": 2 * 10**12, "backward_flops": 10**12}
    adapted = {"method": "lora", "settings": {"dtype": "float32", "method.r": 16}}
    cells = tabulate(
        [
            record(model="onehot", score=0.6),
            record(score=0.5),
            record(score=0.8, cost=spent, **adapted),
            record(score=0.7, cost=spent, **adapted | {"seed": 1}),
            record("stability", score=0.1),
        ]
    )
    text = render(by_method(cells), "markdown")

    assert text.count("## ") == 2
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0] == "| model | method | score ↑ | trained parameters | FLOPs | seconds |"
    assert table[2].startswith("| a | lora | 0.750 ± 0.071 ")
    assert table[2].endswith(", 2 seeds | 1,234 | 3.0e+12 | 1 |")
    assert table[3:5] == [
        "| onehot | linear | 0.600 [0.500, 0.700] | – | – | 1 |",
        "| a | linear | 0.500 [0.400, 0.600] | – | – | 1 |",
    ]
