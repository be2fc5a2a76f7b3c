"""ProteinGLM's architecture as released (xTrimoPGLM: Chen et al., Nature Methods 2025).

A block, with DeepNorm's weight a = sqrt(2 layers) on the residual connections:
x1 = norm1(x); x2 = norm2(a x1 + attention(x1)); out = a x2 + mlp(x2). Parameters carry their
original names, so released checkpoints load unchanged. There is no dropout, as in all releases.
"""

from inspect import signature
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

from benchmark.core import UserError

if "cache_position" in signature(create_causal_mask).parameters:
    raise UserError(f"ProteinGLM needs a newer transformers than {transformers.__version__}")

IMPLEMENTED = {
    "deepnorm": True,
    "apply_residual_connection_post_layernorm": True,
    "glu_activation": "geglu",
    "add_bias_linear": True,
    "rmsnorm": False,
    "multi_query_attention": False,
    "moe": False,
    "fp32_residual_connection": False,
    "quantization_bit": 0,
}
"""Values in all releases but the quantised 100B; others have no reference to test against."""

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, (B, 1, T, kv_channels) each."""


class ProteinGLMConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The keys of a release's `config.json`, unchanged."""

    model_type = "ProteinGLM"
    attribute_map = {  # noqa: RUF012 (transformers' own form)
        "num_hidden_layers": "num_layers",
        "head_dim": "kv_channels",
    }


def rotary_tables(config: Any, position_ids: Tensor, dtype: torch.dtype) -> Rotary:
    """Angles at (B, T) positions, computed in fp32.

    With `rotary_embedding_2d` the halves of a head rotate by two positions, of which a causal model
    sets the first to zero, a masked one the second.
    """
    planes = [position_ids]
    if config.rotary_embedding_2d:
        planes.insert(0 if config.is_causal else 1, torch.zeros_like(position_ids))
    width = config.kv_channels // len(planes)
    steps = torch.arange(0, width, 2, device=position_ids.device, dtype=torch.float32)
    frequencies = 10000.0 ** (-steps / width)
    angles = torch.cat(
        [(ids[..., None].float() * frequencies).repeat(1, 1, 2) for ids in planes], dim=-1
    )
    return angles.cos().to(dtype).unsqueeze(1), angles.sin().to(dtype).unsqueeze(1)


def rotate(x: Tensor, rotary: Rotary, planes: int) -> Tensor:
    """Rotate the pairs (i, i + half) within each plane of heads, (B, heads, T, kv_channels)."""
    cos, sin = rotary
    first, second = x.view(*x.shape[:-1], planes, 2, -1).unbind(-2)
    return x * cos + torch.stack((-second, first), dim=-2).flatten(-3) * sin


class SelfAttention(nn.Module):
    """Self-attention with one projection for query, key and value, concatenated per head."""

    num_key_value_groups = 1

    def __init__(self, config: Any, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.is_causal = config.is_causal
        self.scaling = config.kv_channels**-0.5
        self.planes = 2 if config.rotary_embedding_2d else 1
        width = config.num_attention_heads * config.kv_channels
        self.query_key_value = nn.Linear(config.hidden_size, 3 * width)
        self.dense = nn.Linear(width, config.hidden_size)

    def forward(
        self, x: Tensor, rotary: Rotary, mask: Tensor | None, past: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, dim) to (B, T, dim), and maps (B, heads, T, T) if available."""
        heads = self.query_key_value(x).view(*x.shape[:2], self.config.num_attention_heads, -1)
        query, key, value = heads.transpose(1, 2).chunk(3, dim=-1)
        query, key = rotate(query, rotary, self.planes), rotate(key, rotary, self.planes)
        if past is not None:
            key, value = past.update(key, value, self.layer)
        chosen = self.config._attn_implementation
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(chosen, eager_attention_forward)
        mixed, maps = attend(self, query, key, value, mask, scaling=self.scaling, **kwargs)
        return self.dense(mixed.flatten(-2)), maps


class MLP(nn.Module):
    """GEGLU: the first half of the inner width, gated by the GELU of the second."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, 2 * config.ffn_hidden_size)
        self.dense_4h_to_h = nn.Linear(config.ffn_hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dim) to (B, T, dim)."""
        inner, gate = self.dense_h_to_4h(x).chunk(2, dim=-1)
        out: Tensor = self.dense_4h_to_h(inner * functional.gelu(gate))
        return out


class Block(GradientCheckpointingLayer):  # type: ignore[no-untyped-call]
    """A layer; see the formula above."""

    def __init__(self, config: Any, layer: int) -> None:
        super().__init__()
        self.alpha = (2 * config.num_layers) ** 0.5
        size, epsilon = config.hidden_size, config.layernorm_epsilon
        self.input_layernorm = nn.LayerNorm(size, eps=epsilon)
        self.self_attention = SelfAttention(config, layer)
        self.post_attention_layernorm = nn.LayerNorm(size, eps=epsilon)
        self.mlp = MLP(config)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        mask: Tensor | None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, dim) to (B, T, dim), and the attention maps."""
        x = self.input_layernorm(x)
        attended, maps = self.self_attention(x, rotary, mask, past_key_values, **kwargs)
        x = self.post_attention_layernorm(torch.add(attended, x, alpha=self.alpha))
        return torch.add(self.mlp(x), x, alpha=self.alpha), maps


class Encoder(nn.Module):
    """The blocks, and a final norm if the configuration has one."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config, at) for at in range(config.num_layers))
        self.final_layernorm = (
            nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
            if config.post_layer_norm
            else nn.Identity()
        )

    def forward(
        self,
        x: Tensor,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        **given: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, dim): the first is the embedding, the last the final norm's."""
        states, maps = [x], []
        for block in self.layers:
            x, attention = block(x, **given)
            if output_hidden_states:
                states.append(x)
            if output_attentions:
                maps.append(attention)
        x = states[-1] = self.final_layernorm(x)
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            past_key_values=given["past_key_values"],
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(maps) if output_attentions else None,
        )


class ProteinGLMPreTrained(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Settings for loading; refuses configurations that are not implemented."""

    config_class = ProteinGLMConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["Block"]  # noqa: RUF012 (transformers' own form)

    def __init__(self, config: ProteinGLMConfig) -> None:
        super().__init__(config)
        for key, value in IMPLEMENTED.items():
            if not hasattr(config, key):
                raise UserError(
                    f"config.json has no {key}, so it is not a ProteinGLM; "
                    "other architectures open with model=huggingface"
                )
            if (found := getattr(config, key)) != value:
                raise UserError(
                    f"config.json says {key}={found}; only {key}={value} is implemented, as in all "
                    "releases of ProteinGLM but the quantised 100B"
                )


class ProteinGLMModel(ProteinGLMPreTrained):  # type: ignore[no-untyped-call]
    """Token ids to hidden states, with a layer that maps these to logits."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size, vocabulary = config.hidden_size, config.padded_vocab_size
        self.embedding = nn.ModuleDict({"word_embeddings": nn.Embedding(vocabulary, size)})
        self.encoder = Encoder(config)
        self.output_layer = nn.Linear(size, vocabulary)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        """The table of token embeddings."""
        return self.embedding["word_embeddings"]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """As `Encoder.forward`; a cache is used only if given."""
        x = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            seen = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = torch.arange(seen, seen + x.shape[1], device=x.device).unsqueeze(0)
        mask = create_causal_mask(  # bidirectional if the configuration is not causal
            self.config, x, attention_mask, past_key_values, position_ids=position_ids
        )
        output: BaseModelOutputWithPast = self.encoder(
            x,
            rotary=rotary_tables(self.config, position_ids, x.dtype),
            mask=mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        return output


class ProteinGLMForLanguageModeling(  # type: ignore[no-untyped-call]
    ProteinGLMPreTrained, GenerationMixin
):
    """With logits, (B, T, vocabulary); masked or causal by the configuration."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.transformer = ProteinGLMModel(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, *args: Any, **kwargs: Any) -> CausalLMOutputWithPast:
        """As `ProteinGLMModel.forward`."""
        states = self.transformer(*args, **kwargs)
        return CausalLMOutputWithPast(
            logits=self.transformer.output_layer(states.last_hidden_state),
            past_key_values=states.past_key_values,
            hidden_states=states.hidden_states,
            attentions=states.attentions,
        )
