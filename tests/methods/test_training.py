"""What divides a batch moves nothing, what is killed goes on, what was learned is kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.transformer import Transformer
from benchmark.core import Example, FitContext, Readout, Splits, UserError
from benchmark.methods.finetune.heads import Objective
from benchmark.methods.finetune.trainer import Trainer
from benchmark.metrics import find
from benchmark.run.evaluation import check, evaluate
from tests.conftest import make_backbone, make_task
from tests.learning import LEVELS, REAL, TRAININGS, StopError, answer, examples, method


@pytest.mark.parametrize("layer", [0, 1])
def test_what_is_above_the_layer_that_is_read_is_not_trained(esm_folder: Path, layer: int) -> None:
    backbone = make_backbone("huggingface", esm_folder, "device=cpu", f"model.layer={layer}")
    train = examples("protein real", 16)
    trained = {}
    if layer == 0:
        with pytest.raises(UserError, match="no linear layer up to the embedding layer"):
            method("lora").fit(train, train, FitContext(backbone, REAL, 0))
    else:
        fit = method("lora", "epochs=1", "hidden=[]").fit(
            train, train, FitContext(backbone, REAL, 0)
        )
        trained["lora"] = fit.choices["trained_parameters"] - 17
        assert trained["lora"] == 16 * (4 * 32 + 2 * 48)
    whole = method("finetune", "epochs=1", "hidden=[]").fit(
        train, train, FitContext(backbone, REAL, 0)
    )
    block = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 48 + 4 * 16
    assert whole.choices["trained_parameters"] == 33 * 16 + layer * block + 17


def gradients(
    backbone: Any, name: str, level: str, monkeypatch: pytest.MonkeyPatch, *words: str
) -> dict[str, torch.Tensor]:
    """Those of the one effective batch of an epoch."""
    found: dict[str, torch.Tensor] = {}

    def look(self: Trainer) -> None:
        train_epoch(self)
        found.update({n: p.grad.clone() for n, p in self.trained.items() if p.grad is not None})
        raise StopError

    train_epoch = Trainer.train_epoch
    train = examples(level, 12)
    size = f"batch.{LEVELS[level][0].level}=12"
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_epoch", look)
        with pytest.raises(StopError):
            method(name, size, *words).fit(train, train, FitContext(backbone, LEVELS[level][0], 0))
    return found


def agree(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], within: float) -> None:
    assert a.keys() == b.keys()
    largest = max(float(x.abs().max()) for x in a.values())
    assert largest > 0
    for name in a:
        assert float((a[name] - b[name]).abs().max()) <= within * largest, name


@pytest.mark.parametrize("level", LEVELS)
def test_the_division_of_a_batch_moves_no_gradient(
    esm: Transformer, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, in parts, one by one; packed and padded; with checkpointing; after memory ran out."""
    for name in ("lora", "finetune") if level == "residue" else ("finetune",):
        esm.batch_tokens, esm.packing = 10_000, True
        whole = gradients(esm, name, level, monkeypatch)
        for tokens, packing in ((100, True), (1, True), (10_000, False), (100, False)):
            esm.batch_tokens, esm.packing = tokens, packing
            agree(whole, gradients(esm, name, level, monkeypatch), 1e-5)
        esm.packing = True
        words = ["gradient_checkpointing=true"]
        agree(whole, gradients(esm, name, level, monkeypatch, *words), 1e-5)

    residues, pool = esm.residues, esm.pool
    for what, make_vectors in (("residues", residues), ("pool", pool)):

        def small(chains: Sequence[str], make_vectors: Any = make_vectors) -> torch.Tensor:
            if torch.is_grad_enabled() and sum(map(len, chains)) > 90:
                raise MemoryError
            found: torch.Tensor = make_vectors(chains)
            return found

        monkeypatch.setattr(esm, what, small)
    esm.batch_tokens = 10_000
    agree(whole, gradients(esm, "finetune", level, monkeypatch), 1e-5)
    assert esm.batch_tokens <= 90


def test_checkpointed_blocks_are_made_again(esm: Transformer) -> None:
    """Twice in a step instead of once: what is inside of them was not kept."""
    train = examples("protein real", 16)
    calls = {}
    for asked in ("false", "true"):
        seen = list[bool]()
        query = esm.module.encoder.layer[0].attention.self.query
        hook = query.register_forward_hook(lambda *_, seen=seen: seen.append(True))
        words = ["epochs=1", f"gradient_checkpointing={asked}"]
        method("finetune", *words).fit(train, train, FitContext(esm, REAL, 0))
        hook.remove()
        calls[asked] = len(seen)
    assert calls["true"] == calls["false"] + 1


def constant_loss(readout: Readout, train: Sequence[Example], valid: Sequence[Example]) -> float:
    """On valid, of what is the best on train without looking at the chain."""
    objective = Objective(readout, train, None, torch.device("cpu"))
    t, v = (
        np.concatenate([objective.answers(objective.target(e)) for e in part])
        for part in (train, valid)
    )
    if readout.kind == "regression":
        return float(np.mean((v - t.mean()) ** 2) / t.var())
    if readout.kind == "multilabel":
        rate = t.mean(axis=0)
        return float(-np.mean(v * np.log(rate) + (1 - v) * np.log(1 - rate)))
    return float(-np.mean(np.log(np.bincount(t) / len(t))[v]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "name"),
    [
        *((level, name) for level in LEVELS for name in ("mlp", "lora")),
        *((level, "finetune") for level in ("protein real", "residue", "pair")),
    ],
)
@pytest.mark.slow
def test_a_toy_is_learned_and_predictions_do_not_depend_on_the_batch(
    esm: Transformer, level: str, name: str
) -> None:
    """Beyond what is the best without looking at the chain, on proteins that were not seen."""
    readout = LEVELS[level][0]
    train, test = examples(level, 96), examples(level, 20, 1)
    valid = examples(level, 30, 2)
    words = [f"epochs={40 if name == 'mlp' else 6}", "lr=0.01", "hidden=[16]"]
    words += [f"batch.{readout.level}=4", "head_dropout=0.05"]
    predictor = method(name, *words).fit(train, valid, FitContext(esm, readout, 0))
    together = answer(predictor, test)
    losses = predictor.choices["valid_loss"]

    much = 0.99 if name == "mlp" else 0.9  # random vectors tell a head alone little
    assert min(losses) < much * constant_loss(readout, train, valid)
    assert predictor.choices["best_epoch"] == 1 + int(np.argmin(losses))
    for prediction, one in zip(together, test, strict=True):
        check(prediction, one, readout)
    esm.batch_tokens = 1
    alone = [answer(predictor, [one])[0] for one in test]
    esm.packing, esm.batch_tokens = False, 10_000
    padded = answer(predictor, test)
    for a, b, c in zip(together, alone, padded, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
        np.testing.assert_allclose(a, c, atol=1e-4)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_seed_decides_every_bit(esm: Transformer, name: str) -> None:
    """With dropout; a fit before it, another epoch's order or global noise change nothing."""
    train, test = examples("protein real", 40), examples("protein real", 9, 1)
    words = ["epochs=2", "lr=0.01", "head_dropout=0.2"]
    words += ["lora_dropout=0.2", "use_dora=true"] if name == "lora" else []
    learner = method(name, *words)
    found = []
    for seed in (0, 0, 1):
        torch.rand(seed + 3)
        predictor = learner.fit(train, test, FitContext(esm, REAL, seed))
        found.append((answer(predictor, test), predictor.choices))
    assert found[0] == found[1]
    assert found[0][1]["train_loss"] != found[2][1]["train_loss"]


def test_a_test_label_changes_nothing_but_the_score(esm: Transformer) -> None:
    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
    train, test = examples("protein real", 40), examples("protein real", 12, 1)
    poisoned = [test[0]._replace(label=np.asarray(1e6)), *test[1:]]
    outcomes = []
    for asked in (test, poisoned):
        splits = Splits(train, train[:8], {"test": asked}, {})
        learner = method("lora", "epochs=1", "lr=0.01")
        outcomes.append(evaluate(task, splits, esm, learner, [find("rmse")], 0))
    clean, dirty = outcomes

    assert clean.tests["test"].predictions == dirty.tests["test"].predictions
    assert clean.choices == dirty.choices
    assert clean.tests["test"].scores != dirty.tests["test"].scores


@pytest.mark.parametrize("name", TRAININGS)
def test_what_was_learned_predicts_without_training(
    esm: Transformer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its folder, the same bits; the folder holds the curve, and no state."""
    train, test = examples("protein real", 40), examples("protein real", 9, 1)
    learner = method(name, "epochs=3", "lr=0.01", "save_minutes=0")
    fit = learner.fit(train, test, FitContext(esm, REAL, 0, tmp_path))
    kept = {path.name for path in tmp_path.iterdir()}
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    monkeypatch.setattr(Trainer, "run", None)
    loaded = learner.fit(train, test, FitContext(esm, REAL, 0, tmp_path))

    assert answer(loaded, test) == answer(fit, test)
    assert loaded.choices == fit.choices
    own = {"mlp": [], "lora": ["adapter_config.json", "adapter_model.safetensors"]}
    own["finetune"] = ["weights.safetensors"]
    assert kept == {"curve.csv", "curve.png", "fit.json", "head.safetensors", *own[name]}
    assert lines[0] == "epoch,step,train_loss,valid_loss,seconds" and len(lines) == 4
    rows = [line.split(",") for line in lines[1:]]
    assert [row[:2] for row in rows] == [["1", "3"], ["2", "6"], ["3", "9"]]
    assert [float(row[3]) for row in rows] == fit.choices["valid_loss"]
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_one_epoch_has_no_curve_to_plot(esm: Transformer, tmp_path: Path) -> None:
    train, test = examples("protein real", 20), examples("protein real", 9, 1)
    method("mlp", "epochs=1").fit(train, test, FitContext(esm, REAL, 0, tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".json", ".safetensors"}


def test_folds_learn_in_folders_of_their_own(esm: Transformer, tmp_path: Path) -> None:
    task = make_task("pocket_metal", "task.kind=regression", "task.size=1")
    parts = {name: examples("protein real", 20, seed) for seed, name in enumerate(("a", "b/c"))}
    learn = {"a": (parts["b/c"], parts["b/c"]), "b/c": (parts["a"], parts["a"])}
    splits = Splits([], [], parts, {}, learn)
    learner = method("lora", "epochs=1")
    outcome = evaluate(task, splits, esm, learner, [find("rmse")], 0, tmp_path / "seed0")

    assert {path.name for path in (tmp_path / "seed0").iterdir()} == {"a", "b%2Fc"}
    assert outcome.choices["a"]["valid_loss"] != outcome.choices["b/c"]["valid_loss"]
    evaluate(task, splits, esm, method("linear"), [find("rmse")], 0, tmp_path / "seed1")
    assert not (tmp_path / "seed1").exists()


def test_patience_ends_and_the_best_epoch_stays(esm: Transformer) -> None:
    """Noise is not learned: valid gets worse, and the epoch before that predicts."""
    rng = np.random.default_rng(0)
    train = [e._replace(label=np.asarray(rng.normal())) for e in examples("protein real", 48)]
    test = [e._replace(label=np.asarray(rng.normal())) for e in examples("protein real", 24, 1)]
    words = ["epochs=40", "lr=0.02", "schedule=constant", "warmup=0", "batch.protein=8"]
    fit = method("mlp", *words, "patience=3").fit(train, test, FitContext(esm, REAL, 0))
    losses = fit.choices["valid_loss"]
    best = fit.choices["best_epoch"]
    assert len(losses) == best + 3 < 40
    few = method("mlp", *words, f"epochs={best}").fit(train, test, FitContext(esm, REAL, 0))
    assert answer(fit, test) == answer(few, test)
