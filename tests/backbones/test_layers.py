"""No block above the layer that is read is computed; compiled blocks give the same vectors."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.device import token_budget
from benchmark.backbones.layers import blocks
from benchmark.backbones.transformer import Transformer
from benchmark.core import UserError
from tests.backbones.test_backbones import open_folder
from tests.backbones.test_cost import ALL, CHAINS, NATIVE, OTHERS, compare, opened
from tests.checkpoints import make, save_esm3
from tests.conftest import make_backbone


def at_layer(family: str, layer: int, folder: Path) -> Transformer:
    """The family's tiny checkpoint, read at a layer."""
    opened(family, folder)  # saves it
    name = NATIVE.get(family, "huggingface")
    checkpoint = folder / "checkpoint" if family in NATIVE else folder
    backbone = make_backbone(name, checkpoint, f"model.layer={layer}")
    assert isinstance(backbone, Transformer)
    return backbone


@pytest.mark.parametrize("family", ALL)
def test_a_pass_ends_at_the_layer_that_is_read(family: str, tmp_path: Path) -> None:
    """It returns the hidden states of transformers, and its FLOPs are those of its blocks."""
    flops = []
    for layer in (0, 1, 2, -1, -2, -3):
        backbone = at_layer(family, layer, tmp_path)
        parts = list(blocks(backbone.module, backbone.layers).values())
        ran = set[int]()
        for at, block in enumerate(parts):
            block.register_forward_hook(lambda *_, at=at, ran=ran: ran.add(at))
        rows = backbone.embed_residues(CHAINS)
        assert ran == set(range(layer % 3)), "two blocks have three hidden states"
        for packing in {backbone.packing, False}:
            backbone.packing = packing
            for chains in (CHAINS, OTHERS):
                work = compare(backbone, partial(backbone.embed_residues, chains))
                assert work[0] == work[1]
        flops.append(work[0])

        ids, mask = backbone.ids(CHAINS)
        with torch.inference_mode():
            output = backbone.module(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        first = len(backbone.alphabet.prefix)
        for row, states in zip(rows, output.hidden_states[layer], strict=True):
            np.testing.assert_allclose(row, states[first : first + len(row)].numpy(), atol=1e-5)
    assert flops[0] < flops[1] < flops[2] and flops[3:] == flops[2::-1]


def test_esm3_ends_at_the_layer_that_is_read(tmp_path: Path) -> None:
    save_esm3(tmp_path)
    backbone: Any = make_backbone("esm3_open", tmp_path / "x", "model.layer=1", "dtype=float32")
    assert backbone.end is list(blocks(backbone.module, 2).values())[1]


def test_a_module_that_cannot_end_early_computes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input of the block above is compared with the hidden state before it is relied on."""
    from transformers.models.esm.modeling_esm import EsmEncoder

    whole = at_layer("esm2", 1, tmp_path).embed_residues(CHAINS)
    forward = EsmEncoder.forward

    def scaled(self: Any, states: Any, **given: Any) -> Any:
        self.layer[1].register_forward_pre_hook(lambda _, args: (args[0] * 1.5, *args[1:]))
        return forward(self, states, **given)

    monkeypatch.setattr(EsmEncoder, "forward", scaled)
    other = at_layer("esm2", 1, tmp_path)
    assert other.end is None
    assert np.abs(other.embed_residues(CHAINS)[0] - whole[0]).max() >= 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["esm2", "llama", "mlm"])
def test_compiled_blocks_give_the_same_vectors(family: str, tmp_path: Path) -> None:
    """For other lengths, too; passes that are counted are not compiled."""
    backbone = at_layer(family, -1, tmp_path)
    expected = backbone.embed_residues(CHAINS), backbone.embed_residues(OTHERS)
    before = backbone.usage()["forward_flops"]
    backbone.embed_residues(OTHERS)
    cost = backbone.usage()["forward_flops"] - before
    assert not backbone.compiled
    backbone.compile = True
    torch._dynamo.utils.counters.clear()
    found = backbone.embed_residues(CHAINS), backbone.embed_residues(OTHERS)
    assert backbone.facts()["compiled"] and torch._dynamo.utils.counters["frames"]["ok"] > 0
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    backbone.flop_counter.forget()
    before = backbone.usage()["forward_flops"]
    backbone.embed_residues(OTHERS)
    assert backbone.usage()["forward_flops"] - before == cost, "hooks count uncompiled passes"
    torch._dynamo.reset()


def test_a_compiler_that_fails_is_reported_and_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = at_layer("esm2", -1, tmp_path)
    expected = backbone.embed_residues(CHAINS)

    def compile_(self: Any, **_: Any) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("no compiler\nmore")

        self._compiled_call_impl = fail

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    backbone.compile = True
    for one, other in zip(backbone.embed_residues(CHAINS), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not backbone.compiled
    assert capsys.readouterr().err.endswith("note: compile=True has no effect: no compiler\n")
    assert open_folder(tmp_path, compile=True).compile is True, "the trials compile nothing"
    with pytest.raises(UserError, match="compile=yes is not known; allowed are auto, true, false"):
        open_folder(tmp_path, compile="yes")


def test_the_budget_of_a_cpu_depends_on_the_width_alone(tmp_path: Path) -> None:
    parameter = torch.zeros(1)
    found = [token_budget("auto", width, parameter) for width in (16, 320, 640, 1280, 5120)]
    assert found == [4096, 1638, 819, 512, 512]
    assert token_budget(77, 320, parameter) == 77
    backbone = make_backbone("huggingface", make("esm2", tmp_path))
    assert backbone.batch_tokens == 4096
