"""An untrained transformer: the architecture without any training."""

from hashlib import sha256

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.device import resolve
from benchmark.backbones.transformer import Pooling, Transformer

ESM_TOKENS = "LAGVSERTIDPKQNFYMHWCXBUZO"
"""Residues in the order of ESM-2's vocabulary, whose first four tokens are special."""


class Random(Transformer):
    """An ESM-2 architecture with random weights, drawn from `init_seed`."""

    VERSION = 1

    def __init__(
        self,
        *,
        layers: int,
        dim: int,
        heads: int,
        init_seed: int,
        layer: int,
        pooling: Pooling,
        device: str,
        dtype: str,
        batch_tokens: int,
    ) -> None:
        from transformers import EsmConfig, EsmModel

        target, number = resolve(device, dtype)
        ids = {letter: index for index, letter in enumerate(ESM_TOKENS, start=4)}
        ids["J"] = ids["X"]
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
            Alphabet(ids, prefix=(0,), suffix=(2,), pad=1),
            layer=layer,
            pooling=pooling,
            batch_tokens=batch_tokens,
        )

    @property
    def digest(self) -> str:
        """Digest of the weights."""
        return self._digest
