"""Token ids of chains, from a tokenizer or a list of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, ClassVar

from benchmark.core import MASK, RESIDUES, UserError
from benchmark.data.cell_values import AMBIGUOUS, CHAIN_BREAK

ESM_TOKENS = "LAGVSERTIDPKQNFYMHWCXBUZO"
"""Residues in the order of the vocabularies of ESM and ProteinGLM."""
STARTS = ("<s>", "<cls>", "[CLS]")
ENDS = ("</s>", "<eos>", "[SEP]")
PADS = ("<pad>", "[PAD]")
MASKS = ("<mask>", "[MASK]")
UNKNOWN = ("<unk>", "[UNK]")
STATES = "pynwrqhgdlvtmfsaeikc#"
"""Foldseek's structural states, and "unknown": SaProt's tokens are a residue and one of these."""
PAIRS = "".join(a + b for a, b in product(RESIDUES, RESIDUES))
"""A chain with every pair of residues."""


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
    merges: ClassVar[bool] = False
    """Whether a token may stand for several residues."""

    @property
    def limits(self) -> str:
        """Why it does not serve residues, if it does not."""
        return ""

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> "Alphabet":
        """From a tokenizer of transformers; "▁A" is SentencePiece's token of A.

        Whole chains get the ids that the tokenizer gives, with or without spaces between residues.
        """
        vocabulary = tokenizer.get_vocab()
        if merged := merged_tokens(vocabulary, tokenizer):
            return OwnTokens.of_merging(tokenizer, merged)
        ids = letter_ids(vocabulary, tokenizer.unk_token_id, tokenizer.mask_token_id)
        encoded = list(tokenizer("A")["input_ids"])
        if ids["A"] not in encoded:
            raise UserError("the tokenizer has no token of its own for a residue")
        at = encoded.index(ids["A"])
        pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
        suffix = tuple(encoded[at + 1 :])
        ends = suffix[:1] if suffix else () if end is None else (end,)
        alphabet = cls(ids, tuple(encoded[:at]), suffix, pad or 0, ends)
        for text in (PAIRS, " ".join(PAIRS), list(PAIRS)):
            given = tokenizer(text, is_split_into_words=isinstance(text, list))["input_ids"]
            if list(given) == alphabet.encode(PAIRS):
                return alphabet
        raise UserError(
            "the tokenizer gives whole chains other tokens than their residues have, with and "
            "without spaces between them; give a checkpoint whose tokenizer has a token a residue"
        )

    @classmethod
    def of_tokens(cls, tokens: Sequence[str]) -> "Alphabet":
        """From the tokens in the order of their ids: start token, residues, end token."""
        vocabulary = {token: index for index, token in enumerate(tokens)}
        if merged := several_residues(vocabulary):
            raise UserError(
                f"the vocabulary has tokens of several residues ({', '.join(merged[:3])}) and no "
                "tokenizer.json says how chains are read; copy it from the model's source"
            )

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

    def after(self, prefix: str, vocabulary: Mapping[str, int]) -> "Alphabet":
        """A copy that puts these tokens, separated by spaces, before the residues."""
        tokens = prefix.split()
        if missing := [token for token in tokens if token not in vocabulary]:
            special = sorted(t for t in vocabulary if t.startswith(("<", "[")))
            raise UserError(
                f"model.prefix={prefix} is not allowed: the tokenizer has no token {missing[0]}; "
                f"it has {', '.join(special[:20]) or 'no special tokens'}"
            )
        return replace(self, prefix=(*self.prefix, *(vocabulary[token] for token in tokens)))

    def count(self, chain: str) -> int:
        """Number of tokens of a chain."""
        return len(chain) + self.special

    def encode(self, chain: str) -> list[int]:
        """Token ids of a chain."""
        try:
            return [*self.prefix, *(self.ids[residue] for residue in chain), *self.suffix]
        except KeyError as letter:
            raise UserError(f"the tokenizer has no token for the residue {letter}") from None


@dataclass(frozen=True)
class OwnTokens(Alphabet):
    """The tokens of a tokenizer that merges residues: for one vector a protein, as it reads it.

    merged: some of the tokens of several residues.
    """

    merged: tuple[str, ...] = ()
    tokenizer: Any = field(default=None, repr=False, compare=False)
    merges: ClassVar[bool] = True

    @classmethod
    def of_merging(cls, tokenizer: Any, merged: Sequence[str]) -> "OwnTokens":
        """With the special tokens that the tokenizer puts around a chain."""
        encoded = list(tokenizer("A")["input_ids"])
        body = list(tokenizer("A", add_special_tokens=False)["input_ids"])
        at = next(i for i in range(len(encoded)) if encoded[i : i + len(body)] == body)
        start, end, pad = encoded[:at], encoded[at + len(body) :], tokenizer.pad_token_id or 0
        return cls({}, tuple(start), tuple(end), pad, (), tuple(merged[:3]), tokenizer)

    @property
    def limits(self) -> str:
        """What it serves."""
        tokens = ", ".join(self.merged)
        return (
            f"the tokenizer merges residues into tokens such as {tokens}, so the model gives one "
            "vector a protein, by these tokens, and no vectors or scores of residues"
        )

    def count(self, chain: str) -> int:
        """Number of tokens of a chain."""
        return len(self.encode(chain))

    def encode(self, chain: str) -> list[int]:
        """Token ids of a chain."""
        body = self.tokenizer(chain, add_special_tokens=False)["input_ids"]
        if self.tokenizer.unk_token_id in body and set(chain) <= set(RESIDUES):
            raise UserError(
                f"the tokenizer gives a chain of {len(chain)} residues the unknown token; "
                "give shorter chains with task.max_length, or another model"
            )
        return [*self.prefix, *body, *self.suffix]


def several_residues(vocabulary: Mapping[str, int]) -> list[str]:
    """Tokens that stand for several residues."""
    letters = set(RESIDUES)
    bare = {token: token.removeprefix("##").strip("▁Ġ") for token in vocabulary}
    return sorted(token for token, text in bare.items() if len(text) > 1 and set(text) <= letters)


def merged_tokens(vocabulary: Mapping[str, int], tokenizer: Any) -> list[str]:
    """Tokens of several residues that the tokenizer gives to chains of these residues."""
    several = several_residues(vocabulary)
    words = [token.strip("▁Ġ#") for token in several[:200]]
    parts = [PAIRS[i : i + 80] for i in range(0, len(PAIRS), 80)]  # some read 100 letters at most
    chains = [*parts, *words, *(f"A{word}" for word in words)]
    given = {token for chain in chains for token in tokenizer(chain)["input_ids"]}
    return [token for token in several if vocabulary[token] in given]


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
        if {r + s for r in RESIDUES for s in STATES} <= vocabulary.keys():
            raise UserError(
                "the tokens are pairs of a residue and a structural state (Ap, A#, ...), as in "
                "SaProt, which reads structures, too; give a model that reads sequences alone"
            )
        raise UserError(
            f"the tokenizer has no token for {', '.join(sorted(missing))}; "
            "a protein model has one for each of the 20 residues"
        )
    other = ids.get("X", unknown)
    ids |= {letter: other for letter in AMBIGUOUS if letter not in ids and other is not None}
    return ids if mask is None else {**ids, MASK: mask}
