"""Fixtures of all tests: tiny checkpoints, small tasks, composed configurations."""

import gc
import os
import re
from collections.abc import Callable, Generator, Iterable, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: no test uses the hub
os.environ["BENCHMARK_STORE"] = "off"  # no test writes embeddings outside its folder
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: one core a worker

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from benchmark.core import RESIDUES, Array, Backbone, Example, Task

if TYPE_CHECKING:  # the process that distributes the tests starts without torch
    from benchmark.backbones.transformer import Transformer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def yaml_names(group: str) -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))


EMBEDDED = [name for name in yaml_names("task") if name.startswith("pocket_")]
LEARNED = [name for name in EMBEDDED if "perplexity" not in name]
NARROW: dict[str, list[str]] = {
    "attention": ["pocket_contact"],
    "contact_head": ["pocket_contact"],
    "zero_shot": ["pocket_perplexity", "pocket_pseudo_perplexity"],
    "lora": LEARNED,
    "finetune": LEARNED,
    **{method: [] for method in ("sample", "natural", "shuffled")},
}
"""Methods that need a transformer, or a task of new chains, and the embedded tasks that they
accept; they refuse others."""
UNLEARNED = NARROW["zero_shot"]
"""Tasks without labels to train on: other methods refuse them."""
QUICK: dict[str, list[str]] = {
    method: ["method.epochs=1", "method.hidden=[8]"] for method in ("mlp", "lora", "finetune")
}
"""Settings for a training of seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="../shared is absent"))
        if item.get_closest_marker("network"):
            item.add_marker(pytest.mark.skip(reason="needs the hub"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is imported out of searches for garbage, of which every run makes one."""
    gc.disable()
    found = yield
    gc.freeze()
    gc.enable()
    return found


def marked_slow(names: Iterable[str], *slow: str) -> list[Any]:
    """Names to parametrise a test with, some of them marked as slow."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


def require_program(name: str) -> None:
    """Skip a test whose program is missing; in CI fail, so that no test is lost unseen."""
    if which(name) is None and not os.environ.get("CI"):
        pytest.skip(f"needs the program {name}")
    assert which(name) is not None, f"{name} is missing; .ci/packages lists what CI installs"


def architectures() -> list[str]:
    """One name of conf/model for each class, and for masked and causal ProteinGLM."""
    found: dict[tuple[str, ...], str] = {}
    for name in yaml_names("model"):
        base = re.search(r"^defaults:\s+- (\w+)", read_model(name), re.MULTILINE)
        family = base[1] if base else name
        found.setdefault((family, name[:3] if family == "proteinglm" else ""), name)
    return list(found.values())


def read_model(name: str) -> str:
    return (ROOT / "conf" / "model" / f"{name}.yaml").read_text()


def models_with_embeddings() -> list[str]:
    """Of these, all but the tables of frequencies and the model of no ability."""
    rest = (name for name in architectures() if name != "none")
    return [name for name in rest if ".ngram." not in read_model(name)]


def composed(*overrides: str, folder: Path | None = None) -> Any:
    """A run's configuration, composed as by the command line; a copy that a test may change."""
    if folder:
        return compose_once.__wrapped__(*overrides, f"hydra.searchpath=[file://{folder}]")
    return deepcopy(compose_once(*overrides))


@cache
def compose_once(*overrides: str) -> Any:
    """A configuration of conf/, whose files do not change while tests run."""
    with initialize_config_module("conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def make_backbone(name: str, checkpoint: Path, *overrides: str) -> Backbone:
    """A model of conf/model with a tiny checkpoint of its family."""
    from tests.checkpoints import save_counts, save_esm3, save_progen2, save_proteinglm

    cfg = composed(f"model={name}", *overrides)
    family = cfg.model._target_.rpartition(".")[2]
    if family == "ProteinGLM":
        checkpoint = save_proteinglm(checkpoint.parent, is_causal=name.startswith("clm"))
    if family == "ProGen2":
        checkpoint = save_progen2(checkpoint.parent)
    if family == "Esm3":
        checkpoint = save_esm3(checkpoint.parent)
    if ".ngram." in cfg.model._target_:
        cfg.model.counts = f"file:{save_counts(checkpoint.parent)}"
    if family in ("HuggingFace", "ProteinGLM", "ProGen2", "Esm3"):
        cfg.model.path = str(checkpoint)
    backbone = instantiate(cfg.model, _convert_="all")
    assert isinstance(backbone, Backbone)
    return backbone


def make_task(name: str, *overrides: str) -> Task:
    task = instantiate(composed(f"task={name}", *overrides).task, _convert_="all")
    assert isinstance(task, Task)
    return task


def random_chain(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list(RESIDUES), length))


def toy(
    label: Callable[[str], Array], count: int, seed: int = 0, lengths: Sequence[int] = (12, 30)
) -> list[Example]:
    """Random single-chain examples whose label is a function of the sequence."""
    rng = np.random.default_rng(seed)
    chains = [random_chain(rng, int(rng.integers(*lengths))) for _ in range(count)]
    return [Example((chain,), label(chain), f"id{i}", f"g{i}") for i, chain in enumerate(chains)]


@pytest.fixture(scope="session")
def esm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ESM-2 with random weights in the layout of the hub."""
    from tests.checkpoints import make

    return make("esm2", tmp_path_factory.mktemp("checkpoints") / "tiny-esm")


@pytest.fixture
def esm(esm_folder: Path) -> "Transformer":
    from benchmark.backbones.transformer import Transformer

    backbone = make_backbone("huggingface", esm_folder, "device=cpu")
    assert isinstance(backbone, Transformer)
    return backbone


@pytest.fixture
def toy_conf(tmp_path: Path) -> Path:
    """A --config-dir with one small task, `toy`: does the protein have more W than A?"""
    rng = np.random.default_rng(0)
    splits = ["train"] * 80 + ["valid"] * 20 + ["test"] * 30
    rows = ["seq,label,split"]
    for split in splits:
        chain = random_chain(rng, int(rng.integers(20, 40)))
        rows.append(f"{chain},{int(chain.count('W') > chain.count('A'))},{split}")
    (tmp_path / "toy.csv").write_text("\n".join(rows))
    folder = tmp_path / "mine"
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "toy.yaml").write_text(
        "defaults: [/source@_here_: table, _self_]\n"
        "_target_: tasks.protein.Protein\n"
        "area: function\nversion: 1\nkind: classification\nsize: 2\n"
        f"source: file:{tmp_path / 'toy.csv'}\n"
        "metrics: [accuracy, roc_auc]\n"
    )
    return folder


@pytest.fixture
def pair_conf(tmp_path: Path) -> Path:
    """A --config-dir with a task of protein pairs, `pairs`: are there more W than A?"""
    rng = np.random.default_rng(0)
    proteins = [random_chain(rng, int(rng.integers(20, 40))) for _ in range(40)]
    rows = ["one,other,label,split"]
    for split, count in (("train", 80), ("valid", 30), ("test", 40)):
        for a, b in rng.choice(proteins, (count, 2)):
            rows.append(f"{a},{b},{int((a + b).count('W') > (a + b).count('A'))},{split}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    folder = tmp_path / "mine"
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "pairs.yaml").write_text(
        "defaults: [/source@_here_: table, _self_]\n"
        "_target_: tasks.protein.Protein\n"
        "area: interaction\nversion: 1\nkind: classification\nsize: 2\n"
        f"source: file:{tmp_path / 'pairs.csv'}\n"
        "columns: {sequence: [one, other]}\n"
        "unit: {name: protein of a pair}\n"
        "metrics: [roc_auc]\n"
    )
    return folder
