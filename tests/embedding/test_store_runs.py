"""Runs with an embedding store: the scores of runs without, and less work."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone, Example, FitContext, Method, Readout
from benchmark.embedding import store as stores
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.store import Store, opened
from benchmark.metrics import find
from benchmark.run.evaluation import Outcome, evaluate, subset
from benchmark.run.execution import open_caches
from tests.command_line import run_cli
from tests.conftest import (
    NARROW,
    ROOT,
    composed,
    make_backbone,
    make_task,
    random_chain,
    yaml_names,
)
from tests.embedding.test_store import ROOMY, Floats

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([1, 30, 7, 150, 30, 64])]


def embedder(backbone: Backbone, store: Store | None) -> Embedder:
    if store is None:
        return Embedder(backbone)
    settings = {"layer": -1, "pooling": "mean"}
    return Embedder(backbone, open_caches(backbone, store, settings, "tiny"))


def embedded(embedder: Embedder) -> int:
    """Number of chains that the caches lacked."""
    return sum(cache.embedded for cache in embedder.caches.values())


def outcome(task_name: str, embedder: Embedder) -> Outcome:
    task = make_task(task_name)
    learner = instantiate(composed().method, _convert_="all")
    splits = subset(task.load(), 30)
    metrics = [find(task.metrics[0])]
    return evaluate(task, splits, embedder.backbone, learner, metrics, 0, caches=embedder.caches)


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal", "pocket_contact"])
def test_warm_is_cold_and_needs_no_model(task_name: str, esm_folder: Path, tmp_path: Path) -> None:
    """Equal bits from the store, with a model that cannot be run any more."""
    with opened(str(tmp_path), ROOMY) as store:
        cold = outcome(task_name, embedder(make_backbone("huggingface", esm_folder), store))
    with opened(str(tmp_path), ROOMY) as store:
        cached = embedder(make_backbone("huggingface", esm_folder), store)
        vars(cached.backbone)["module"] = None
        warm = outcome(task_name, cached)

    for a, b in zip(cold.tests["test"].predictions, warm.tests["test"].predictions, strict=True):
        np.testing.assert_array_equal(a, b)
    assert cold.tests["test"].scores == warm.tests["test"].scores
    assert embedded(cached) == 0


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal"])
def test_a_store_filled_by_other_runs_moves_no_score(
    task_name: str, esm_folder: Path, tmp_path: Path
) -> None:
    """Half of the chains were embedded before, in batches of another size and order."""
    task = make_task(task_name)
    splits = subset(task.load(), 30)
    others = [e.chains[0] for part in (splits.train, splits.tests["test"]) for e in part][::-2]
    level = "residues" if task.readout.level == "residue" else "proteins"
    with opened(str(tmp_path), ROOMY) as store:
        small = embedder(make_backbone("huggingface", esm_folder, "batch_tokens=700"), store)
        before = list(getattr(small, level)(others))
        mixed = outcome(task_name, embedder(make_backbone("huggingface", esm_folder), store))
    alone = Embedder(make_backbone("huggingface", esm_folder))
    for a, b in zip(before, getattr(alone, level)(others), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    score = outcome(task_name, alone).tests["test"].scores[task.metrics[0]]

    assert mixed.tests["test"].scores[task.metrics[0]] == pytest.approx(score, abs=1e-3)


class Counted(Backbone):
    """Each residue is its letter and its chain's length; keeps the batches it was asked."""

    digest = "counted"
    batch_tokens = 100
    residue_dim = 2

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed_residues(self, chains: Sequence[str]) -> list[Floats]:
        self.batches.append(list(chains))
        return [np.array([[ord(c), len(chain)] for c in chain], np.float32) for chain in chains]


def test_what_is_missing_fills_whole_batches_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, int(n)) for n in rng.integers(5, 40, 600)]
    asked = [chains[i] for i in rng.integers(600, size=900)]
    plain, first, second = Counted(), Counted(), Counted()
    expected = list(Embedder(plain).residues(asked))
    with opened(str(tmp_path), ROOMY) as store:
        list(embedder(first, store).residues(chains[::2]))
        found = list(embedder(second, store).residues(asked))
    new = [chain for batch in second.batches for chain in batch]

    for chain, a, b in zip(asked, expected, found, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=chain)
    assert sorted(new) == sorted(set(asked) - set(chains[::2])), "each once, and no stored one"
    fullness = [sum(map(len, batch)) for batch in second.batches]
    assert np.mean(fullness) > 75, "of 100"


def test_groups_are_set_apart_by_all_that_decides(esm_folder: Path, tmp_path: Path) -> None:
    """By layer, dtype, pooling (of proteins), weights; not by path, batches or name."""
    copy = Path(shutil.copytree(esm_folder, tmp_path / "copies" / esm_folder.name))
    other = Path(shutil.copytree(esm_folder, tmp_path / "others" / esm_folder.name))
    weights = torch.nn.Linear(1, 1)  # any change of content
    torch.save(weights.state_dict(), tmp_path / "x")
    (other / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')

    def made(folder: Path, layer: int = -1, pooling: str = "mean", dtype: str = "float32") -> int:
        words = [f"model.layer={layer}", f"model.pooling={pooling}", f"dtype={dtype}"]
        backbone = make_backbone("huggingface", folder, *words)
        with opened(str(tmp_path / "store"), ROOMY) as store:
            assert store is not None
            settings = {"layer": layer, "pooling": pooling}
            cached = Embedder(backbone, open_caches(backbone, store, settings, folder.name))
            list(cached.residues(CHAINS))
            list(cached.proteins(CHAINS))
        return len(stores.groups(tmp_path / "store"))

    assert made(esm_folder) == 2
    assert made(copy) == 2, "the same content elsewhere"
    assert made(esm_folder, pooling="start") == 3
    assert made(esm_folder, layer=1) == 5
    assert made(esm_folder, dtype="bfloat16") == 7
    assert made(other) == 9, "other content under the same name"


def test_a_changed_function_that_makes_the_model_has_its_own_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function may change weights that it reads from an unchanged checkpoint."""
    monkeypatch.syspath_prepend(tmp_path)
    for source in ("SCALE = 1", "SCALE = 2"):
        (tmp_path / "factory7.py").write_text(source)
        for new in (len(set(CHAINS)), 0):
            with opened(str(tmp_path / "store"), ROOMY) as store:
                assert store is not None
                model = {"_target_": "factory7.make"}
                cached = Embedder(Counted(), open_caches(Counted(), store, model, "mine"))
                list(cached.residues(CHAINS))
            assert embedded(cached) == new, source


def test_a_group_is_tried_after_a_change_of_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where other code gives the same vectors the group stays; else it starts anew."""

    def counts(code: str, factor: float) -> tuple[int, list[list[str]]]:
        monkeypatch.setattr("benchmark.run.execution.own_digest", lambda: code)
        backbone: Any = Counted()
        plain = backbone.embed_residues
        backbone.embed_residues = lambda chains: [factor * v for v in plain(chains)]
        with opened(str(tmp_path), ROOMY) as store:
            cached = embedder(backbone, store)
            found = cached.residues(CHAINS)
            for chain, vectors in zip(CHAINS, found, strict=True):
                np.testing.assert_array_equal(vectors[:, 1], factor * len(chain))
        return embedded(cached), backbone.batches

    assert counts("a", 1.0)[0] == len(set(CHAINS))
    assert counts("a", 2.0 / 2)[1] == [], "unchanged code embeds nothing"
    again, batches = counts("b", 1.0)
    assert (
        again == 0
        and sorted(len(c) for batch in batches for c in batch) == sorted(map(len, set(CHAINS)))[:2]
    )
    assert counts("b", 1.0)[1] == [] and "started anew" not in capsys.readouterr().err
    assert counts("c", 2.0)[0] == len(set(CHAINS))
    assert "started anew" in capsys.readouterr().err
    (group,) = stores.groups(tmp_path)
    about = {k: v for k, v in group.about().items() if k != stores.CANARIES}
    stores.write_about(group.folder, about)
    assert counts("d", 2.0)[0] == len(set(CHAINS)), "a group without test chains is not trusted"


@pytest.mark.parametrize(
    "name",
    sorted({*yaml_names("method")} - {"lora", "finetune", "nearest", "natural", "shuffled"}),
)
def test_a_method_that_says_so_leaves_the_backbone_as_it_is(name: str, esm_folder: Path) -> None:
    method = instantiate(composed(f"method={name}").method, _convert_="all")
    assert isinstance(method, Method) and method.frozen, "other methods are named above"
    backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(backbone, Transformer)
    before = {key: value.clone() for key, value in backbone.module.state_dict().items()}
    if method.answers_likelihood:
        variant = method.fit([], [], FitContext(backbone, Readout("variant", "regression"), 0))
        assert len(list(variant.predict([("ACDW", "AADW")]))) == 1
        residues = method.fit(
            [], [], FitContext(backbone, Readout("residue", "likelihood", context="both"), 0)
        )
        assert len(list(residues.predict([("ACDW",)]))) == 1
    elif method.answers_sequence:
        natural = [Example(("ACDWK",), np.array(np.nan), "id", "group")]
        context = FitContext(backbone, Readout("protein", "sequence"), 0)
        assert len(list(method.fit(natural, [], context).predict([("AC",)]))) == 1
    else:
        task = make_task(NARROW.get(name, ["pocket_metal"])[0])
        splits = subset(task.load(), 20)
        evaluate(task, splits, backbone, method, [find(task.metrics[0])], 0)
    after = backbone.module.state_dict()

    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


class Ran(NamedTuple):
    """What a run left."""

    usage: dict[str, Any]
    scores: dict[str, Any]
    predictions: bytes

    @property
    def counts(self) -> tuple[int, int]:
        """Chains from the store, and embedded."""
        return self.usage["chains_from_store"], self.usage["chains_embedded"]


@pytest.mark.slow
def test_runs_share_embeddings(tmp_path: Path, toy_conf: Path, esm_folder: Path) -> None:
    """A second run, another seed, another layer, and new weights in the old place."""
    folder = Path(shutil.copytree(esm_folder, tmp_path / "last"))
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", f"model.path={folder}")

    def run(name: str, *more: str, store: str = "store") -> Ran:
        results = tmp_path / name
        done = run_cli(
            *words, *more, f"results={results}", cwd=tmp_path, env={"BENCHMARK_STORE": store}
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        (path,) = results.glob("toy/*/*/*/*.json")
        record = json.loads(path.read_text())
        predictions = path.with_suffix(".parquet").read_bytes()
        return Ran(record["usage"], record["scores"], predictions)

    cold, warm = run("cold"), run("warm", "store_gb=3", "batch_tokens=999", "device=cpu")
    assert cold.counts == (0, 130)
    assert warm.counts == (130, 0)
    assert cold.usage["forward_flops"] > 1e6 and cold.usage["chains"] == 130
    assert warm.usage["forward_flops"] == warm.usage["chains"] == 0, "what is read costs nothing"
    assert warm.scores == cold.scores and warm.predictions == cold.predictions
    assert run("seed", "seed=1").counts == (130, 0)
    listed = run_cli("store", "store=store", cwd=tmp_path).stdout
    assert " -1 mean  float32  last       130 " in listed

    weights = folder / "model.safetensors"
    before = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-4000:] = content[-8000:-4000]
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed, off = run("changed"), run("off", "store=off")
    assert changed.counts == (0, 130)
    assert "chains_embedded" not in off.usage
    assert changed.scores == off.scores and changed.predictions == off.predictions
    assert changed.predictions != cold.predictions
    assert len(stores.groups(tmp_path / "store")) == 2

    group = stores.groups(tmp_path / "store")[0].folder
    run_cli("store", "store=store", f"clear={group.name}", cwd=tmp_path)
    assert not group.exists() and len(stores.groups(tmp_path / "store")) == 1
    message = run_cli("store", "store=store", "clear=protein-1", cwd=tmp_path)
    assert "unknown group 'protein-1'" in message.stderr and message.returncode == 2
    assert "0.000 GB" in run_cli("store", "store=store", "clear=all", cwd=tmp_path).stdout
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.slow
def test_a_method_that_may_train_the_backbone_has_no_store(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    (tmp_path / "mine2.py").write_text(
        "from benchmark.methods.probe.linear import Linear\n"
        "class TrainableBackbone(Linear):\n    frozen = False\n"
    )
    (toy_conf / "method").mkdir()
    yaml = (ROOT / "conf" / "method" / "linear.yaml").read_text()
    (toy_conf / "method" / "tuned.yaml").write_text(
        yaml.replace("benchmark.methods.probe.linear.Linear", "mine2.TrainableBackbone")
    )
    done = run_cli(
        "--config-dir", str(toy_conf), "task=toy", "method=tuned", "model=huggingface",
        f"model.path={esm_folder}", "store=store", cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert not stores.groups(tmp_path / "store")
