"""Any encoder or decoder that `transformers` opens: a hub id with a revision, or a local folder.

python -m benchmark model=huggingface model.path=facebook/esm2_t6_8M_UR50D
python -m benchmark model=huggingface model.path=checkpoints/step-1000
"""

import json
import sys
from collections.abc import Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.checkpoint import read_config
from benchmark.backbones.layers import first_position, position_table
from benchmark.backbones.loading import load
from benchmark.backbones.pretrained import Opened, Pretrained
from benchmark.backbones.transformer import Objective
from benchmark.core import RESIDUES, UserError
from benchmark.distributed import rank

PREFIXES = ("<AA2fold>",)
"""Tokens that a model was trained to see before the residues (ProstT5: Heinzinger et al. 2023)."""
TOKENIZER = ("tokenizer*", "*vocab*", "*.model", "merges.txt", "*.py")
"""Files of a tokenizer."""


class HuggingFace(Pretrained):
    """A checkpoint of any architecture of transformers, or with its own code.

    read_as_x: letters that its authors replace by X, although the tokenizer may have a token.
    prefix: tokens, separated by spaces, that the model wants before the residues.
    """

    VERSION = 1

    def __init__(
        self, *, trust_remote_code: bool, read_as_x: str, prefix: str = "", **settings: Any
    ) -> None:
        self.trust_remote_code = trust_remote_code
        self.read_as_x = read_as_x
        self.prefix = str(prefix)
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
        alphabet = self.alphabet_of(folder, config)
        objective = objective_of(config)
        names = {"masked": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM"}
        auto: Any = getattr(transformers, names.get(str(objective), encoder_of(config)))
        if auto is transformers.AutoModel:
            base_class: Any = transformers.MODEL_MAPPING.get(type(config), None)
            if base_class and "add_pooling_layer" in signature(base_class).parameters:
                trust["add_pooling_layer"] = False  # not used
        base: Any
        base, whole, contact, unused = load(
            auto, folder, path, device_map, dtype, config=config, **trust
        )
        if config.is_encoder_decoder and hasattr(base, "decoder"):
            base = base.get_encoder()
        limit = longest_chain(base, alphabet.special)
        return Opened(base, alphabet, limit, whole, objective, contact, unused)

    def alphabet_of(self, folder: Path, config: Any) -> Alphabet:
        """The tokens of chains, by the settings; notes on stderr what a user may not expect."""
        alphabet, vocabulary = open_alphabet(folder, config, self.trust_remote_code)
        alphabet = alphabet.reading_as_x(self.read_as_x).after(self.prefix, vocabulary)
        wanted = [token for token in PREFIXES if token in vocabulary and not self.prefix]
        if wanted:
            note(f"the tokenizer has {wanted[0]}; model.prefix={wanted[0]} puts it before residues")
        if alphabet.merges:
            note(alphabet.limits)
        return alphabet


@cache
def note(sentence: str) -> None:
    """Tell the user on stderr, once."""
    if not rank():
        print(f"note: {sentence}", file=sys.stderr)


def named_config(folder: Path) -> Any:
    """The architecture's configuration class, if `config.json` is too old to name its type."""
    import transformers

    raw = read_config(folder)
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


def encoder_of(config: Any) -> str:
    """The class for a model without a language model's head: the encoder alone, if there is one."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING

    kind: Any = MODEL_FOR_TEXT_ENCODING_MAPPING.get(type(config), None)
    is_part = kind is not None and kind.__name__.endswith("EncoderModel")
    return "AutoModelForTextEncoding" if is_part else "AutoModel"


def open_alphabet(
    folder: Path, config: Any, trust_remote_code: bool
) -> tuple[Alphabet, Mapping[str, int]]:
    """From the tokenizer, or from a list of tokens or a SentencePiece model; and all tokens."""
    from transformers import AutoTokenizer

    words, pieces = folder / "vocab.txt", folder / "spiece.model"
    if not any(file for name in TOKENIZER for file in folder.glob(name)):
        raise UserError(
            f"{folder} holds no tokenizer (tokenizer.json, vocab.txt or spiece.model); copy its "
            "files from the model that the training began with"
        )
    tokens: list[str] = []
    if words.is_file() and not any(folder.glob("tokenizer*")):
        tokens = words.read_text(encoding="utf-8").split()
    elif pieces.is_file() and not (folder / "tokenizer.json").is_file():
        from sentencepiece import SentencePieceProcessor

        model = SentencePieceProcessor(model_file=str(pieces))
        tokens = [model.id_to_piece(i) for i in range(model.get_piece_size())]
        letters = Alphabet.of_tokens(tokens).ids
        ids = [letters[residue] for residue in RESIDUES]
        if ids not in (model.encode(RESIDUES), model.encode(" ".join(RESIDUES))):
            raise UserError(
                f"{pieces.name} gives chains other tokens than their residues have, with and "
                "without spaces between them; give a model that has a token a residue"
            )
    if tokens:
        added = folder / "added_tokens.json"
        more = json.loads(added.read_text(encoding="utf-8")) if added.is_file() else {}
        return Alphabet.of_tokens(tokens), {**{t: i for i, t in enumerate(tokens)}, **more}
    auto: Any = AutoTokenizer.from_pretrained
    tokenizer = auto(folder, config=config, trust_remote_code=trust_remote_code)
    return Alphabet.of_tokenizer(tokenizer), tokenizer.get_vocab()


def longest_chain(module: torch.nn.Module, special: int) -> int | None:
    """Residues that fit in a table of learned positions; None if there is none."""
    table = position_table(module)
    return None if table is None else table.num_embeddings - first_position(table) - special
