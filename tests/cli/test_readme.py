"""What the README tells is run here: the bare command, and every recipe as it is printed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import run_cli as benchmark
from tests.conftest import ROOT, random_chain

README = (ROOT / "README.md").read_text()
RECIPES = dict(re.findall(r"<!-- recipe: (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL))


@pytest.fixture
def own(tmp_path: Path, esm_folder: Path) -> Path:
    """A user's folder: the README's recipes, a table, a checkpoint."""
    for name, text in RECIPES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rng = np.random.default_rng(0)
    rows, entries = ["seq,label,split"], list[str]()
    for split, count in (("train", 60), ("valid", 20), ("test", 30)):
        for _ in range(count):
            chain = random_chain(rng, int(rng.integers(20, 60)))
            label = f"{len(chain) + rng.normal():.3f}"
            rows.append(f"{chain},{label},{split}")
            known = f"SET={split.replace('valid', 'train')} VALIDATION={split == 'valid'}"
            entries.append(f">P1 {known} TARGET={label} FAMILY={rng.integers(40)}\n{chain}")
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    (tmp_path / "mine.fasta").write_text("\n".join(entries))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-1000").symlink_to(esm_folder)
    return tmp_path


def score(folder: Path, *words: str) -> dict[str, float]:
    done = benchmark("--config-dir", "conf", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    newest = max(folder.glob("results/*/*/*/*/*.json"), key=lambda path: path.stat().st_mtime_ns)
    scores: dict[str, float] = json.loads(newest.read_text())["scores"]["test"]
    return scores


def test_task_recipe(own: Path) -> None:
    assert set(score(own, "task=mine", "model=kmer")) == {"spearman", "rmse"}


def test_fasta_recipe(own: Path) -> None:
    """The rows of the table in another format: the same score, by families."""
    assert score(own, "task=mine_fasta", "model=kmer") == score(own, "task=mine", "model=kmer")
    (path,) = own.glob("results/mine_fasta/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    assert record["examples"] == {"train": 60, "valid": 20, "test": 30}
    assert record["units"]["test"] < 30


def test_checkpoint_recipe(own: Path) -> None:
    score(own, "task=mine", "model=mine", "device=cpu")
    assert (own / "results" / "mine" / "mine").is_dir()


def test_family_recipe(own: Path) -> None:
    assert score(own, "task=mine", "model=length")["spearman"] > 0.95


def test_method_and_metric_recipes(own: Path) -> None:
    metrics = "task.metrics=[rmse,mypackage.bias.bias]"
    scores = score(own, "task=mine", "model=length", "method=mean", metrics)

    assert abs(scores["bias"]) < 10 < scores["rmse"]


@pytest.mark.slow
def test_the_bare_command_ends_in_a_table_and_a_score(tmp_path: Path) -> None:
    """The smallest real run, offline; `test_pocket_models.py` holds its score."""
    done = benchmark(cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("results/pocket_ss8/pocket_mlm_m/linear/*/seed0.json"))
    assert re.search(r"q8 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] \(95 %, 120 units\)", done.stdout)
