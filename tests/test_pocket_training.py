"""The pocket language models' training: it learns, and goes on after a kill as if unharmed."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmark.core import CausalLogProbs, ContactHead, MaskedLogProbs, Sampling
from benchmark.pocket.recipe import ID, Recipe, build, cost
from benchmark.pocket.train import IGNORED, RESIDUE_IDS, batches, encode
from tests.conftest import make_backbone, random_chain

ABILITIES = (MaskedLogProbs, CausalLogProbs, Sampling, ContactHead)
SMALL = ["--layers=2", "--dim=32", "--heads=2", "--batch-tokens=512", "--crop=99", "--log-steps=10"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chains with something to learn: one residue always follows another."""
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, 20).replace("A", "AW") * 2 for _ in range(60)]
    file = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    file.write_text("\n".join(chains))
    return file


def command(corpus: Path, out: Path, objective: str, tokens: int) -> list[str]:
    files = [f"--corpus={corpus}", f"--held-out={corpus}", f"--out={out}"]
    words = [f"--objective={objective}", f"--tokens={tokens}", "--save-minutes=0", "--device=cpu"]
    return [sys.executable, "-m", "benchmark.pocket.train", *files, *words, *SMALL]


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_training_learns_and_survives_a_kill(objective: str, corpus: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(corpus, whole, objective, 60_000), check=True, capture_output=True)
    with (whole / "log.csv").open() as file:
        losses = [float(row["held_out"]) for row in csv.DictReader(file)]
    assert losses[-1] < min(losses[0] - 0.1, np.log(20))

    with subprocess.Popen(command(corpus, killed, objective, 60_000), stdout=-3) as process:
        wait_for(killed / "state.pt", process)
        process.send_signal(signal.SIGKILL)
    assert not (killed / "model.safetensors").exists()
    told = subprocess.run(
        command(corpus, killed, objective, 60_000), check=True, capture_output=True, text=True
    )
    assert "going on from step" in told.stdout
    weights = load_file(whole / "model.safetensors")
    again = load_file(killed / "model.safetensors")
    assert all(np.array_equal(weights[name], again[name]) for name in weights | again)
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()
    assert not (killed / "state.pt").exists()

    backbone = make_backbone("huggingface", whole)
    able = {kind for kind in ABILITIES if isinstance(backbone, kind)}
    assert able == ({MaskedLogProbs} if objective == "masked" else {CausalLogProbs, Sampling})
    assert backbone.facts()["packing"]


def test_a_state_of_other_settings_is_refused(corpus: Path, tmp_path: Path) -> None:
    with subprocess.Popen(command(corpus, tmp_path, "masked", 60_000), stdout=-3) as process:
        wait_for(tmp_path / "state.pt", process)
        process.kill()
    told = subprocess.run(
        command(corpus, tmp_path, "masked", 70_000), check=False, capture_output=True, text=True
    )
    assert told.returncode == 1
    assert "other settings; give another --out" in told.stderr


def recipe(objective: str) -> Recipe:
    return Recipe(
        objective=objective,  # type: ignore[arg-type]
        layers=1,
        dim=8,
        heads=1,
        tokens=10_000,
        batch_tokens=300,
        crop=40,
        lr=1e-3,
        warmup=0.1,
        weight_decay=0.0,
        clip=1.0,
        seed=0,
    )


def test_batches_are_the_same_from_any_step_and_hold_every_chain_once_an_epoch() -> None:
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, int(n)) for n in rng.integers(10, 60, 100)]
    made = batches(encode(chains), recipe("causal"), 0)
    first = [next(made) for _ in range(12)]
    later = batches(encode(chains), recipe("causal"), 5)
    for batch in first[5:]:
        assert all(np.array_equal(a, b) for a, b in zip(batch, next(later), strict=True))
    assert all(sum(batch.lengths) == len(batch.ids) == 300 for batch in first)

    epoch: list[int] = []
    for batch in batches(encode(chains), recipe("causal"), 0):
        if len(epoch) == 100:
            break
        epoch += batch.lengths[:-1] if batch.ids[-1] == ID["<pad>"] else batch.lengths
    assert sorted(epoch) == sorted(min(len(chain), 40) + 2 for chain in chains)


def test_what_is_asked_is_what_the_papers_ask() -> None:
    """ESM-2: 15 % of residues; of these 80 % hidden, 10 % replaced, 10 % left as they are."""
    rng = np.random.default_rng(1)
    chains = [random_chain(rng, 30) for _ in range(3000)]
    asked = hidden = kept = residues = 0
    made = batches(encode(chains), recipe("masked"), 0)
    for batch, _ in zip(made, range(250), strict=False):
        at = batch.targets != IGNORED
        asked += at.sum()
        hidden += (batch.ids[at] == ID["<mask>"]).sum()
        kept += (batch.ids[at] == batch.targets[at]).sum()
        residues += (batch.ids >= ID["L"]).sum()
        assert np.isin(batch.targets[at], RESIDUE_IDS).all()
    assert asked / residues == pytest.approx(0.15, abs=0.005)
    assert hidden / asked == pytest.approx(0.8, abs=0.01)
    assert kept / asked == pytest.approx(0.1 + 0.1 / 20, abs=0.01)

    batch = next(batches(encode(chains), recipe("causal"), 0))
    start = 0
    for length in batch.lengths[:-1]:
        part = slice(start, start + length - 1)
        assert np.array_equal(batch.targets[part], batch.ids[start + 1 : start + length])
        assert batch.targets[start + length - 1] == IGNORED
        start += length
    assert batch.ids[-1] == ID["<pad>"]
    assert np.all(batch.targets[start:] == IGNORED)


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_cost_is_that_of_the_matrices_and_the_attention(objective: str) -> None:
    """Every matrix is in the count; and 6 N D with attention and softmax is the exact count."""
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, 30) for _ in range(100)]
    made = replace(recipe(objective), dim=48, heads=2, layers=3, tokens=3200, batch_tokens=320)
    spent = cost(chains, made)
    module = build(made)
    matrices = sum(p.numel() for p in module.parameters() if p.ndim == 2)
    tied = 33 * 48  # the decoder is the embedding
    contacts = 3 * 2 if objective == "masked" else 0  # ESM-2's contact head: one weight a map

    assert spent["parameters"] == matrices + tied - contacts
    assert spent["tokens"] == 10 * 10 * 32
    attention = 3 * 3 * (4 * 48 + 3 * 2) * 32**2 * 100
    assert spent["flops_exact"] == spent["flops_6nd"] + attention
