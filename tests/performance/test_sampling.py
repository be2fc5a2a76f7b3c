"""Tokens per second of sampling, and of transformers' own `generate` with the same model."""

from collections.abc import Callable

import torch
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import Sampling
from tests.conftest import composed
from tests.performance.table import Table, device, interleaved

CHAINS, LENGTH = 32, 100


def test_sampling(table: Table) -> None:
    """All chains have the same length, so that both do the same work; then natural lengths."""
    words = ("model=pocket_clm_l", f"device={device()}", "dtype=float32")
    model = instantiate(composed(*words).model, _convert_="all")
    assert isinstance(model, Transformer)
    start = torch.tensor([list(model.alphabet.prefix)] * CHAINS, device=model.device)

    def generate(**lengths: int) -> Callable[[], object]:
        return lambda: model.language_model.generate(
            input_ids=start, attention_mask=torch.ones_like(start), do_sample=True, top_p=0.9,
            top_k=0, eos_token_id=list(model.alphabet.ends), pad_token_id=model.alphabet.pad,
            use_cache=True, **lengths,
        )  # fmt: skip

    def ours(**lengths: int) -> Callable[[], object]:
        return lambda: model.sample([""] * CHAINS, Sampling(top_p=0.9, **lengths), range(CHAINS))

    same = {"min_length": LENGTH, "max_length": LENGTH}
    works = {
        "generate": generate(min_new_tokens=LENGTH, max_new_tokens=LENGTH),
        "sample": ours(**same),
        "generate, chains end": generate(max_new_tokens=LENGTH),
        "sample, chains end": ours(max_length=LENGTH),
    }
    seconds = interleaved(works, 1)
    for name in works:
        reference = name.replace("sample", "generate")
        amount = 0 if "end" in name else CHAINS * LENGTH
        ratio = table.add(
            f"sampling: {name}", seconds[name], reference=seconds[reference],
            reference_name="generate", amount=amount, unit="tokens",
        )  # fmt: skip
        assert ratio <= 1, name
