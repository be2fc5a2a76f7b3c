"""Backbones on a `transformers` module: token ids, batches, layers, pooling, heads."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.device import inference, to_device, to_host, token_budget
from benchmark.backbones.flops import Batch, FlopCounter, attention_width
from benchmark.backbones.layers import blocks, first_position, input_of, position_table
from benchmark.backbones.packing import attention, packed
from benchmark.backbones.sampling import sample
from benchmark.backbones.trials import choose_passes, compile_blocks, gives_maps
from benchmark.core import (
    MASK,
    RESIDUES,
    Ability,
    Backbone,
    Float32,
    Level,
    Sampled,
    Sampling,
    UserError,
    lacks,
)
from benchmark.data.cell_values import CHAIN_BREAK

Pooling = Literal["mean", "start", "last"]
Objective = Literal["masked", "causal"]
COMPILE = ("auto", True, False)
COMPILE_FLOPS = 5e15
"""Work after which `compile=auto` compiles on a GPU: as long as compiling takes, about 20 s."""


class Transformer(Backbone):
    """A module that maps (B, T) token ids to hidden states, with the alphabet of its tokens.

    layer: index into the hidden states; 0: output of the embedding layer; -1: the last, after the
        final normalisation.
    pooling: a protein is the mean over its residues, or the start token's or the last token's row.
    language_model: the module with its head, which maps ids to logits over the vocabulary, and its
        training objective. Without it there are no log-probabilities.
    contact_head: whether the checkpoint has the weights of the module's `contact_head`.
    batch_tokens: "auto" or a number (`device.token_budget`).
    compile: whether embeddings are computed by `torch.compile`; auto: in long runs on a GPU.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        alphabet: Alphabet,
        *,
        layer: int,
        pooling: Pooling,
        batch_tokens: int | str,
        compile: bool | str = False,
        max_length: int | None = None,
        language_model: torch.nn.Module | None = None,
        objective: Objective | None = None,
        contact_head: bool = False,
    ) -> None:
        config: Any = module.config
        self.module: Any = module.eval()
        module._load_state_dict_pre_hooks.clear()  # in ESM a bound method: a reference cycle
        self.alphabet = alphabet
        self.limits = alphabet.limits
        self.layers = int(config.num_hidden_layers)
        self.layer = layer
        self.last = layer in (-1, self.layers)
        self.pooling = pooling
        self.objective = objective if language_model is not None else None
        self.compile, self.compiled = compile, False
        self._refuse_settings(objective)
        self.max_length = max_length
        # of the inputs; a module that is spread or offloaded moves them on from there
        parameter = next(p for p in module.parameters() if p.device.type != "meta")
        self.device = parameter.device
        self.dtype = str(parameter.dtype).removeprefix("torch.")
        self.residue_dim = self.protein_dim = int(config.hidden_size)
        self.batch_tokens = token_budget(batch_tokens, self.residue_dim, parameter)
        if CHAIN_BREAK in alphabet.ids:  # ESM C and ESM3 were trained on complexes
            self.linker = CHAIN_BREAK
        self.language_model: Any = None if language_model is None else language_model.eval()
        self.has_contact_head = contact_head
        self.first_position = first_position(position_table(module))
        self.packing = False
        self.end: torch.nn.Module | None = None
        """The block above the layer that is read, if passes end before it."""
        self.has_attention = gives_maps(self)
        width = attention_width(config) if self.has_attention else 0
        self.flop_counter = FlopCounter(self.layers, width)
        if not alphabet.merges:
            self.compile = False  # not for the trials
            choose_passes(self)
            self.compile = compile
            self.flop_counter = FlopCounter(self.layers, width)

    def _refuse_settings(self, objective: Objective | None) -> None:
        if self.compile not in COMPILE:
            raise UserError(f"compile={self.compile} is not known; allowed are auto, true, false")
        if not -self.layers - 1 <= self.layer <= self.layers:
            raise UserError(
                f"layer={self.layer} is not allowed; allowed are 0 to {self.layers}, and -1"
            )
        if self.pooling not in ("mean", "start", "last"):
            raise UserError(f"pooling={self.pooling} is not known; allowed are mean, start, last")
        if self.pooling == "start" and not self.alphabet.prefix:
            raise UserError(
                "pooling=start needs a start token and the model has none; use mean or last"
            )
        if self.pooling == "start" and objective == "causal":
            raise UserError(
                "pooling=start is the same for every chain, because a causal model's start token "
                "sees no residue; use mean or last"
            )

    @property
    def abilities(self) -> frozenset[Ability]:
        """Embeddings; attention maps if the module has any; the rest as it has the weights."""
        if self.alphabet.merges:
            return frozenset({"protein_embeddings"})
        found: set[Ability] = {"residue_embeddings", "protein_embeddings"}
        if self.has_attention:
            found.add("attention_maps")
        if self.objective == "masked" and MASK in self.alphabet.ids:
            found.add("masked_log_probs")
        if self.objective == "causal" and self.alphabet.prefix:
            found |= {"causal_log_probs", "sampling"}
        if self.has_contact_head:
            found.add("contact_head")
        return frozenset(found)

    def blocks(self) -> dict[str, torch.nn.Module]:
        """The blocks up to the embedding layer, by their names in the module."""
        found = blocks(self.module, self.layers)
        return dict(list(found.items())[: self.layer % (self.layers + 1)])

    def _compiles_now(self) -> bool:
        """Whether it is time to compile."""
        done = self.flop_counter.usage["forward_flops"]
        long = self.compile == "auto" and self.device.type == "cuda" and done >= COMPILE_FLOPS
        wanted = (self.compile is True or long) and not self.alphabet.merges
        return wanted and not torch.is_grad_enabled()

    def ids(self, chains: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of one right-padded batch, (B, T) each."""
        rows = [torch.tensor(self.alphabet.encode(chain)) for chain in chains]
        ids = pad_sequence(rows, batch_first=True, padding_value=self.alphabet.pad)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        return to_device(ids, self.device), to_device(mask, self.device)

    def states(self, chains: Sequence[str]) -> list[torch.Tensor]:
        """Hidden states of one batch: (tokens, dim) for each chain, including special tokens."""
        if self._compiles_now():
            self.compiled = compile_blocks(self)
        rows = [self.alphabet.encode(chain) for chain in chains]
        lengths = [len(row) for row in rows]
        if self.packing:
            packed_ids = [[token for row in rows for token in row]]
            ids = to_device(packed_ids, self.device)
            counted = self.flop_counter.passing(self.module, "states", Batch.packed(lengths))
            with packed(self.module, lengths, self.first_position) as positions, counted:
                states = self._layer(input_ids=ids, position_ids=positions)
            return list(torch.split(states[0], lengths))
        ids, mask = self.ids(chains)
        with self.counting(self.module, "states", chains):
            states = self._layer(input_ids=ids, attention_mask=mask)
        return [row[:length] for row, length in zip(states, lengths, strict=True)]

    def _layer(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Hidden states of the layer that is read, (B, T, dim); no block above it is computed."""
        if self.end is not None:
            return input_of(self.end, lambda: self.module(**inputs))
        output = self.module(**inputs, output_hidden_states=not self.last)
        states: torch.Tensor = (
            output.last_hidden_state if self.last else output.hidden_states[self.layer]
        )
        return states

    def counting(
        self, module: torch.nn.Module, kind: str | None, chains: Sequence[str]
    ) -> AbstractContextManager[None]:
        """Count the pass of one padded batch through the module."""
        lengths = [self.alphabet.count(chain) for chain in chains]
        return self.flop_counter.passing(module, kind, Batch.padded(lengths))

    def logits(self, chains: Sequence[str]) -> torch.Tensor:
        """The language model's logits of one right-padded batch, (B, T, vocabulary)."""
        ids, mask = self.ids(chains)
        with self.counting(self.language_model, "logits", chains):
            logits: torch.Tensor = self.language_model(input_ids=ids, attention_mask=mask).logits
        return logits

    def residues(self, chains: Sequence[str]) -> torch.Tensor:
        """Residues of one batch, concatenated: (sum of L, dim), without special tokens."""
        if self.alphabet.merges:
            raise lacks(self, "residue_embeddings")
        start, states = len(self.alphabet.prefix), self.states(chains)
        rows = [row[start : start + len(c)] for row, c in zip(states, chains, strict=True)]
        return torch.cat(rows)

    def pool(self, chains: Sequence[str]) -> torch.Tensor:
        """Proteins of one batch by the chosen pooling: (n, dim), float32."""
        states = [row.float() for row in self.states(chains)]
        if self.pooling in ("start", "last"):
            return torch.stack([row[0 if self.pooling == "start" else -1] for row in states])
        start, end = len(self.alphabet.prefix), len(self.alphabet.suffix)
        return torch.stack([row[start : len(row) - end].mean(dim=0) for row in states])

    def start(self, level: Level, chains: Sequence[str]) -> Callable[[], Sequence[Float32]]:
        """Start to embed one batch; on a GPU the copy to the host goes on meanwhile."""
        name = f"embed_{level}s"
        if getattr(getattr(self, name), "__func__", None) is not getattr(Transformer, name):
            return super().start(level, chains)  # a subclass has its own
        return self._start(level, chains)

    def _start(self, level: Level, chains: Sequence[str]) -> Callable[[], Any]:
        with inference():  # one transfer, in the model's dtype
            wait = to_host(self.residues(chains) if level == "residue" else self.pool(chains))
        if level == "protein":
            return wait
        ends = np.cumsum([len(chain) for chain in chains])[:-1]
        return lambda: np.split(wait(), ends)

    def embed_residues(self, chains: Sequence[str]) -> list[Float32]:
        """(L, dim) for each chain."""
        rows: list[Float32] = self._start("residue", chains)()
        return rows

    def embed_proteins(self, chains: Sequence[str]) -> Float32:
        """(n, dim) by the chosen pooling."""
        table: Float32 = self._start("protein", chains)()
        return table

    def attentions(self, chains: Sequence[str]) -> list[Float32]:
        """(layers x heads, L, L) for each chain."""
        ids, mask = self.ids(chains)
        with (
            inference(),
            attention(self.module, "eager"),
            self.counting(self.module, "attentions", chains),
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

    def sample(
        self, prompts: Sequence[str], settings: Sampling, seeds: Sequence[int]
    ) -> list[Sampled]:
        """By `benchmark.backbones.sampling`."""
        self.require("sampling", "this call")
        return sample(self, prompts, settings, seeds)

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
            "compiled": self.compiled,
            "device": self.device.type,
            **({"gpu": torch.cuda.get_device_name(self.device)} if gpu else {}),
        }
