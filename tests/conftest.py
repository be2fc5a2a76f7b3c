"""Shared by all tests: small checkpoints made on the spot, tiny tasks, composed configurations."""

import json
import os
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

from benchmark.backbones.random import ESM_TOKENS
from benchmark.core import RESIDUES, Array, Backbone, Example, Task

NARROW: dict[str, list[str]] = {
    "attention": ["pocket_contact"],
    "contact_head": ["pocket_contact"],
    "zero_shot": [],
}
"""Methods that need a language model and answer some tasks only; all others they refuse."""
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="../shared is absent"))
        if item.get_closest_marker("network"):
            item.add_marker(pytest.mark.skip(reason="needs the hub"))


def yaml_names(group: str) -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))


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
    import torch
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-esm"
    folder.mkdir()
    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    tokens = [*special, *ESM_TOKENS, ".", "-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        position_embedding_type="rotary",
        token_dropout=True,
        initializer_range=0.3,
    )
    EsmForMaskedLM(config).save_pretrained(folder)
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def save_proteinglm(folder: Path, **settings: Any) -> Path:
    """A tiny ProteinGLM with random weights, its config.json as a release's; made once a folder."""
    import torch

    from benchmark.backbones.proteinglm_module import (
        IMPLEMENTED,
        ProteinGLMConfig,
        ProteinGLMForLanguageModeling,
    )

    values = IMPLEMENTED | {
        "num_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 4,
        "kv_channels": 4,
        "ffn_hidden_size": 24,
        "padded_vocab_size": 128,
        "seq_length": 1024,
        "layernorm_epsilon": 1e-5,
        "post_layer_norm": True,
        "rotary_embedding_2d": False,
        "is_causal": False,
        "initializer_range": 0.3,
    }
    values |= settings
    folder = folder / f"tiny-proteinglm-{'clm' if values['is_causal'] else 'mlm'}"
    if not folder.exists():
        torch.manual_seed(0)
        ProteinGLMForLanguageModeling(ProteinGLMConfig(**values)).save_pretrained(folder)
        config = {"architectures": ["ProteinGLMModel"], "model_type": "ProteinPGLM", **values}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_progen2(folder: Path) -> Path:
    """A tiny ProGen2 with random weights, as the hub's copies are; made once a folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import CodeGenConfig, CodeGenForCausalLM

    folder = folder / "tiny-progen2"
    if not folder.exists():
        folder.mkdir()
        shape = {"n_layer": 2, "n_head": 8, "n_positions": 256, "rotary_dim": 4}
        torch.manual_seed(0)
        module = CodeGenForCausalLM(
            CodeGenConfig(n_embd=64, vocab_size=32, initializer_range=0.3, **shape)
        )
        weights = dict(module.state_dict())
        weights["transformer.h.0.attn.bias"] = torch.ones(4, 4, dtype=torch.bool)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "progen", "embed_dim": 64, **shape}
        config |= {"vocab_size_emb": 32, "vocab_size_lm_head": 32, "repetition_penalty": 9.0}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_esm3(folder: Path) -> Path:
    """A tiny ESM3 with random weights, as the release's folder is; skips without the extra."""
    import torch

    esm3 = pytest.importorskip("esm.models.esm3", reason="needs the extra esm, Python 3.12")
    folder = folder / "tiny-esm3"
    if not folder.exists():
        (folder / "data" / "weights").mkdir(parents=True)
        torch.manual_seed(0)
        model = esm3.ESM3(128, 2, 4, 2, None, None, None, None)
        torch.save(model.state_dict(), folder / "data" / "weights" / "esm3_sm_open_v1.pth")
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
        "area: interaction\nversion: 1\nkind: class\nsize: 2\n"
        f"source: file:{tmp_path / 'pairs.csv'}\n"
        "columns: {sequence: [one, other]}\n"
        "unit: {name: protein of a pair}\n"
        "metrics: [roc_auc]\n"
    )
    return folder


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
        "area: function\nversion: 1\nkind: class\nsize: 2\n"
        f"source: file:{tmp_path / 'toy.csv'}\n"
        "metrics: [accuracy, roc_auc]\n"
    )
    return folder
