"""ESM3 open (Hayes et al. 2025) by its authors' package `esm`, an extra for Python 3.12 and later.

pip install 'plm-benchmark[esm]'; python -m benchmark model=esm3_open
Only the sequence track is used: structure, function and the others stay empty. ESM C needs no
extra package; transformers opens it.
"""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.pretrained import Opened, Pretrained
from benchmark.core import UserError

HEAD_WIDTH = 64
"""Of the release, 24 heads of 1,536; not visible in the shapes of the weights."""


class Esm3(Pretrained):
    """A checkpoint in the release's format, a folder with `data/weights/`."""

    VERSION = 1
    weights = ("data/weights/esm3_sm_open_v1.pth",)

    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Build the model by the shapes of the weights, and load all weights."""
        try:
            from accelerate import init_empty_weights
            from esm.models.esm3 import ESM3
            from esm.utils.constants.esm3 import SEQUENCE_MASK_TOKEN, SEQUENCE_VOCAB
        except ImportError:
            raise UserError(
                "ESM3 needs its authors' package esm, which needs Python 3.12 or later; "
                "there, pip install 'plm-benchmark[esm]'"
            ) from None
        state = torch.load(folder / self.weights[0], map_location=device_map, weights_only=True)
        blocks = {name.split(".")[2] for name in state if name.startswith("transformer.blocks.")}
        width = state["encoder.sequence_embed.weight"].shape[1]
        sequence = SimpleNamespace(mask_token_id=SEQUENCE_MASK_TOKEN)
        with init_empty_weights():
            model: Any = ESM3(
                d_model=width,
                n_heads=width // HEAD_WIDTH,
                v_heads=state["transformer.blocks.0.geom_attn.distance_scale_per_head"].numel(),
                n_layers=len(blocks),
                structure_encoder_fn=None,
                structure_decoder_fn=None,
                function_decoder_fn=None,
                tokenizers=SimpleNamespace(sequence=sequence),
            )
        found = model.load_state_dict(state, strict=False, assign=True)
        if differing := [*found.missing_keys, *found.unexpected_keys]:
            raise UserError(
                f"{path} has {len(differing)} missing or unknown weights ({differing[0]}, ...), "
                "so it is not an ESM3"
            )
        track = SequenceTrack(model.to(device_map, dtype))
        alphabet = Alphabet.of_tokens(SEQUENCE_VOCAB)
        return Opened(track, alphabet, None, track, "masked", contact_head=False)


class SequenceTrack(nn.Module):
    """ESM3 with the interface of a module of transformers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = SimpleNamespace(
            num_hidden_layers=len(model.transformer.blocks),
            hidden_size=model.transformer.norm.weight.numel(),
            _attn_implementation="eager",  # the package chooses by itself
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> SimpleNamespace:
        """Hidden states (B, T, dim): the first is the embedding, the last the final norm's."""
        seen: dict[nn.Module, Any] = {}
        parts = (self.model.encoder, self.model.transformer)
        with ExitStack() as hooks:
            for p in parts:
                hook = p.register_forward_hook(lambda part, _, out: seen.update({part: out}))
                hooks.enter_context(hook)
            output = self.model(
                sequence_tokens=input_ids,
                sequence_id=attention_mask.bool(),
                output_attentions=output_attentions,
            )
        embedded, (normed, _, states, _) = (seen[part] for part in parts)
        return SimpleNamespace(
            last_hidden_state=normed,
            hidden_states=(embedded, *states[:-1], normed) if output_hidden_states else None,
            attentions=output.attentions,
            logits=output.sequence_logits,
        )
