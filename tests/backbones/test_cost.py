"""What is counted is what PyTorch's own counter finds, and what the papers' formulas say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark.backbones.transformer import Transformer
from benchmark.core import Sampling
from benchmark.pocket.make import flops_formulas
from benchmark.pocket.make.flops_formulas import Shape
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, SHAPE, make, word_tokenizer
from tests.conftest import composed, make_backbone, marked_slow, random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([40, 7, 23, 31])]
OTHERS = [random_chain(np.random.default_rng(9), n) for n in (11, 60)]
NATIVE = {"mlm": "mlm1b", "clm": "clm1b", "progen2": "progen2_small"}
DAILY = {"esm2", "llama", "prott5", "mlm"}
ALL = marked_slow([*FAMILIES, *NATIVE], *({*FAMILIES, *NATIVE} - DAILY))


def llama(folder: Path) -> Path:
    """Two heads share a key."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = ["<s>", "</s>", "<unk>", *"ACDEFGHIKLMNPQRSTVWY"]
    config = LlamaConfig(
        vocab_size=len(tokens), num_key_value_heads=2, bos_token_id=0, eos_token_id=1, **SHAPE
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    word_tokenizer(folder, tokens, "<s> $A", unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    return folder


def opened(family: str, folder: Path) -> Transformer:
    """The family's tiny checkpoint, opened."""
    if family not in NATIVE:
        return open_folder(llama(folder) if family == "llama" else make(family, folder))
    backbone = make_backbone(NATIVE[family], folder / "checkpoint")
    assert isinstance(backbone, Transformer)
    return backbone


def compare(backbone: Transformer, work: Callable[[], object]) -> tuple[int, int]:
    """FLOPs by the meter, and by PyTorch's counter, which does not know the CPU's fused kernel."""
    before = backbone.usage()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    after = backbone.usage()
    flops = ("forward_flops", "backward_flops")
    return sum(after[name] - before[name] for name in flops), counter.get_total_flops()


@pytest.mark.parametrize("family", ALL)
def test_every_pass_of_every_family(family: str, tmp_path: Path) -> None:
    """Padded, packed, with the head, with maps, drawing: the first batch and a later one."""
    backbone = opened(family, tmp_path)
    for packing in {backbone.packing, False}:
        backbone.packing = packing
        for chains in (CHAINS, OTHERS):
            ours, theirs = compare(backbone, lambda chains=chains: backbone.embed_residues(chains))
            assert ours == theirs > 0
    for chains in (CHAINS, OTHERS):
        works: list[Callable[[], object]] = [lambda chains=chains: backbone.attentions(chains)]
        if backbone.objective:
            works.append(torch.inference_mode()(lambda chains=chains: backbone.logits(chains)))
        if backbone.objective == "causal":
            works.append(lambda chains=chains: backbone.log_likelihoods(chains))
            prompts = [chain[:n] for chain in chains for n in (1, 2, 2)]
            works.append(
                lambda prompts=prompts: backbone.sample(
                    prompts, Sampling(max_length=20, top_p=0.9), range(len(prompts))
                )
            )
        if "contact_head" in backbone.abilities:
            works.append(lambda chains=chains: backbone.contacts(chains))
        for work in works:
            ours, theirs = compare(backbone, work)
            assert ours == theirs > 0


@pytest.mark.parametrize("trained", ["all", "lora", "upper half"])
@pytest.mark.parametrize("family", ["esm2", "gpt2", "prott5", "mlm", "progen2"])
def test_training_passes(family: str, trained: str, tmp_path: Path) -> None:
    """Frozen weights cost the gradient of their input alone, and nothing below the lowest trained.

    Each batch is a step; the counter is reset when weights are frozen or layers added.
    """
    backbone = opened(family, tmp_path)
    backbone.embed_residues(CHAINS)
    if trained == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        settings = LoraConfig(r=4, target_modules="all-linear", fan_in_fan_out=family == "gpt2")
        inject_adapter_in_model(settings, backbone.module)
    elif trained == "upper half":
        (*_, last) = next(
            part for part in backbone.module.modules() if isinstance(part, torch.nn.ModuleList)
        )
        backbone.module.requires_grad_(False)
        last.requires_grad_(True)
    backbone.flop_counter.forget()
    for packing in {backbone.packing, False}:
        backbone.packing = packing
        for chains in (CHAINS, OTHERS):

            def step(chains: list[str] = chains) -> None:
                torch.cat(backbone.states(chains)).square().mean().backward()

            before = backbone.usage()["backward_flops"]
            ours, theirs = compare(backbone, step)
            assert ours == theirs
            backward = backbone.usage()["backward_flops"] - before
            twice = 2 * (ours - backward)
            assert backward == twice if trained == "all" else 0 < backward < twice


def test_what_passed_is_told(tmp_path: Path) -> None:
    backbone = opened("esm2", tmp_path)
    before = backbone.usage()
    assert not any(before.values()), "the trials of opening are not counted"
    backbone.embed_proteins(["ACD", "ACDEF"])
    backbone.packing = False
    backbone.embed_proteins(["ACD", "ACDEF"])
    passed = {name: total - before[name] for name, total in backbone.usage().items()}

    assert passed["chains"] == 4 and passed["tokens"] == 2 * (5 + 7)
    assert passed["padding_tokens"] == 2 and passed["backward_flops"] == 0


@pytest.mark.parametrize(
    ("layers", "dim", "embedding", "blocks", "head", "total"),
    [
        (6, 320, 10_560, 7_372_800, 112_960, 7_496_320),
        (12, 480, 15_840, 33_177_600, 246_240, 33_439_680),
        (30, 640, 21_120, 147_456_000, 430_720, 147_907_840),
        (33, 1280, 42_240, 648_806_400, 1_680_640, 650_529_280),
        (36, 2560, 84_480, 2_831_155_200, 6_638_080, 2_837_877_760),
        (48, 5120, 168_960, 15_099_494_400, 26_383_360, 15_126_046_720),
    ],
)
def test_parameters_of_esm2(
    layers: int, dim: int, embedding: int, blocks: int, head: int, total: int
) -> None:
    found = flops_formulas.parameters(Shape(layers, dim, 4 * dim, 20, 33))

    assert found == (embedding, blocks, head) and found.total == total


def test_flops_of_esm2() -> None:
    small, large = Shape(12, 480, 1920, 20, 33), Shape(33, 1280, 5120, 20, 33)

    assert flops_formulas.forward_flops(small, 1024) == 93_398_630_400
    assert flops_formulas.forward_flops(large, 1024) == 1_511_527_546_880


def test_counts_of_the_scaling_papers() -> None:
    """The facts of xTrimoPGLM's models are those of their shapes; Cheng et al.'s 10B."""
    for name, layers, dim, ffn in (
        ("clm1b", 24, 2048, 5461),
        ("mlm3b", 36, 2560, 6832),
        ("clm7b", 36, 4096, 10922),
        ("mlm10b", 47, 4352, 11606),
    ):
        published = composed(f"model={name}").model.facts.parameters
        assert published == layers * (4 * dim**2 + 3 * dim * ffn), name
    assert flops_formulas.training_flops(10_700_000_000, 260e9) == pytest.approx(1.67e22, rel=0.01)


def test_the_formula_and_the_meter_agree_on_an_encoder(tmp_path: Path) -> None:
    """They differ by what each leaves out: look-ups and softmax here, nothing there."""
    backbone = opened("esm2", tmp_path)
    shape, tokens = Shape(2, 16, 32, 4, 33), 42
    before = backbone.usage()["forward_flops"]
    with torch.inference_mode():
        backbone.logits([CHAINS[0]])
    left_out = 2 * tokens * flops_formulas.parameters(shape).embedding + 2 * 3 * 4 * tokens**2

    metered = backbone.usage()["forward_flops"] - before
    assert metered == flops_formulas.forward_flops(shape, tokens) - left_out
