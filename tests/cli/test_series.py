"""`series`: which checkpoints, how far they were trained, and what is run and shown."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.cli.checkpoints import choose_axis, find_checkpoints, positions
from benchmark.core import UserError
from benchmark.pocket import FOLDER
from tests.command_line import Completed, refused, run_cli


def checkpoint(folder: Path, **recipe: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    if recipe:
        (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def test_checkpoints_are_a_folder_a_pattern_or_a_single_one(tmp_path: Path) -> None:
    for name in ("step_1000", "step_900", "other", "logs/a"):
        checkpoint(tmp_path / name)
    names = [path.name for path in find_checkpoints(str(tmp_path))]
    assert names == ["other", "step_900", "step_1000"], "in the order of numbers"
    assert [p.name for p in find_checkpoints(f"{tmp_path}/step_*")] == ["step_900", "step_1000"]
    assert find_checkpoints(str(tmp_path / "other")) == [tmp_path / "other"]
    with pytest.raises(UserError, match="holds no checkpoint; give a folder of folders"):
        find_checkpoints(f"{tmp_path}/epoch*")


@pytest.mark.parametrize(
    ("names", "axis", "places"),
    [
        (["step_900", "step_1000"], "step", [900, 1000]),
        (["ck/checkpoint-500", "ck/checkpoint-1500"], "step", [500, 1500]),
        (["global_step2k", "global_step10k"], "step", [2000, 10000]),
        (["clm_s_1m", "clm_s_3M", "clm_s_0.5b"], "tokens", [1e6, 3e6, 5e8]),
        (["run1-tokens=300", "run1-tokens=900"], "tokens", [300, 900]),
        (["esm2-step10-seed0", "esm2-step20-seed0"], "step", [10, 20]),
    ],
)
def test_names(names: list[str], axis: str, places: list[float]) -> None:
    found = positions(names, [{}] * len(names))
    assert found == [{axis: place} for place in places]


def test_facts_win_over_a_recipe_and_a_recipe_over_names(tmp_path: Path) -> None:
    cost = {"tokens": 2_000, "flops_6nd": 3e9}
    folders = [
        checkpoint(tmp_path / "step_1", tokens=1_000, cost=cost),
        checkpoint(tmp_path / "step_2", tokens=5_000, step=7),
    ]
    facts = {"training_tokens": "6e3"}
    models: list[dict[str, Any]] = [{"path": str(folder)} for folder in folders]
    assert positions(["step_1", "step_2"], [models[0], {**models[1], "facts": facts}]) == [
        {"step": 1, "tokens": 2_000, "flops": 3e9},
        {"step": 7, "tokens": 6_000},
    ]
    recipe = json.loads((FOLDER / "checkpoints" / "clm_m" / "recipe.json").read_text())["cost"]
    clm_m = positions(["x"], [{"path": "package:clm_m"}])
    assert clm_m == [{"tokens": recipe["tokens"], "flops": recipe["flops_6nd"]}]


def test_the_axis_is_known_of_every_checkpoint() -> None:
    places: list[Any] = [{"step": 1, "tokens": 5}, {"step": 2}]
    assert choose_axis(places, None) == "step"
    assert choose_axis(places[:1], None) == "tokens"
    assert choose_axis(places[:1], "step") == "step"
    for known, axis, message in (
        (places, "tokens", "the tokens of every checkpoint must be known; name the folders"),
        ([{}], None, "the tokens or flops or step of every checkpoint"),
        (places, "epoch", "x=epoch is not known; there is x=tokens, x=flops, x=step"),
    ):
        with pytest.raises(UserError, match=message):
            choose_axis(known, axis)


@pytest.fixture
def folder(tmp_path: Path, esm_folder: Path, toy_conf: Path) -> Path:
    """A folder with three checkpoints in `ck`; the task `toy` is in `mine`."""
    for step in (10, 20, 100):
        path = tmp_path / "ck" / f"step_{step}"
        copytree(esm_folder, path)
        weights = load_file(path / "model.safetensors")
        torch.manual_seed(step)
        noisy = {name: w + 0.1 * torch.randn(w.shape) for name, w in weights.items()}
        save_file(noisy, path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def series(folder: Path, *words: str) -> Completed:
    words = ("series", *words, "config_dir=mine", "device=cpu", "results=results")
    return run_cli(*words, cwd=folder)


def test_only_new_checkpoints_run(folder: Path) -> None:
    (folder / "ck" / "step_100").rename(folder / "later")
    first = series(folder, "ck", "task=toy", "format=json")
    assert first.returncode == 0, first.stderr
    (folder / "later").rename(folder / "ck" / "step_100")
    done = series(folder, "ck", "task=toy", "format=json")

    assert done.returncode == 0 and "2 skipped" in done.stderr and "1 done" in done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["title"] == "toy · linear: accuracy ↑, n = 30"
    assert [row[:2] for row in table["rows"]] == [[f"step_{step}", step] for step in (10, 20, 100)]
    scores = [
        json.loads(path.read_text())["scores"]["test"]["accuracy"]
        for step in (10, 20, 100)
        for path in folder.glob(f"results/toy/step_{step}/*/*/seed0.json")
    ]
    assert [row[2]["score"] for row in table["rows"]] == scores
    assert [row[3] and row[3]["score"] for row in table["rows"][1:]] == pytest.approx(
        [scores[1] - scores[0], scores[2] - scores[1]]
    )
    assert (folder / "results" / "series_toy.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_lists_axes_and_an_early_answer(folder: Path) -> None:
    words = ("'ck/step_10,ck/step_20'", "task=toy", "early=toy", "model.facts.tokens=300,200")
    done = series(folder, words[0].strip("'"), *words[1:], "figure=a/b.png")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 checkpoints by tokens") == 2, "first the early task"
    places = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("step_")]
    assert places[:2] == [["step_20", "2.00e+02"], ["step_10", "3.00e+02"]]
    assert (folder / "a" / "b.png").exists()


def test_refusals(folder: Path) -> None:
    checkpoint(folder / "two" / "final")
    for words, message in (
        (("task=toy",), "series takes one list of checkpoints"),
        (("ck", "task=toy", "suite=pocket"), "suite= and task= are both given"),
        (("nothing",), "nothing holds no checkpoint"),
        (("ck", "model.facts.tokens=1,2"), "has 2 values for 3 checkpoints; give one each"),
        (("ck", "task=toy", "x=epoch"), "x=epoch is not known"),
    ):
        assert message in refused(series(folder, *words))
    assert not (folder / "results").exists(), "refused before a run"
