"""Tensors of a checkpoint that its module does not use: known to be benign, or refused."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.core import UserError

HEADS = (
    "lm_head.", "cls.", "output_layer.", "classifier.", "score.", "qa_outputs.", "predictions.",
    "sop_classifier.", "discriminator_predictions.", "generator_predictions.",
    "generator_lm_head.", "pre_classifier.", "vocab_", "lm_loss.", "final_logits_bias",
)  # fmt: skip
"""Names of heads, of language models and of tasks; where the base model has one, it is unused."""
UNUSED = ("pooler.", "contact_head.", *HEADS)
"""Parts of a base model that embeddings do not use; a checkpoint may lack them."""
COMPUTED = (
    "inv_freq", "position_ids", "token_type_ids", ".attn.bias", ".attn.masked_bias",
)  # fmt: skip
"""Tables computed from the configuration; some versions of transformers store them."""
SCALES = re.compile(
    r"((weight|input|output|activation)_scale|_scale_inv|\.scales?|\.SCB|\.qweight|\.qzeros|\.g_idx|\.absmax|\.quant_map|"
    r"\.nested_\w+|quant_state[\w.]*|\.weight_format|zero_point)$"
)
"""Names that libraries of quantisation give to what they store."""


def is_benign(name: str) -> bool:
    """Whether a tensor without a use is a head, a pooler, or computed from the configuration.

    Those that transformers lists for an architecture, such as the learned positions in
    checkpoints of ESM-2, whose positions are rotary, are benign, too.
    """
    return name.startswith(UNUSED) or name.endswith(COMPUTED)


def collapsed(names: Iterable[str]) -> list[str]:
    """Names, those of all layers as one: `layer.*.weight`."""
    return sorted({re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names})


def refuse_quantised(config: Any, dtypes: dict[str, str]) -> None:
    """Refuse weights in a format of quantisation, or as integers."""
    if method := getattr(config, "quantization_config", None):
        kind = method.get("quant_method") if isinstance(method, dict) else method
        raise UserError(
            f"config.json says quantization_config (quant_method={kind}); "
            "give the checkpoint before quantisation, or dequantise and save it"
        )
    scales = sorted(filter(SCALES.search, dtypes))
    whole = [n for n, d in dtypes.items() if re.search(r"\b[UI]8$|u?int8$", d) and "weight" in n]
    if named := scales or sorted(whole):
        raise UserError(
            f"the checkpoint is quantised: it holds {listed(named)}; "
            "give the checkpoint before quantisation, or dequantise and save it"
        )


def surplus(path: str, names: Sequence[str], layers: int | None) -> UserError:
    """The error for tensors that are neither used nor benign."""
    numbers = [int(n) for name in names for n in re.findall(r"(?<=\.)\d+(?=\.)", name)]
    if layers is not None and numbers and min(numbers) >= layers and max(numbers) < 10_000:
        reason = f"config.json says {layers} layers and the weights have {max(numbers) + 1}"
        remedy = "copy the config.json of these weights"
    else:
        reason = "its architecture does not use them"
        remedy = "save it without them, or give a config.json of the architecture that has them"
    return UserError(
        f"{path} holds {len(names)} weights that would be ignored ({listed(names)}): {reason}; "
        f"{remedy}"
    )


def listed(names: Sequence[str]) -> str:
    """The first two names, those of all layers as one."""
    short = collapsed(names)
    return ", ".join([*short[:2], *(["..."] if len(short) > 2 else [])])
