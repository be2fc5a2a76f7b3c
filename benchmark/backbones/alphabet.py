"""Token ids of chains, from a tokenizer or a list of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.core import MASK, RESIDUES, UserError
from benchmark.data.cell_values import AMBIGUOUS, CHAIN_BREAK

STARTS = ("<s>", "<cls>", "[CLS]")
ENDS = ("</s>", "<eos>", "[SEP]")
PADS = ("<pad>", "[PAD]")
MASKS = ("<mask>", "[MASK]")
UNKNOWN = ("<unk>", "[UNK]")


@dataclass(frozen=True)
class Alphabet:
    """`prefix`, one id per residue, `suffix`: embeddings and residues align by construction.

    ids: of the 20 residues; of ambiguous letters, the chain break and `MASK` if they have a token.
    ends: tokens by which a causal model ends a chain.
    """

    ids: Mapping[str, int]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int
    ends: tuple[int, ...] = ()

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> "Alphabet":
        """From a tokenizer of transformers; "▁A" is SentencePiece's token of A."""
        ids = letter_ids(tokenizer.get_vocab(), tokenizer.unk_token_id, tokenizer.mask_token_id)
        encoded = list(tokenizer("A")["input_ids"])
        if ids["A"] not in encoded:
            raise UserError("the tokenizer has no token of its own for a residue")
        at = encoded.index(ids["A"])
        pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
        suffix = tuple(encoded[at + 1 :])
        ends = suffix[:1] if suffix else () if end is None else (end,)
        return cls(ids, tuple(encoded[:at]), suffix, pad or 0, ends)

    @classmethod
    def of_tokens(cls, tokens: Sequence[str]) -> "Alphabet":
        """From the tokens in the order of their ids: start token, residues, end token."""
        vocabulary = {token: index for index, token in enumerate(tokens)}

        def find(names: Sequence[str]) -> int | None:
            return next((vocabulary[name] for name in names if name in vocabulary), None)

        start, end, pad = find(STARTS), find(ENDS), find(PADS)
        ids = letter_ids(vocabulary, find(UNKNOWN), find(MASKS))
        prefix, suffix = (() if token is None else (token,) for token in (start, end))
        return cls(ids, prefix, suffix, pad or 0, ends=suffix)

    @property
    def special(self) -> int:
        """Number of special tokens."""
        return len(self.prefix) + len(self.suffix)

    def reading_as_x(self, letters: str) -> "Alphabet":
        """A copy that reads these letters as X."""
        if not set(letters) <= set(self.ids) - {MASK}:
            raise UserError(f"read_as_x={letters} is not allowed; give letters of residues")
        return replace(self, ids={**self.ids, **{letter: self.ids["X"] for letter in letters}})

    def encode(self, chain: str) -> list[int]:
        """Token ids of a chain."""
        try:
            return [*self.prefix, *(self.ids[residue] for residue in chain), *self.suffix]
        except KeyError as letter:
            raise UserError(f"the tokenizer has no token for the residue {letter}") from None


def numbered(letters: str, start: int) -> dict[str, int]:
    """Ids of letters from `start` on; J (leucine or isoleucine) has no token and is read as X."""
    ids = {letter: index for index, letter in enumerate(letters, start)}
    return {**ids, "J": ids["X"]}


def letter_ids(
    vocabulary: Mapping[str, int], unknown: int | None, mask: int | None
) -> dict[str, int]:
    """Ids of the residues, of other letters that have a token, and of the mask."""
    ids = {
        letter: vocabulary[token]
        for letter in RESIDUES + AMBIGUOUS + CHAIN_BREAK
        for token in (letter, f"▁{letter}")
        if token in vocabulary
    }
    if missing := set(RESIDUES) - set(ids):
        raise UserError(
            f"the tokenizer has no token for {', '.join(sorted(missing))}; "
            "a protein model has one for each of the 20 residues"
        )
    other = ids.get("X", unknown)
    ids |= {letter: other for letter in AMBIGUOUS if letter not in ids and other is not None}
    return ids if mask is None else {**ids, MASK: mask}
