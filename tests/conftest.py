"""Shared by all tests: small checkpoints made on the spot, tiny tasks, composed configurations."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = (
    "1"  # before huggingface_hub is imported: no test waits for a network
)

os.environ["BENCHMARK_STORE"] = "off"  # no test leaves embeddings on this machine

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import RESIDUES, Array, Backbone, Example, Task
from tests.checkpoints import make, save_counts, save_esm3, save_progen2, save_proteinglm

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
}
"""Methods that need a transformer, and the embedded tasks they answer; all others they refuse."""
UNLEARNED = NARROW["zero_shot"]
"""Tasks that other methods refuse: nothing can be learned of them."""
QUICK: dict[str, list[str]] = {
    method: ["method.epochs=1", "method.hidden=[8]"] for method in ("mlp", "lora", "finetune")
}
"""Settings with which a method takes seconds in a test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="../shared is absent"))
        if item.get_closest_marker("network"):
            item.add_marker(pytest.mark.skip(reason="needs the hub"))


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
    """Of these, all but the tables of frequencies."""
    return [name for name in architectures() if ".ngram." not in read_model(name)]


def composed(*overrides: str, folder: Path | None = None) -> Any:
    """A run's configuration, as the command line would compose it."""
    with initialize_config_module("conf", version_base="1.3"):
        search = [f"hydra.searchpath=[file://{folder}]"] if folder else []
        return compose("config", overrides=[*overrides, *search])


def make_backbone(name: str, checkpoint: Path, *overrides: str) -> Backbone:
    """A model of conf/model; those that read a checkpoint read the given one."""
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
    """A tiny ESM-2 with random weights, saved as a masked language model is on the hub."""
    return make("esm2", tmp_path_factory.mktemp("checkpoints") / "tiny-esm")


@pytest.fixture
def esm(esm_folder: Path) -> Transformer:
    backbone = make_backbone("huggingface", esm_folder, "device=cpu")
    assert isinstance(backbone, Transformer)
    return backbone


@pytest.fixture
def toy_conf(tmp_path: Path) -> Path:
    """A --config-dir with one small task, `toy`: is there more W than A in the protein?"""
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
    """A --config-dir with a task of protein pairs, `pairs`: have the two more W than A?"""
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
