"""The pocket language models' training: it learns, and goes on after a kill as if unharmed."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from benchmark.core import UserError
from benchmark.pocket.make.recipe import ID, Recipe, build, cost
from benchmark.pocket.make.train import (
    IGNORED,
    RESIDUE_IDS,
    Batch,
    batches,
    encode,
    learning_rate,
    make_batch,
    mean_loss,
    optimiser_of,
    train,
)
from tests.conftest import make_backbone, random_chain

ABILITIES = {"masked_log_probs", "causal_log_probs", "sampling", "contact_head"}
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
    return [sys.executable, "-m", "benchmark.pocket.make.train", *files, *words, *SMALL]


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.slow
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
    resumed = subprocess.run(
        command(corpus, killed, objective, 60_000), check=True, capture_output=True, text=True
    )
    assert "resuming from step" in resumed.stdout
    weights = load_file(whole / "model.safetensors")
    again = load_file(killed / "model.safetensors")
    assert all(np.array_equal(weights[name], again[name]) for name in weights | again)
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()
    assert not (killed / "state.pt").exists()
    assert not any("inv_freq" in name for name in weights), "computed, and exact only in float32"

    backbone = make_backbone("huggingface", whole)
    able = ABILITIES & backbone.abilities
    assert able == (
        {"masked_log_probs"} if objective == "masked" else {"causal_log_probs", "sampling"}
    )
    assert backbone.facts()["packing"]


def settings(objective: str) -> Recipe:
    """Two layers, two steps."""
    return replace(recipe(objective), layers=2, dim=32, heads=2, tokens=600)


def run(made: Recipe, out: Path, corpus: list[str], held_out: list[str], bf16: bool = False) -> Any:
    out.mkdir(exist_ok=True)
    train(
        made, corpus, held_out, out,
        device=torch.device("cpu"), bf16=bf16, save_minutes=0, log_steps=1,
    )  # fmt: skip
    return json.loads((out / "recipe.json").read_text())


@pytest.mark.slow
def test_a_state_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another recipe, corpus, precision, or other chains to watch."""
    made, (a, b) = settings("masked"), (["ACDEFGHIKL" * 9] * 4, ["LKIHGFEDCA" * 9] * 4)
    with monkeypatch.context() as stopped:
        stopped.setattr(Path, "unlink", lambda *_, **__: None)
        whole = run(made, tmp_path, a, a)
    assert (tmp_path / "state.pt").exists(), "that of step 1"
    assert whole["precision"] == "float32" and whole["corpus"] == whole["held_out"]
    others = [(replace(made, lr=1e-2), a, a, False), (made, b, a, False), (made, a, b, False)]
    for words in (*others, (made, a, a, True)):
        with pytest.raises(UserError, match="other settings or sequences; give another --out"):
            run(words[0], tmp_path, *words[1:])
    assert run(made, tmp_path, a, a) == whole


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    made, chains = settings("causal"), ["ACDEFGHIKL" * 9]
    with pytest.raises(UserError, match="--corpus holds no sequence; give a file with one a line"):
        run(made, tmp_path, [], chains)
    with pytest.raises(UserError, match="--held-out holds no sequence"):
        run(made, tmp_path, chains, [])
    with pytest.raises(UserError, match="--dim=32 cannot be shared by --heads=3"):
        run(replace(made, heads=3), tmp_path, chains, chains)
    with pytest.raises(UserError, match="--crop=400 and its two ends do not fit"):
        run(replace(made, crop=400), tmp_path, chains, chains)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_chains_of_a_batch_do_not_see_each_other(objective: str) -> None:
    """The loss of a batch is the mean over the predicted tokens of each chain alone."""
    rng = np.random.default_rng(0)
    made = settings(objective)
    module = build(made)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3)
    if objective == "masked":  # it would scale all by what is hidden in the whole row
        module.esm.embeddings.token_dropout = False

    def loss(batch: Batch) -> float:
        return mean_loss(module, batch, torch.device("cpu"), False).item()

    chains = encode([random_chain(rng, n) for n in (30, 39, 12, 25)])
    batch = make_batch(chains, made, rng)
    losses, counts, start = [], [], 0
    for length in batch.lengths[:-1]:
        part = slice(start, start + length)
        alone = Batch(batch.ids[part], batch.targets[part], [length])
        losses.append(loss(alone))
        counts.append(int((alone.targets != IGNORED).sum()))
        start += length
    together = loss(batch)

    assert min(counts) > 0
    assert together == pytest.approx(np.average(losses, weights=counts), rel=1e-5)


def test_the_recipe_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warmup and cosine, decay of matrices alone, clipped gradients, initial weights."""
    made = replace(settings("causal"), lr=2e-3, warmup=0.1, weight_decay=0.01, clip=0.7)
    rates = [learning_rate(made, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([2e-4 * (step + 1) for step in range(10)])
    assert rates[10] == 2e-3 and rates[99] == pytest.approx(2e-4, rel=0.01)
    assert rates[55] == pytest.approx((2e-3 + 2e-4) / 2, rel=1e-6), "half of the way down"

    module = build(made)
    decayed, kept = optimiser_of(module, made).param_groups
    assert {p.ndim for p in decayed["params"]} == {2} and decayed["weight_decay"] == 0.01
    assert {p.ndim for p in kept["params"]} == {1} and kept["weight_decay"] == 0
    assert len(decayed["params"]) + len(kept["params"]) == len(list(module.parameters()))
    deviation = module.model.layers[0].mlp.up_proj.weight.std().item()
    assert deviation == pytest.approx(np.sqrt(2 / (5 * 32)), rel=0.05)

    norms, clip = list[float](), torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils,
        "clip_grad_norm_",
        lambda parameters, norm: (norms.append(norm), clip(parameters, norm))[1],
    )
    run(made, tmp_path, ["ACDEFGHIKL" * 9], ["ACDEFGHIKL" * 9])
    assert norms == [0.7] * 2


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
