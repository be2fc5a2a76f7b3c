"""What every backbone on a `transformers` module shares: ids, padding, layers, pooling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.core import RESIDUES, Backbone, UserError
from benchmark.data import AMBIGUOUS

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Pooling = Literal["mean", "start", "last"]


@dataclass(frozen=True)
class Alphabet:
    """How a chain becomes token ids: `prefix`, one id a residue, `suffix`.

    So embeddings and residues align by construction.
    """

    ids: Mapping[str, int]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> "Alphabet":
        """Read it off a tokenizer; a letter's token is "A", or "▁A" of SentencePiece."""
        vocabulary = tokenizer.get_vocab()
        ids = {
            letter: vocabulary[token]
            for letter in RESIDUES + AMBIGUOUS
            for token in (letter, f"▁{letter}")
            if token in vocabulary
        }
        if missing := set(RESIDUES) - set(ids):
            raise UserError(
                f"the tokenizer has no token for {', '.join(sorted(missing))}; "
                "a protein model has one for each of the 20 residues"
            )
        other = ids.get("X", tokenizer.unk_token_id)
        ids |= {letter: other for letter in AMBIGUOUS if letter not in ids and other is not None}
        encoded = list(tokenizer("A")["input_ids"])
        if ids["A"] not in encoded:
            raise UserError("the tokenizer does not give a residue its own token")
        at = encoded.index(ids["A"])
        pad = tokenizer.pad_token_id
        return cls(ids, tuple(encoded[:at]), tuple(encoded[at + 1 :]), 0 if pad is None else pad)

    def encode(self, chain: str) -> list[int]:
        """Token ids of a chain."""
        try:
            return [*self.prefix, *(self.ids[residue] for residue in chain), *self.suffix]
        except KeyError as letter:
            raise UserError(f"the tokenizer has no token for the residue {letter}") from None


def resolve(device: str, dtype: str) -> tuple["torch.device", "torch.dtype"]:
    """The device and number type; `auto`: a GPU if there is one, bfloat16 if that GPU has it."""
    import torch

    allowed = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in ("auto", *allowed):
        raise UserError(f"dtype={dtype} is not known; allowed are auto, {', '.join(allowed)}")
    try:
        place = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        )
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"device={device} is not there; use device=cpu, or device=cuda on a machine with a GPU"
        ) from None
    bf16 = place.type == "cuda" and torch.cuda.is_bf16_supported()
    return place, allowed[("bfloat16" if bf16 else "float32") if dtype == "auto" else dtype]


class Transformer(Backbone):
    """A module that maps (B, T) token ids to hidden states, and the alphabet to feed it with.

    layer: index into the hidden states, 0 the embedding layer's output; -1 the last, after the
        final normalisation.
    pooling: a protein is the mean over its residues, or the start token's or the last token's row.
    """

    def __init__(
        self,
        module: "torch.nn.Module",
        alphabet: Alphabet,
        *,
        layer: int,
        pooling: Pooling,
        batch_tokens: int,
        max_length: int | None = None,
    ) -> None:
        config: Any = module.config
        self.module = module.eval()
        self.alphabet = alphabet
        self.layer = layer
        self.pooling = pooling
        self.batch_tokens = batch_tokens
        self.max_length = max_length
        parameter = next(module.parameters())
        self.device = parameter.device
        self.dtype = str(parameter.dtype).removeprefix("torch.")
        self.layers = int(config.num_hidden_layers)
        self.residue_dim = self.protein_dim = int(config.hidden_size)
        if not -self.layers - 1 <= layer <= self.layers:
            raise UserError(f"layer={layer} is not there; the model has 0 to {self.layers}, and -1")
        if pooling not in ("mean", "start", "last"):
            raise UserError(f"pooling={pooling} is not known; allowed are mean, start, last")
        if pooling == "start" and not alphabet.prefix:
            raise UserError(
                "pooling=start needs a start token and the model has none; use mean or last"
            )

    def hidden(self, chains: Sequence[str]) -> "torch.Tensor":
        """Hidden states of one right-padded batch, (B, T, dim), special tokens included."""
        import torch

        rows = [self.alphabet.encode(chain) for chain in chains]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.alphabet.pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        last = self.layer in (-1, self.layers)
        output = self.module(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            output_hidden_states=not last,
        )
        states = output.last_hidden_state if last else output.hidden_states[self.layer]
        assert isinstance(states, torch.Tensor)
        return states

    def embed_residues(self, chains: Sequence[str]) -> list[Floats]:
        """(L, dim) for each chain."""
        import torch

        with torch.inference_mode():
            states = self.hidden(chains).float().cpu().numpy()
        start = len(self.alphabet.prefix)
        return [row[start : start + len(chain)] for row, chain in zip(states, chains, strict=True)]

    def embed_proteins(self, chains: Sequence[str]) -> Floats:
        """(n, dim) by the chosen pooling."""
        import torch

        start, extra = len(self.alphabet.prefix), len(self.alphabet.prefix + self.alphabet.suffix)
        with torch.inference_mode():
            states = self.hidden(chains).float()
            if self.pooling == "start":
                pooled = states[:, 0]
            elif self.pooling == "last":
                last = torch.tensor(
                    [len(chain) + extra - 1 for chain in chains], device=self.device
                )
                pooled = states[torch.arange(len(chains), device=self.device), last]
            else:
                rows = zip(states, chains, strict=True)
                pooled = torch.stack([row[start : start + len(c)].mean(dim=0) for row, c in rows])
        result: Floats = pooled.cpu().numpy()
        return result

    def facts(self) -> Mapping[str, Any]:
        """Size and shape."""
        return {
            "parameters": sum(p.numel() for p in self.module.parameters()),
            "layers": self.layers,
            "dim": self.residue_dim,
            "device": self.device.type,
        }
