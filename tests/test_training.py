"""What divides a batch moves nothing, what is killed goes on, what was learned is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import Array, Example, Method, Predictor, Readout, Splits, UserError
from benchmark.evaluate import check, evaluate
from benchmark.methods import loop
from benchmark.methods.heads import Objective
from benchmark.methods.loop import Loop, effective_batches, rate
from benchmark.metrics import find
from tests.checkpoints import FAMILIES, make, save_progen2, save_proteinglm
from tests.conftest import ROOT, composed, make_backbone, make_task, toy

REAL = Readout("protein", "real")
TRAININGS = ("mlp", "lora", "finetune")


def method(name: str, *words: str) -> Method:
    settings = [f"method.{word}" for word in words]
    try:
        found = instantiate(composed(f"method={name}", *settings).method, _convert_="all")
    except InstantiationException as error:  # what the command line tells, too
        raise error.__cause__ or error from None
    assert isinstance(found, Method)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny checkpoint of every family, the native ones too."""
    place = tmp_path_factory.mktemp("families")
    found = {family: make(family, place / family) for family in FAMILIES}
    found["mlm1b"] = save_proteinglm(place, is_causal=False)
    found["clm1b"] = save_proteinglm(place, is_causal=True)
    found["progen2"] = save_progen2(place)
    return found


def opened(folders: dict[str, Path], family: str, *words: str) -> Transformer:
    name = "huggingface" if family in FAMILIES else family
    backbone = make_backbone(name, folders[family], "device=cpu", *words)
    assert isinstance(backbone, Transformer)
    return backbone


@pytest.fixture
def esm(esm_folder: Path) -> Transformer:
    backbone = make_backbone("huggingface", esm_folder, "device=cpu")
    assert isinstance(backbone, Transformer)
    return backbone


def count_w(chain: str) -> Array:
    return np.asarray(float(chain.count("W")))


def more_w(chain: str) -> Array:
    return np.asarray(int(chain.count("W") > chain.count("A")))


def sort_of(chain: str) -> Array:
    return np.array([0 if c in "AVLIMC" else 1 if c in "FWYH" else 2 for c in chain])


def touching(chain: str) -> Array:
    """Residues of one kind touch, where they are 3 or more apart."""
    kinds = sort_of(chain)
    near = np.triu(np.ones((len(chain), len(chain)), bool), 3)
    return np.argwhere((kinds[:, None] == 1) & (kinds[None] == 1) & near)


LEVELS: dict[str, tuple[Readout, Callable[[str], Array]]] = {
    "protein real": (REAL, count_w),
    "protein class": (Readout("protein", "class", 2), more_w),
    "protein classes": (
        Readout("protein", "class", 3),
        lambda chain: np.asarray(min(2, chain.count("W"))),
    ),
    "protein labels": (
        Readout("protein", "labels", 2),
        lambda chain: np.array([chain.count("W") > 0, chain.count("A") > 1], int),
    ),
    "residue": (Readout("residue", "class", 3), sort_of),
    "pair": (Readout("pair", "class", 2, min_separation=3), touching),
    "variant": (Readout("variant", "real"), count_w),
}


def examples(level: str, count: int, seed: int = 0) -> list[Example]:
    readout, label = LEVELS[level]
    made = toy(label, count, seed)
    if readout.level == "variant":
        made = [e._replace(chains=(*e.chains, "A" * len(e.chains[0]))) for e in made]
    return made


def answer(predictor: Predictor, asked: Sequence[Example]) -> list[Any]:
    return list(predictor.predict([example.chains for example in asked]))


def snapshot(module: Any) -> tuple[Any, ...]:
    """All that a fit could leave changed."""
    return (
        [(name, id(part), part.training) for name, part in module.named_modules()],
        [
            (n, id(p), p.dtype, p.requires_grad, p.grad is None)
            for n, p in module.named_parameters()
        ],
        {name: value.clone() for name, value in module.state_dict().items()},
        sorted(vars(module)),
        module.config._attn_implementation,
    )


@pytest.mark.parametrize("name", ["lora", "finetune"])
@pytest.mark.parametrize("family", [*FAMILIES, "mlm1b", "clm1b", "progen2"])
def test_every_family_is_trained_and_left_as_it_was(
    folders: dict[str, Path], family: str, name: str
) -> None:
    """Bit for bit, after the fit and after predictions; what was learned shows in these."""
    backbone = opened(folders, family)
    before = snapshot(backbone.module)
    state = torch.get_rng_state()
    train = examples("residue", 24)
    words = ["epochs=2", "lr=0.01", "batch.residue=4"]
    predictor = method(name, *words).fit(backbone, LEVELS["residue"][0], train, train[:4], 0)
    after = snapshot(backbone.module)
    first = answer(predictor, train)
    again = snapshot(backbone.module)

    for found in (after, again):
        assert [found[i] for i in (0, 1, 3, 4)] == [before[i] for i in (0, 1, 3, 4)]
        assert all(torch.equal(found[2][key], value) for key, value in before[2].items())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.concatenate(first), np.concatenate(answer(predictor, train)))
    frozen = method("mlp", *words).fit(backbone, LEVELS["residue"][0], train, train[:4], 0)
    assert predictor.choices["valid_loss"] != frozen.choices["valid_loss"]


ADAPTED = {
    "esm2": "query key value dense",
    "esm1b": "query key value dense",
    "esm1v": "query key value dense",
    "esmc": "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj",
    "protbert": "query key value dense",
    "antiberty": "query key value dense",
    "sapiens": "query key value dense",
    "prott5": "q k v o wi wo",
    "gpt2": "c_attn c_proj c_fc",
    "mlm1b": "query_key_value dense dense_h_to_4h dense_4h_to_h",
    "clm1b": "query_key_value dense dense_h_to_4h dense_4h_to_h",
    "progen2": "qkv_proj out_proj fc_in fc_out",
}
"""Attention and feed-forward projections, as the papers' list has them."""


@pytest.mark.parametrize("family", ADAPTED)
def test_adapters_are_beside_attention_and_feed_forward_projections(
    folders: dict[str, Path], family: str, tmp_path: Path
) -> None:
    """All of a block and nothing else; and plain peft reads them, on a base of its own."""
    from peft import PeftModel
    from safetensors.torch import load_file

    backbone = opened(folders, family)
    train = examples("residue", 16)
    words = ["epochs=1", "lr=0.01", "batch.residue=4", "hidden=[]", "use_rslora=true"]
    learner = method("lora", *words)
    predictor = learner.fit(backbone, LEVELS["residue"][0], train, train[:4], 0, tmp_path)
    assert set(predictor.choices["adapted"]) == set(ADAPTED[family].split())
    blocks = [
        parameter
        for name, parameter in backbone.module.named_parameters()
        if parameter.ndim == 2 and any(part.isdigit() for part in name.split("."))
    ]
    tables = [p for p in blocks if p.shape == (32, 2)]  # T5's relative positions
    dim = backbone.residue_dim
    expected = 16 * sum(sum(p.shape) for p in blocks) - 16 * sum(sum(p.shape) for p in tables)
    assert predictor.choices["trained_parameters"] == expected + 3 * dim + 3

    fresh = opened(folders, family)
    PeftModel.from_pretrained(fresh.module, tmp_path)
    kept = load_file(tmp_path / "head.safetensors")
    for chains, found in zip(
        [e.chains for e in train[:4]], answer(predictor, train[:4]), strict=True
    ):
        vectors = torch.from_numpy(fresh.embed_residues(chains)[0])
        scores = vectors @ kept["first.weight"].T + kept["first.bias"]
        np.testing.assert_allclose(scores.softmax(-1).numpy(), found, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_what_is_above_the_layer_that_is_read_is_not_trained(esm_folder: Path, layer: int) -> None:
    backbone = make_backbone("huggingface", esm_folder, "device=cpu", f"model.layer={layer}")
    train = examples("protein real", 16)
    trained = {}
    if layer == 0:
        with pytest.raises(UserError, match="no linear layer below the layer that is read"):
            method("lora").fit(backbone, REAL, train, train, 0)
    else:
        fit = method("lora", "epochs=1", "hidden=[]").fit(backbone, REAL, train, train, 0)
        trained["lora"] = fit.choices["trained_parameters"] - 17
        assert trained["lora"] == 16 * (4 * 32 + 2 * 48)
    whole = method("finetune", "epochs=1", "hidden=[]").fit(backbone, REAL, train, train, 0)
    block = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 48 + 4 * 16
    assert whole.choices["trained_parameters"] == 33 * 16 + layer * block + 17


class StopError(Exception):
    """The gradients have been seen."""


def gradients(
    backbone: Any, name: str, level: str, monkeypatch: pytest.MonkeyPatch, *words: str
) -> dict[str, torch.Tensor]:
    """Those of the one effective batch of an epoch."""
    found: dict[str, torch.Tensor] = {}

    def look(self: Loop) -> None:
        train_epoch(self)
        found.update({n: p.grad.clone() for n, p in self.trained.items() if p.grad is not None})
        raise StopError

    train_epoch = Loop.train_epoch
    train = examples(level, 12)
    size = f"batch.{LEVELS[level][0].level}=12"
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "train_epoch", look)
        with pytest.raises(StopError):
            method(name, size, *words).fit(backbone, LEVELS[level][0], train, train, 0)
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
        method("finetune", *words).fit(esm, REAL, train, train, 0)
        hook.remove()
        calls[asked] = len(seen)
    assert calls["true"] == calls["false"] + 1


def constant_loss(readout: Readout, train: Sequence[Example], valid: Sequence[Example]) -> float:
    """On valid, of what is the best on train without looking at the chain."""
    objective = Objective(readout, train, None, torch.device("cpu"))
    t, v = (np.concatenate([objective.target(e) for e in part]) for part in (train, valid))
    if readout.kind == "real":
        return float(np.mean((v - t.mean()) ** 2) / t.var())
    if readout.kind == "labels":
        rate = t.mean(axis=0)
        return float(-np.mean(v * np.log(rate) + (1 - v) * np.log(1 - rate)))
    return float(-np.mean(np.log(np.bincount(t) / len(t))[v]))


@pytest.mark.parametrize(
    ("level", "name"),
    [
        *((level, name) for level in LEVELS for name in ("mlp", "lora")),
        *((level, "finetune") for level in ("protein real", "residue", "pair")),
    ],
)
def test_a_toy_is_learned_and_predictions_do_not_depend_on_the_batch(
    esm: Transformer, level: str, name: str
) -> None:
    """Beyond what is the best without looking at the chain, on proteins that were not seen."""
    readout = LEVELS[level][0]
    train, test = examples(level, 96), examples(level, 20, 1)
    valid = examples(level, 30, 2)
    words = [f"epochs={40 if name == 'mlp' else 6}", "lr=0.01", "hidden=[16]"]
    words += [f"batch.{readout.level}=4", "head_dropout=0.05"]
    predictor = method(name, *words).fit(esm, readout, train, valid, 0)
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
        predictor = learner.fit(esm, REAL, train, test, seed)
        found.append((answer(predictor, test), predictor.choices))
    assert found[0] == found[1]
    assert found[0][1]["train_loss"] != found[2][1]["train_loss"]


def test_a_test_label_changes_nothing_but_the_score(esm: Transformer) -> None:
    task = make_task("pocket_metal", "task.kind=real", "task.size=1")
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
    fit = learner.fit(esm, REAL, train, test, 0, tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    monkeypatch.setattr(Loop, "run", None)
    loaded = learner.fit(esm, REAL, train, test, 0, tmp_path)

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


def test_folds_learn_in_folders_of_their_own(esm: Transformer, tmp_path: Path) -> None:
    task = make_task("pocket_metal", "task.kind=real", "task.size=1")
    parts = {name: examples("protein real", 20, seed) for seed, name in enumerate(("a", "b/c"))}
    learn = {"a": (parts["b/c"], parts["b/c"]), "b/c": (parts["a"], parts["a"])}
    splits = Splits([], [], parts, {}, learn)
    learner = method("lora", "epochs=1")
    outcome = evaluate(task, splits, esm, learner, [find("rmse")], 0, tmp_path / "seed0")

    assert {path.name for path in (tmp_path / "seed0").iterdir()} == {"a", "b%2Fc"}
    assert outcome.choices["a"]["valid_loss"] != outcome.choices["b/c"]["valid_loss"]
    evaluate(task, splits, esm, method("linear"), [find("rmse")], 0, tmp_path / "seed1")
    assert not (tmp_path / "seed1").exists()


WORDS = ["method=lora", "method.save_minutes=0", "method.epochs=25", "method.lora_dropout=0.1"]
WORDS += ["method.head_dropout=0.1", "store=off", "device=cpu"]


def run(cwd: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


COSTS = ("forward_flops", "backward_flops", "tokens", "trained_parameters")


def finished(folder: Path) -> tuple[dict[str, Any], bytes, Path]:
    (path,) = folder.glob("toy/*/lora/*/seed0.json")
    record = json.loads(path.read_text())
    learned = path.with_suffix("")
    return record, (learned / "adapter_model.safetensors").read_bytes(), learned


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """Kill -9 in the middle; then its Record is deleted, and it is not trained again."""
    words = ["--config-dir", str(toy_conf), "task=toy", "model=huggingface", *WORDS]
    words += [f"model.path={esm_folder}"]
    whole = run(tmp_path, *words, "results=whole")
    killed = run(tmp_path, *words, "results=killed")
    states: list[Path] = []
    while killed.poll() is None and not states:
        states = list((tmp_path / "killed").rglob("state.pt"))
        time.sleep(0.02)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert whole.wait(120) == 0, whole.communicate()[1]
    state = torch.load(states[0], weights_only=True)
    assert 0 < state["epoch"] * 5 + state["step"] < 125, "it was killed in the middle"
    left = {path.name.partition(".")[0] for path in states[0].parent.iterdir()}
    assert left <= {"state", ""} and not list((tmp_path / "killed").rglob("*.json"))

    resumed = run(tmp_path, *words, "results=killed")
    assert resumed.wait(120) == 0, resumed.communicate()[1]
    (one, weights, _), (other, same, learned) = (
        finished(tmp_path / name) for name in ("whole", "killed")
    )
    for key in ("key", "scores", "intervals", "choices"):
        assert one[key] == other[key]
    assert weights == same
    assert not list(learned.glob("*state*"))

    (record,) = (tmp_path / "killed").glob("toy/*/lora/*/seed0.json")
    record.unlink()
    written = (learned / "fit.json").stat().st_mtime_ns
    again = run(tmp_path, *words, "results=killed")
    assert again.wait(120) == 0, again.communicate()[1]
    third = finished(tmp_path / "killed")[0]
    assert (third["scores"], third["choices"]) == (one["scores"], one["choices"])
    costs = [[cost[name] for name in COSTS] for cost in (one["cost"], other["cost"], third["cost"])]
    assert costs[0] == costs[1] == costs[2] and all(costs[0])
    assert (learned / "fit.json").stat().st_mtime_ns == written
    for process in (whole, killed, resumed, again):
        assert process.stdout and process.stderr
        process.stdout.close()
        process.stderr.close()


def test_a_state_from_any_step_gives_the_same_bits(
    esm: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each step in turn, and at each epoch's end, with all weights trained."""
    train, test = examples("residue", 12), examples("residue", 5, 1)
    readout = LEVELS["residue"][0]
    learner = method(
        "finetune", "epochs=2", "batch.residue=4", "head_dropout=0.1", "save_minutes=0"
    )
    whole = learner.fit(esm, readout, train, test, 0)
    gradients, valid_loss = Loop.gradients, Loop.valid_loss
    for stop in range(1, 9):
        left = iter(range(stop))

        def count(work: Callable[..., Any], left: Iterator[int] = left) -> Callable[..., Any]:
            def counted(*given: Any) -> Any:
                if next(left, None) is None:
                    raise StopError
                return work(*given)

            return counted

        folder = tmp_path / str(stop)
        with monkeypatch.context() as patched:
            patched.setattr(Loop, "gradients", count(gradients))
            patched.setattr(Loop, "valid_loss", count(valid_loss))
            if stop < 8:
                with pytest.raises(StopError):
                    learner.fit(esm, readout, train, test, 0, folder)
        resumed = learner.fit(esm, readout, train, test, 0, folder)
        assert resumed.choices == whole.choices
        for a, b in zip(answer(resumed, test), answer(whole, test), strict=True):
            assert np.array_equal(a, b)


def test_a_damaged_state_is_one_sentence(esm: Transformer, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK")
    train = examples("protein real", 16)
    with pytest.raises(UserError, match="is damaged; delete it, and the training begins anew"):
        method("mlp").fit(esm, REAL, train, train, 0, tmp_path)


@pytest.mark.parametrize("name", ["lora", "finetune"])
@pytest.mark.parametrize("family", ["esm2", "esmc", "prott5", "mlm1b", "progen2"])
def test_low_precision_trains_in_full(
    folders: dict[str, Path], family: str, name: str, tmp_path: Path
) -> None:
    """The base stays in bfloat16; what is trained, and its optimiser, is float32."""
    backbone = opened(folders, family, "dtype=bfloat16")
    exact = opened(folders, family, "dtype=float32")
    train, test = examples("protein real", 48), examples("protein real", 9, 1)
    learner = method(name, "epochs=2", "lr=0.003", "save_minutes=0", "batch.protein=8")
    seen = set()
    add_up = loop.add_up

    def look(tensors: Any) -> None:
        seen.update(tensor.dtype for tensor in tensors)
        seen.update(p.dtype for p in backbone.module.parameters())
        add_up(tensors)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "add_up", look)
        low = learner.fit(backbone, REAL, train, test, 0)
    full = learner.fit(exact, REAL, train, test, 0)
    assert {p.dtype for p in backbone.module.parameters()} == {torch.bfloat16}
    assert seen <= {torch.float32, torch.bfloat16}
    assert low.choices["train_loss"] == pytest.approx(full.choices["train_loss"], rel=0.1)
    assert all(np.isfinite(value) for value in answer(low, test))


def test_patience_ends_and_the_best_epoch_stays(esm: Transformer) -> None:
    """Noise is not learned: valid gets worse, and the epoch before that predicts."""
    rng = np.random.default_rng(0)
    train = [e._replace(label=np.asarray(rng.normal())) for e in examples("protein real", 48)]
    test = [e._replace(label=np.asarray(rng.normal())) for e in examples("protein real", 24, 1)]
    words = ["epochs=40", "lr=0.02", "schedule=constant", "warmup=0", "batch.protein=8"]
    fit = method("mlp", *words, "patience=3").fit(esm, REAL, train, test, 0)
    losses = fit.choices["valid_loss"]
    best = fit.choices["best_epoch"]
    assert len(losses) == best + 3 < 40
    few = method("mlp", *words, f"epochs={best}").fit(esm, REAL, train, test, 0)
    assert answer(fit, test) == answer(few, test)


def test_effective_batches_hold_each_example_once() -> None:
    lengths = np.random.default_rng(0).integers(20, 900, 1003).tolist()
    made = effective_batches(lengths, 8, 0, 0)

    assert sorted(row for batch in made for row in batch) == list(range(1003))
    assert sorted(map(len, made)) == [3, *[8] * 125]
    assert made == effective_batches(lengths, 8, 0, 0)
    assert made != effective_batches(lengths, 8, 0, 1) != effective_batches(lengths, 8, 1, 1)
    spread = [np.ptp([lengths[row] for row in batch]) for batch in made]
    assert np.mean(spread) < 90 < 0.2 * np.ptp(lengths), "lengths of a batch are alike"
    middles = [np.mean([lengths[row] for row in batch]) for batch in made]
    assert abs(np.corrcoef(middles, range(126))[0, 1]) < 0.25, "and batches are shuffled"


@pytest.mark.parametrize("name", ["linear", "cosine", "constant_with_warmup"])
def test_schedules_are_those_of_transformers(name: str) -> None:
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=3, num_training_steps=47)
    for step in range(47):
        own = rate(name.partition("_")[0], step, 47, 0.05)
        assert own == pytest.approx(scheduler.get_last_lr()[0]), step
        optimizer.step()
        scheduler.step()


def test_defaults_are_the_papers() -> None:
    """`protocols.md`, A.3: the released scripts' settings."""
    lora = composed("method=lora").method
    released = {
        "r": 16, "lora_alpha": 16, "lora_dropout": 0.0, "lr": 1e-4, "schedule": "linear",
        "warmup": 0.05, "epochs": 15, "hidden": [128],
    }  # fmt: skip
    assert {name: lora[name] for name in released} == released
    assert lora.batch == {"pair": 1, "residue": 8, "protein": 16, "variant": 16}
    for name, own in (("mlp", {"lr"}), ("finetune", set())):
        other = composed(f"method={name}").method
        assert {k for k in other if other[k] != lora[k]} - {"_target_"} == own


@pytest.mark.parametrize(
    ("name", "word", "told"),
    [
        ("lora", "epochs=0", "method.epochs=0 is not a whole number from 1 on"),
        ("lora", "batch=4", "method.batch=4 is not a number for each of protein, variant"),
        ("lora", "batch.pair=0", "method.batch.pair=0 is not a whole number from 1 on"),
        ("mlp", "hidden=[0]", r"method.hidden=\[0\] is not a list of widths, as in \[128\]"),
        ("mlp", "hidden=128", r"method.hidden=128 is not a list of widths, as in \[128\]"),
        ("mlp", "lr=0", "method.lr=0 is not allowed; give a number above 0"),
        ("mlp", "lr=fast", "method.lr=fast is not a number"),
        ("mlp", "betas=[0.9]", r"method.betas=\[0.9\] is not a list of two numbers"),
        ("finetune", "schedule=step", "step is not known; allowed are linear, cosine, constant"),
        ("lora", "class_weights=equal", "equal is not known; allowed are balanced, null"),
        ("lora", "clip=0", "method.clip=0 is not allowed; give a number above 0"),
        ("lora", "r=0", "method.r=0 is not a whole number from 1 on"),
        ("lora", "lora_dropout=1", "give a number from 0 and below 1"),
        ("lora", "target_modules=[q]", "names no layer of the model; it has dense, key, query"),
        ("lora", "class_weights=balanced", "is for classes; real answers have none"),
        ("lora", "lr=1e30", "the loss is no longer a number; lower method.lr"),
    ],
)
def test_mistakes_are_one_sentence(esm: Transformer, name: str, word: str, told: str) -> None:
    train = examples("protein real", 24)
    with pytest.raises(UserError, match=told):
        method(name, word).fit(esm, REAL, train, train, 0)


@pytest.mark.parametrize("name", TRAININGS)
def test_what_cannot_be_learned_is_refused(esm: Transformer, name: str) -> None:
    train = examples("protein real", 8)
    blank = [e._replace(label=np.asarray(np.nan)) for e in train]
    for part in ((blank, train), (train, []), ([], train)):
        with pytest.raises(UserError, match=r"no example of \w+ has a known answer"):
            method(name).fit(esm, REAL, *part, 0)
    if name != "mlp":
        floor = instantiate(composed("model=kmer").model, _convert_="all")
        with pytest.raises(UserError, match="the backbone Kmer has none"):
            method(name).fit(floor, REAL, train, train, 0)
    uneven = [*train, train[0]._replace(chains=("AW", "WA"))]
    with pytest.raises(UserError, match="the task's proteins have 1 to 2 chains"):
        method(name).fit(esm, REAL, uneven, train, 0)
