"""The pocket language models that ship are what their cards, yamls and Records say."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from matplotlib.axes import Axes
from safetensors.numpy import load_file

from benchmark.core import RESIDUES, UserError
from benchmark.pocket.make.card import BASELINES, CHECKPOINTS, card, figure, perplexities
from benchmark.pocket.make.corpus import BANDS, LONGEST, SHORTEST
from benchmark.results.record import Record
from benchmark.results.storage import load_all
from tests.command_line import run_cli as benchmark
from tests.conftest import ROOT

FOLDER = ROOT / "benchmark" / "pocket"
NAMES = sorted(path.name for path in CHECKPOINTS.iterdir())


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return load_all(ROOT / "results")


def recipe(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHECKPOINTS / name / "recipe.json").read_text())
    return found


def test_held_out_proteins_are_in_their_bands_and_on_the_card() -> None:
    table = pq.read_table(FOLDER / "heldout.parquet").to_pydict()
    readme = (FOLDER / "README.md").read_text()

    assert len(set(table["seq"])) == len(table["seq"])
    for band, (low, high) in BANDS.items():
        rows = [row for row, name in enumerate(table["band"]) if name == band]
        chains = [table["seq"][row] for row in rows]
        identity = np.array([table["identity"][row] for row in rows])
        homologs = len({table["cluster"][row] for row in rows})
        assert set("".join(chains)) <= set(RESIDUES)
        assert all(SHORTEST <= len(chain) <= LONGEST for chain in chains)
        assert (identity >= np.float32(low)).all() and ((identity < high) | (identity == 0)).all()
        numbers = (len(rows), sum(map(len, chains)), homologs)
        assert f"| {band} | {' | '.join(f'{number:,}' for number in numbers)} |" in readme


def test_natural_proteins_are_none_that_is_held_out() -> None:
    file = FOLDER / "natural.fasta.gz"
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    held_out = set(pq.read_table(FOLDER / "heldout.parquet", columns=["seq"])["seq"].to_pylist())

    assert file.stat().st_size <= 3_000_000
    assert len(set(lines[1::2])) == len(lines[::2]) == 10_000
    assert all(line.startswith(">") for line in lines[::2])
    assert not held_out & set(lines[1::2])


def test_checkpoints_are_small() -> None:
    files = [file for file in CHECKPOINTS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 31_000_000
    for name in NAMES:
        weights = load_file(CHECKPOINTS / name / "model.safetensors")
        assert {array.dtype for array in weights.values()} == {np.dtype(np.float16)}
        assert not any("inv_freq" in key or "contact_head" in key for key in weights)


@pytest.mark.parametrize("name", NAMES)
def test_yamls_tell_what_the_training_told(name: str) -> None:
    model = yaml.safe_load((ROOT / "conf" / "model" / f"pocket_{name}.yaml").read_text())
    cost = recipe(name)["cost"]

    assert model["path"] == f"package:{name}"
    assert model["facts"]["parameters"] == cost["parameters"]
    assert model["facts"]["training_tokens"] == cost["tokens"]
    assert float(model["facts"]["training_flops"]) == pytest.approx(cost["flops_6nd"], rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_made_of_the_records(name: str, records: list[Record]) -> None:
    objective = recipe(name)["objective"]
    text = (CHECKPOINTS / name / "README.md").read_text()

    assert text == card(CHECKPOINTS / name, records)
    measured = perplexities(objective, records)
    baseline = measured[BASELINES[objective][0]].scores["mean"]["perplexity"]
    assert measured[f"pocket_{name}"].scores["mean"]["perplexity"] < baseline
    for needed in (f"pocket_{name}", *BASELINES[objective]):
        with pytest.raises(UserError, match=f"model={needed}; run it first"):
            card(CHECKPOINTS / name, [r for r in records if r.model != needed])


def test_the_figure_shows_every_model_and_baseline(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = set[str]()
    legend = Axes.legend

    def read(panel: Axes, **settings: Any) -> Any:
        labels.update(panel.get_legend_handles_labels()[1])
        return legend(panel, **settings)

    monkeypatch.setattr(Axes, "legend", read)
    figure(records, tmp_path / "figure.png")

    assert labels == {*(f"pocket_{name}" for name in NAMES), "unigram", "bigram", "neighbours"}
    assert (FOLDER / "perplexity.png").stat().st_size <= 100_000
    assert "(perplexity.png)" in (FOLDER / "README.md").read_text()


def test_cards_are_of_one_question_and_the_same_weights(records: list[Record]) -> None:
    """The last test here checks which weights those are."""
    folder = CHECKPOINTS / "mlm_s"
    of_baseline = [r for r in records if r.model == "neighbours"][-1]
    identity = {**of_baseline.identity, "task": {**of_baseline.identity["task"], "positions": 8}}
    with pytest.raises(UserError, match="are of different data or settings of their task"):
        card(folder, [*records, replace(of_baseline, identity=identity)])
    mine = [r for r in records if (r.model, r.task) == ("pocket_mlm_s", "pocket_ss8")][-1]
    other = replace(mine, backbone={**mine.backbone, "digest": "of other weights"})
    with pytest.raises(UserError, match="Records of model=pocket_mlm_s are of different weights"):
        card(folder, [*records, other])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["onehot", *(f"pocket_{name}" for name in NAMES)])
def test_the_committed_score_comes_again(model: str, records: list[Record], tmp_path: Path) -> None:
    """The nightly check: the same weights and data, the same score."""
    words = ["task=pocket_ss8", f"model={model}", "device=cpu", "store=off"]
    done = benchmark(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (ours,) = load_all(tmp_path / "results")
    theirs = max(
        (r for r in records if (r.task, r.model, r.method) == (ours.task, ours.model, "linear")),
        key=lambda record: record.created,
    )

    assert ours.data == theirs.data
    assert ours.backbone["digest"] == theirs.backbone["digest"]
    assert ours.scores["test"] == pytest.approx(theirs.scores["test"], abs=1e-3)
    for metric, ends in theirs.intervals["test"].items():
        np.testing.assert_allclose(ours.intervals["test"][metric], ends, atol=2e-3)
    assert theirs.intervals["test"]
