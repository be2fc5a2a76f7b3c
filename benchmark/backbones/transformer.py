"""Backbones on a `transformers` module: token ids, batches, layers, pooling, heads."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.device import inference
from benchmark.backbones.flops import Batch, FlopCounter
from benchmark.backbones.packing import attention, packed
from benchmark.backbones.sampling import sample
from benchmark.core import MASK, RESIDUE_INDEX, RESIDUES, Ability, Backbone, UserError
from benchmark.data.tables import CHAIN_BREAK
from benchmark.embedding.rounding import ROUNDING, distance

Float32 = NDArray[np.float32]
Pooling = Literal["mean", "start", "last"]
Objective = Literal["masked", "causal"]


class Transformer(Backbone):
    """A module that maps (B, T) token ids to hidden states, with the alphabet of its tokens.

    layer: index into the hidden states; 0: output of the embedding layer; -1: the last, after the
        final normalisation.
    pooling: a protein is the mean over its residues, or the start token's or the last token's row.
    language_model: the module with its head, which maps ids to logits over the vocabulary, and its
        training objective. Without it there are no log-probabilities.
    contact_head: whether the checkpoint has the weights of the module's `contact_head`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        alphabet: Alphabet,
        *,
        layer: int,
        pooling: Pooling,
        batch_tokens: int,
        max_length: int | None = None,
        language_model: torch.nn.Module | None = None,
        objective: Objective | None = None,
        contact_head: bool = False,
    ) -> None:
        config: Any = module.config
        self.module: Any = module.eval()
        module._load_state_dict_pre_hooks.clear()  # in ESM a bound method: a reference cycle
        self.alphabet = alphabet
        self.layer = layer
        self.pooling = pooling
        self.batch_tokens = batch_tokens
        self.max_length = max_length
        parameter = next(module.parameters())
        # of the inputs; a module that is spread or offloaded moves them on from there
        self.device = next(p.device for p in module.parameters() if p.device.type != "meta")
        self.dtype = str(parameter.dtype).removeprefix("torch.")
        self.layers = int(config.num_hidden_layers)
        self.residue_dim = self.protein_dim = int(config.hidden_size)
        self.flop_counter = FlopCounter(self.layers, attention_width(config))
        if not -self.layers - 1 <= layer <= self.layers:
            raise UserError(f"layer={layer} is not allowed; allowed are 0 to {self.layers}, and -1")
        if pooling not in ("mean", "start", "last"):
            raise UserError(f"pooling={pooling} is not known; allowed are mean, start, last")
        if pooling == "start" and not alphabet.prefix:
            raise UserError(
                "pooling=start needs a start token and the model has none; use mean or last"
            )
        if pooling == "start" and objective == "causal":
            raise UserError(
                "pooling=start is the same for every chain, because a causal model's start token "
                "sees no residue; use mean or last"
            )
        if CHAIN_BREAK in alphabet.ids:  # ESM C and ESM3 were trained on complexes
            self.linker = CHAIN_BREAK
        self.objective = objective if language_model is not None else None
        self.language_model: Any = None if language_model is None else language_model.eval()
        self.has_contact_head = contact_head
        self.first_position = first_position(position_table(module))
        self.packing = self._packs()

    @property
    def abilities(self) -> frozenset[Ability]:
        """Embeddings and attention maps; the rest as the checkpoint has the weights."""
        found: set[Ability] = {"residue_embeddings", "protein_embeddings", "attention_maps"}
        if self.objective == "masked" and MASK in self.alphabet.ids:
            found.add("masked_log_probs")
        if self.objective == "causal" and self.alphabet.prefix:
            found |= {"causal_log_probs", "sampling"}
        if self.has_contact_head:
            found.add("contact_head")
        return frozenset(found)

    def blocks(self) -> dict[str, torch.nn.Module]:
        """The blocks up to the embedding layer, by their names in the module."""
        for name, part in self.module.named_modules():
            if isinstance(part, torch.nn.ModuleList) and len(part) == self.layers:
                used = self.layer % (self.layers + 1)
                return {f"{name}.{at}": part[at] for at in range(used)}
        return {}

    def _packs(self) -> bool:
        """Whether packed batches are possible, and equal to single chains."""
        takes = inspect.signature(self.module.forward).parameters
        if "position_ids" not in takes or not self.module._supports_attention_backend:
            return False
        probe = [RESIDUES, RESIDUES[::-2]]
        self.packing = False
        alone = [row for chain in probe for row in self.embed_residues([chain])]
        self.packing = True
        try:
            together = self.embed_residues(probe)
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False  # positions of another form; padding works everywhere
        return distance(together, alone) <= ROUNDING[self.dtype]

    def ids(self, chains: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of one right-padded batch, (B, T) each."""
        rows = [torch.tensor(self.alphabet.encode(chain)) for chain in chains]
        ids = pad_sequence(rows, batch_first=True, padding_value=self.alphabet.pad)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        return ids.to(self.device), mask.to(self.device)

    def states(self, chains: Sequence[str]) -> list[torch.Tensor]:
        """Hidden states of one batch: (tokens, dim) for each chain, including special tokens."""
        rows = [self.alphabet.encode(chain) for chain in chains]
        lengths = [len(row) for row in rows]
        last = self.layer in (-1, self.layers)
        given = {"output_hidden_states": not last}
        if self.packing:
            ids = torch.tensor([[token for row in rows for token in row]], device=self.device)
            counted = self.flop_counter.passing(self.module, "states", Batch.packed(lengths))
            with packed(self.module, lengths, self.first_position) as positions, counted:
                output = self.module(input_ids=ids, position_ids=positions, **given)
        else:
            ids, mask = self.ids(chains)
            with self.counting(self.module, "states", chains):
                output = self.module(input_ids=ids, attention_mask=mask, **given)
        states = output.last_hidden_state if last else output.hidden_states[self.layer]
        if self.packing:
            return list(states[0].split(lengths))
        return [row[:length] for row, length in zip(states, lengths, strict=True)]

    def counting(
        self, module: torch.nn.Module, kind: str | None, chains: Sequence[str]
    ) -> AbstractContextManager[None]:
        """Count the pass of one padded batch through the module."""
        lengths = [len(chain) + self.alphabet.special for chain in chains]
        return self.flop_counter.passing(module, kind, Batch.padded(lengths))

    def logits(self, chains: Sequence[str]) -> torch.Tensor:
        """The language model's logits of one right-padded batch, (B, T, vocabulary)."""
        ids, mask = self.ids(chains)
        with self.counting(self.language_model, "logits", chains):
            logits: torch.Tensor = self.language_model(input_ids=ids, attention_mask=mask).logits
        return logits

    def residues(self, chains: Sequence[str]) -> torch.Tensor:
        """Residues of one batch, concatenated: (sum of L, dim), without special tokens."""
        start, states = len(self.alphabet.prefix), self.states(chains)
        rows = [row[start : start + len(c)] for row, c in zip(states, chains, strict=True)]
        return torch.cat(rows)

    def pool(self, chains: Sequence[str]) -> torch.Tensor:
        """Proteins of one batch by the chosen pooling: (n, dim), float32."""
        states = [row.float() for row in self.states(chains)]
        if self.pooling in ("start", "last"):
            return torch.stack([row[0 if self.pooling == "start" else -1] for row in states])
        start, pairs = len(self.alphabet.prefix), zip(states, chains, strict=True)
        return torch.stack([row[start : start + len(c)].mean(dim=0) for row, c in pairs])

    def embed_residues(self, chains: Sequence[str]) -> list[Float32]:
        """(L, dim) for each chain."""
        with inference():  # one transfer, in the model's dtype
            table = self.residues(chains).cpu().float().numpy()
        return np.split(table, np.cumsum([len(chain) for chain in chains])[:-1])

    def embed_proteins(self, chains: Sequence[str]) -> Float32:
        """(n, dim) by the chosen pooling."""
        with inference():
            result: Float32 = self.pool(chains).cpu().numpy()
        return result

    def attentions(self, chains: Sequence[str]) -> list[Float32]:
        """(layers x heads, L, L) for each chain."""
        ids, mask = self.ids(chains)
        with (
            inference(),
            attention(self.module, "eager"),
            self.counting(self.module, "states", chains),
        ):
            maps = self.module(input_ids=ids, attention_mask=mask, output_attentions=True)
        table = torch.stack([m.float().cpu() for m in maps.attentions], dim=1).flatten(1, 2)
        start = len(self.alphabet.prefix)
        parts = [slice(start, start + len(chain)) for chain in chains]
        return [row[:, part, part].numpy() for row, part in zip(table, parts, strict=True)]

    def _residue_log_probs(
        self, chains: Sequence[str], ability: Ability, shift: int
    ) -> list[Float32]:
        self.require(ability, "this call")
        columns = [self.alphabet.ids[residue] for residue in RESIDUES]
        with inference():
            table = self.logits(chains)[..., columns].float().log_softmax(-1).cpu().numpy()
        start = len(self.alphabet.prefix) - shift
        return [row[start : start + len(chain)] for row, chain in zip(table, chains, strict=True)]

    def masked_log_probs(self, chains: Sequence[str]) -> list[Float32]:
        """(L, 20) for each chain."""
        return self._residue_log_probs(chains, "masked_log_probs", 0)

    def causal_log_probs(self, chains: Sequence[str]) -> list[Float32]:
        """(L, 20) for each chain."""
        return self._residue_log_probs(chains, "causal_log_probs", 1)

    def log_likelihoods(self, chains: Sequence[str]) -> NDArray[np.float64]:
        """Mean over the 20 residues of each chain, (n,)."""
        means = []
        for chain, table in zip(chains, self.causal_log_probs(chains), strict=True):
            known = [(row, RESIDUE_INDEX[c]) for row, c in enumerate(chain) if c in RESIDUES]
            means.append(np.mean([table[at] for at in known], dtype=np.float64))
        return np.array(means)

    def sample(self, prompts: Sequence[str], **settings: Any) -> list[str]:
        """Nucleus sampling (`benchmark.backbones.sampling`)."""
        self.require("sampling", "this call")
        return sample(self, prompts, **settings)

    def contacts(self, chains: Sequence[str]) -> list[Float32]:
        """(L, L) for each chain."""
        self.require("contact_head", "this call")
        ids, mask = self.ids(chains)
        with inference(), attention(self.module, "eager"), self.counting(self.module, None, chains):
            table = self.module.predict_contacts(ids, mask).float().cpu().numpy()
        return [row[: len(chain), : len(chain)] for row, chain in zip(table, chains, strict=True)]

    def usage(self) -> Mapping[str, int]:
        """Totals of `benchmark.backbones.flops`."""
        return dict(self.flop_counter.usage)

    def facts(self) -> Mapping[str, Any]:
        """Size and shape."""
        gpu = self.device.type == "cuda"
        return {
            "parameters": sum(p.numel() for p in self.module.parameters()),
            "layers": self.layers,
            "dim": self.residue_dim,
            "packing": self.packing,
            "device": self.device.type,
            **({"gpu": torch.cuda.get_device_name(self.device)} if gpu else {}),
        }


def attention_width(config: Any) -> int:
    """Heads x width of a head; in most architectures the width of the model."""
    width = getattr(config, "head_dim", None)
    return int(config.num_attention_heads * width if width else config.hidden_size)


def position_table(module: Any) -> Any:
    """The module's table of learned positions; None if they are rotary or relative."""
    names = ("position_embeddings", "embed_positions", "wpe")
    for name, part in module.named_modules():
        if name.endswith(names) and isinstance(part, torch.nn.Embedding):
            return part
    return None


def first_position(table: Any) -> int:
    """Index of the first position: RoBERTa and its relatives begin after the padding index."""
    return 0 if table is None or table.padding_idx is None else int(table.padding_idx) + 1
