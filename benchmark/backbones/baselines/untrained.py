"""An untrained transformer: the architecture without any training."""

from hashlib import sha256
from typing import Any

import torch

from benchmark.backbones.alphabet import ESM_TOKENS, Alphabet, numbered
from benchmark.backbones.device import resolve
from benchmark.backbones.transformer import Transformer


class Random(Transformer):
    """An ESM-2 architecture with random weights, drawn from `init_seed`.

    settings: of `Transformer`: layer, pooling, batch_tokens.
    """

    VERSION = 1

    def __init__(
        self,
        *,
        layers: int,
        dim: int,
        heads: int,
        init_seed: int,
        device: str,
        dtype: str,
        **settings: Any,
    ) -> None:
        from transformers import EsmConfig, EsmModel

        target, number = resolve(device, dtype)
        config = EsmConfig(
            vocab_size=33,
            mask_token_id=32,
            pad_token_id=1,
            hidden_size=dim,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * dim,
            position_embedding_type="rotary",
            token_dropout=True,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        with torch.random.fork_rng():
            torch.manual_seed(init_seed)
            module: torch.nn.Module = EsmModel(config, add_pooling_layer=False)
        state = sha256()
        for name, tensor in sorted(module.state_dict().items()):
            state.update(name.encode() + tensor.numpy().tobytes())
        self._digest = state.hexdigest()[:16]
        super().__init__(
            module.to(target, number),
            Alphabet(numbered(ESM_TOKENS, 4), prefix=(0,), suffix=(2,), pad=1),
            **settings,
        )

    @property
    def digest(self) -> str:
        """Digest of the weights."""
        return self._digest
