"""Checkpoints and settings of models that are refused in one line.

`check` opens a model first, so nothing is printed before the refusal.
"""

import shutil
from pathlib import Path

import pytest
import torch

from tests.bad_inputs.checkpoints import (
    BIN,
    INDEX,
    POINTER,
    QUERY,
    WEIGHTS,
    Damage,
    adapter,
    adapter_with,
    adding,
    both,
    config,
    half,
    moved,
    objects,
    pickled,
    removing,
    renaming,
    save,
    second_tensor,
    sharded,
    state,
    tokens,
    truncated,
    without,
    writing,
)
from tests.bad_inputs.refusals import Bad, check_refusal
from tests.checkpoints import make

A = torch.ones(2, 16)
FRONT = QUERY.replace(".", "__")
LORA = {
    f"{FRONT}__lora_A__default__weight": A,
    f"{FRONT}__lora_B__default__weight": A.T.contiguous(),
}
PAIRS = [a + s for a in "ACDEFGHIKLMNPQRSTVWY" for s in "pynwrqhgdlvtmfsaeikc#"]
TWO = "holds two sets of weights"


def row(damage: Damage, cause: str, remedy: str, words: str = "") -> tuple[Damage, Bad]:
    return damage, Bad(f"check model=huggingface model.path=ck {words}", cause, remedy)


def scaled(suffix: str) -> Damage:
    return adding(**{f"{FRONT}__{suffix}": torch.ones(16)})


def third(folder: Path) -> None:
    shutil.copy(next(folder.glob("*1-of*")), folder / "model-00003-of-00003.safetensors")


def stale_index(folder: Path) -> None:
    text = (folder / INDEX).read_text()
    (folder / INDEX).write_text(text.replace("lm_head.bias", "lm_head.other"))


ROWS: dict[str, tuple[Damage, Bad]] = {
    # more in the files than is used
    "adapters among the weights": row(adding(**LORA), "lora_A.weight", "merge_and_unload"),
    "a side network": row(adding(side__weight=A), "(side.weight)", "save it without them"),
    "fewer layers": row(
        config(num_hidden_layers=1), "config.json says 1 layers and the weights have 2", "copy the"
    ),
    "more layers": row(config(num_hidden_layers=3), "lacks 16 weights", "save it whole"),
    "another width": row(config(intermediate_size=24), "(32,) instead of (24,)", "copy the config"),
    "another vocabulary": row(config(vocab_size=40), "in another size", "copy the config.json"),
    "another architecture": row(
        config(model_type="bert", architectures=["BertModel"]), "lacks", "under the names"
    ),
    "SCB of bitsandbytes": row(scaled("SCB"), "is quantised: it holds esm.", "before quantisation"),
    "scales of FP8": row(scaled("weight_scale_inv"), "weight_scale_inv", "dequantise"),
    "scales": row(scaled("scales"), "query.scales", "dequantise"),
    "quantization_config": row(
        config(quantization_config={"quant_method": "gptq", "bits": 4}), "quant_method=gptq",
        "before quantisation",
    ),
    "integers": row(
        lambda f: save(f, {k: v.to(torch.int8) for k, v in state(f).items()}), "is quantised",
        "dequantise and save it",
    ),
    "a tensor less": row(without("layer.1.output.dense.weight"), "lacks 1 weights", "save it"),
    "unknown prefix": row(renaming(lambda n: f"tower.{n}"), "holds tower.esm.", "the names"),
    "half a prefix": row(
        renaming(lambda n: f"module.{n}" if "layer.0" in n else n), "and holds", "under the names"
    ),
    # two sets, parts, files of another kind
    "shards and a file": row(both(lambda f: shutil.copy(f / WEIGHTS, f / "x"), sharded,
                              lambda f: (f / "x").rename(f / WEIGHTS)), TWO, "not meant"),
    "an index and a file": row(writing(INDEX, '{"weight_map": {}}'), TWO, "delete the one"),
    "other .bin": row(
        lambda f: torch.save({k: v + 1 for k, v in state(f).items()}, f / BIN), TWO, "not meant"
    ),
    "a shard less": row(both(sharded, removing("*1-of*")), "which is not there", "all shards"),
    "no index": row(both(sharded, removing(INDEX)), "without their index", "copy it, too"),
    "a shard more": row(both(sharded, third), "does not name model-00003", "delete the files"),
    "stale index": row(both(sharded, stale_index), "does not fit its shards", "of one checkpoint"),
    "odd name": row(
        lambda f: (f / WEIGHTS).rename(f / "model_best.safetensors"), "model_best", "rename it"
    ),
    "two .ckpt": row(
        both(pickled(dict, "a.ckpt"), lambda f: shutil.copy(f / "a.ckpt", f / "b.ckpt")), TWO,
        "not meant",
    ),
    "truncated": row(truncated, "is damaged or incomplete", "copy it again"),
    "empty": row(writing(WEIGHTS, ""), "is damaged or incomplete", "copy it again"),
    "text": row(both(removing(WEIGHTS), writing(BIN, "text")), "not a file of torch", "copy it"),
    "LFS weights": row(writing(WEIGHTS, POINTER), "Git LFS pointer", "git lfs pull"),
    "LFS vocabulary": row(writing("vocab.txt", POINTER), "vocab.txt is a Git LFS", "git lfs pull"),
    "LFS config": row(writing("config.json", POINTER), "config.json is a Git LFS", "git lfs pull"),
    "no weights": row(removing(WEIGHTS), "holds no weights", "give the folder of a checkpoint"),
    "in a subfolder": row(moved, "holds no weights", "give its folder checkpoint-500"),
    "TensorFlow": row(
        both(removing(WEIGHTS), writing("tf_model.h5", "x")), "tf_model.h5 is of another", "convert"
    ),
    "no config": row(removing("config.json"), "holds no config.json", "copy it from"),
    "broken config": row(writing("config.json", "{"), "config.json is not JSON", "copy it again"),
    "a file": row(lambda _: None, "is a file", "give a folder", f"model.path=ck/{WEIGHTS}"),
    "no folder": row(lambda _: None, "neither a folder nor a hub id", "org/", "model.path=./no"),
    # Python objects
    "an object": row(pickled(objects), "Python objects (argparse.Namespace)", "save_pretrained"),
    "a module": row(
        pickled(lambda _: torch.nn.Linear(2, 2)), "Python objects (torch.nn.modules", "save_pret"
    ),
    "two dicts": row(
        pickled(lambda s: {"model": s, "ema": s}), "several sets of weights (model, ema)", "alone"
    ),
    "an optimizer": row(pickled(lambda _: {"state": {}}), "holds no weights", "alone"),
    # tokens
    "no tokenizer": row(
        removing("vocab.txt", "tokenizer*", "special*"), "holds no tokenizer", "copy its files"
    ),
    "no residues": row(tokens(lambda w: [t.lower() for t in w]), "no token for A, C", "the 20"),
    "SaProt": row(
        tokens(lambda w: [*w[:4], *PAIRS]),
        "as in SaProt", "sequences alone",
    ),
    "3-mers": row(tokens(lambda w: [*w, "AAA"]), "several residues (AAA)", "copy it from"),
    "unknown prefix token": row(
        lambda _: None, "has no token <AA2fold>", "it has <cls>", "model.prefix='<AA2fold>'"
    ),
    "read_as_x": row(lambda _: None, "read_as_x=1", "letters of residues", "model.read_as_x='1'"),
    # adapters
    "adapter alone": row(
        both(removing("*.*"), adapter()), "holds an adapter and no model",
        "model.path=org/base model.adapter=ck/adapter", "model.path=ck/adapter",
    ),
    "settings alone": row(
        both(removing("*.*"), adapter(), removing("adapter/*.safetensors")),
        "holds an adapter and no model", "model.path=org/base", "model.path=ck/adapter",
    ),
    "no adapter": row(lambda _: None, "is not a folder", "an adapter's folder", "model.adapter=no"),
    "no settings": row(
        adapter_with(removing("*.json")), "no readable adapter_config.json", "save_pretrained",
        "model.adapter=ck/adapter",
    ),
    "no tensors": row(
        adapter_with(removing("*.safetensors")), "holds no adapter_model.safetensors", "copy it",
        "model.adapter=ck/adapter",
    ),
    "another type": row(
        adapter(peft_type="PREFIX_TUNING"), "of type PREFIX_TUNING", "merge it with peft",
        "model.adapter=ck/adapter",
    ),
    "another model's": row(
        adapter("transformer.h.0.attn"), "layers that the model does not have", "trained on",
        "model.adapter=ck/adapter",
    ),
    "more than adapters": row(
        adapter_with(second_tensor), "holds other weights than adapters", "merge it with peft",
        "model.adapter=ck/adapter",
    ),
    "half an adapter": row(
        adapter_with(half), "is incomplete", "copy it again", "model.adapter=ck/adapter"
    ),
    "LFS adapter": row(
        adapter_with(writing("adapter_model.safetensors", POINTER)), "Git LFS", "git lfs pull",
        "model.adapter=ck/adapter",
    ),
    # settings
    "layer": row(lambda _: None, "layer=9 is not allowed", "0 to 2", "model.layer=9"),
    "pooling": row(lambda _: None, "pooling=max is not known", "mean, start", "model.pooling=max"),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("esm2", tmp_path_factory.mktemp("bad") / "ck")


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_checkpoint_is_one_line(name: str, checkpoint: Path, tmp_path: Path) -> None:
    damage, bad = ROWS[name]
    damage(Path(shutil.copytree(checkpoint, tmp_path / "ck")))
    check_refusal(bad, tmp_path)
