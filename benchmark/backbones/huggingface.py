"""Any encoder or decoder that `transformers` opens: a hub id with a revision, or a local folder.

python -m benchmark model=huggingface model.path=facebook/esm2_t6_8M_UR50D
python -m benchmark model=huggingface model.path=checkpoints/step-1000
"""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.pretrained import Opened, Pretrained, load
from benchmark.backbones.transformer import Objective, first_position, position_table
from benchmark.core import UserError


class HuggingFace(Pretrained):
    """A checkpoint of any architecture of transformers, or with its own code.

    read_as_x: letters that its authors replace by X, although the tokenizer may have a token.
    """

    VERSION = 1

    def __init__(self, *, trust_remote_code: bool, read_as_x: str, **settings: Any) -> None:
        self.trust_remote_code = trust_remote_code
        self.read_as_x = read_as_x
        super().__init__(**settings)

    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load it by the architecture in its configuration."""
        import transformers

        trust: dict[str, Any] = {"trust_remote_code": self.trust_remote_code}
        config: Any = (named_config(folder) or transformers.AutoConfig).from_pretrained(
            folder, **trust
        )
        if getattr(config, "auto_map", None) and not self.trust_remote_code:
            raise UserError(
                f"{path} brings its own code; "
                "read it, then allow it with model.trust_remote_code=true"
            )
        objective = objective_of(config)
        encoder = "AutoModelForTextEncoding" if config.is_encoder_decoder else "AutoModel"
        names = {"masked": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM", None: encoder}
        auto: Any = getattr(transformers, names[objective])
        if auto is transformers.AutoModel:
            base_class: Any = transformers.MODEL_MAPPING.get(type(config), None)
            if base_class and "add_pooling_layer" in signature(base_class).parameters:
                trust["add_pooling_layer"] = False  # not used
        base, whole, contact = load(auto, folder, path, device_map, dtype, config=config, **trust)
        alphabet = open_alphabet(folder, config, self.trust_remote_code).reading_as_x(
            self.read_as_x
        )
        limit = longest_chain(base, alphabet.special)
        return Opened(base, alphabet, limit, whole, objective, contact)


def named_config(folder: Path) -> Any:
    """The architecture's configuration class, if `config.json` is too old to name its type."""
    import transformers

    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = () if "model_type" in raw else raw.get("architectures") or ()
    known = (getattr(transformers, name, None) for name in names)
    return next((architecture.config_class for architecture in known if architecture), None)


def objective_of(config: Any) -> Objective | None:
    """The training objective, from the name of the architecture."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return None
    names = tuple(config.architectures or ())
    auto = getattr(config, "auto_map", None) or {}
    can_mask = type(config) in MODEL_FOR_MASKED_LM_MAPPING or "AutoModelForMaskedLM" in auto
    can_cause = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in auto
    named_causal = any(n.endswith(("ForCausalLM", "LMHeadModel")) for n in names)
    causal = getattr(config, "is_decoder", False) or named_causal
    if can_cause and (causal or not can_mask):
        return "causal"
    return "masked" if can_mask else None


def open_alphabet(folder: Path, config: Any, trust_remote_code: bool) -> Alphabet:
    """From the tokenizer, or from a list of tokens or a SentencePiece model."""
    from transformers import AutoTokenizer

    vocabulary, pieces = folder / "vocab.txt", folder / "spiece.model"
    if vocabulary.is_file() and not any(folder.glob("tokenizer*")):
        return Alphabet.of_tokens(vocabulary.read_text(encoding="utf-8").split())
    if pieces.is_file() and not (folder / "tokenizer.json").is_file():
        from sentencepiece import SentencePieceProcessor

        model = SentencePieceProcessor(model_file=str(pieces))
        return Alphabet.of_tokens([model.id_to_piece(i) for i in range(model.get_piece_size())])
    auto: Any = AutoTokenizer.from_pretrained
    return Alphabet.of_tokenizer(auto(folder, config=config, trust_remote_code=trust_remote_code))


def longest_chain(module: torch.nn.Module, special: int) -> int | None:
    """Residues that fit in a table of learned positions; None if there is none."""
    table = position_table(module)
    return None if table is None else table.num_embeddings - first_position(table) - special
