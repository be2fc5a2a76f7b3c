"""Is a backbone what it says? Its promises, tried on real proteins that ship with the package.

python -m benchmark check model=esm2_8m
python -m benchmark check model=huggingface model.path=checkpoints/step-1000 dtype=bfloat16
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmark.backbones.transformer import Transformer
from benchmark.core import (
    MASK,
    RESIDUES,
    Array,
    Attentions,
    Backbone,
    CausalLogProbs,
    ContactHead,
    MaskedLogProbs,
    ProteinEmbeddings,
    ResidueEmbeddings,
    Sampling,
)
from benchmark.embedding.rounding import ROUNDING, distance
from benchmark.pocket import FOLDER

CHAINS, LONGEST = 12, 160
"""Number of real chains that are tried, and residues that are taken of each."""
UNKNOWN = "MBJOUXZK"
ALIGNED = 0.75
"""Share of chains in which the changed residue's own row must move most: attention may move another
more now and then, a shift by one moves another always."""
DRIFT = 0.05
"""Mean relative distance that lower precision may move a residue's vector by."""


class Finding(NamedTuple):
    """One promise, what was found, and what is allowed."""

    promise: str
    found: str
    allowed: str
    kept: bool


def real_chains(longest: int | None) -> list[str]:
    """The first embedded chains, cut to different lengths that the backbone reads."""
    import pyarrow.parquet as pq

    table = pq.read_table(FOLDER / "structure.parquet", columns=["seq"])
    chains = table["seq"].slice(0, CHAINS).to_pylist()
    cut = np.linspace(20, min(LONGEST, longest or LONGEST), CHAINS).astype(int)
    return [chain[:length] for chain, length in zip(chains, cut, strict=True)]


def findings(backbone: Backbone, make: Callable[[str], Backbone]) -> Iterator[Finding]:
    """Try every promise that the backbone makes; `make` opens it again in another dtype."""
    chains = real_chains(backbone.max_length)
    again = make(backbone.dtype)
    same = again.digest == backbone.digest
    yield Finding("opened twice, one digest", backbone.digest, again.digest, same)
    for embed in embedders(backbone):
        yield from embeddings(embed, backbone, chains)
    if isinstance(backbone, ResidueEmbeddings):
        yield from alignment(backbone, chains)
    if isinstance(backbone, Transformer):
        yield from layers(backbone, chains)
        yield gradients(backbone, chains[:2])
        yield from drift(make, chains)
    if isinstance(backbone, MaskedLogProbs):
        yield from masked(backbone, chains)
    if isinstance(backbone, CausalLogProbs):
        yield from causal(backbone, chains)
    if isinstance(backbone, Sampling):
        yield sampling(backbone)
    if isinstance(backbone, Attentions):
        yield from maps(backbone, chains)
    if isinstance(backbone, ContactHead):
        yield from contacts(backbone, chains)


class Embedder(NamedTuple):
    """A way of asking for vectors, as a list with one array a chain."""

    name: str
    ask: Callable[[Sequence[str]], Sequence[Array]]


def embedders(backbone: Backbone) -> Iterator[Embedder]:
    """What a backbone offers."""
    if isinstance(backbone, ResidueEmbeddings):
        yield Embedder("residues", backbone.embed_residues)
    if isinstance(backbone, ProteinEmbeddings):
        proteins = backbone.embed_proteins
        yield Embedder("proteins", lambda chains: list(proteins(chains)))


def embeddings(embed: Embedder, backbone: Any, chains: Sequence[str]) -> Iterator[Finding]:
    """Shapes, and the same vectors alone, in batches and in another order."""
    rows = embed.ask(chains)
    dim = backbone.residue_dim if embed.name == "residues" else backbone.protein_dim
    shapes = [(len(c), dim) if embed.name == "residues" else (dim,) for c in chains]
    right = sum(row.shape == shape for row, shape in zip(rows, shapes, strict=True))
    right = right if {row.dtype for row in rows} == {np.dtype("float32")} else 0
    yield count(f"{embed.name}: shape, float32", right, len(chains))
    yield close(
        f"{embed.name}: alone and in a batch", rows, [embed.ask([c])[0] for c in chains], backbone
    )
    yield close(f"{embed.name}: order of the batch", rows, embed.ask(chains[::-1])[::-1], backbone)
    strange = embed.ask([UNKNOWN, chains[0]])
    yield count(
        f"{embed.name}: unknown letters are finite",
        sum(bool(np.isfinite(r).all()) for r in strange),
        2,
    )
    if embed.name == "proteins" and getattr(backbone, "pooling", "") == "mean":
        means = [row.mean(axis=0) for row in backbone.embed_residues(chains)]
        yield close("proteins: mean of residues, no special token", rows, means, backbone)


def alignment(backbone: ResidueEmbeddings, chains: Sequence[str]) -> Iterator[Finding]:
    """When residue i changes, no row changes more than row i."""
    hits = []
    for chain in chains:
        at = len(chain) // 2
        other = chain[:at] + ("W" if chain[at] != "W" else "A") + chain[at + 1 :]
        before, after = backbone.embed_residues([chain, other])
        moved = np.linalg.norm(before - after, axis=1)
        hits.append(bool(moved[at] >= moved.max() * 0.999))
    least = int(ALIGNED * len(hits))
    kept = sum(hits) >= least
    yield Finding("residues: row i moves with residue i", str(sum(hits)), f">= {least}", kept)


def layers(backbone: Transformer, chains: Sequence[str]) -> Iterator[Finding]:
    """As many states as layers and one, and the last state is what the model puts out."""
    import torch

    ids, mask = backbone.ids(chains[:1])
    with torch.inference_mode():
        output = backbone.module(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    states = output.hidden_states
    yield count("layers: hidden states", len(states), backbone.layers + 1)
    last = [states[-1].float().cpu().numpy()]
    yield close(
        "layers: the last is the last",
        last,
        [output.last_hidden_state.float().cpu().numpy()],
        backbone,
    )


def gradients(backbone: Transformer, chains: Sequence[str]) -> Finding:
    """A loss on the states that are embedded reaches the weights of every layer up to them."""
    import torch

    module = backbone.module
    asked = {name: p.requires_grad for name, p in module.named_parameters()}
    with torch.enable_grad():
        module.requires_grad_(True)
        states = torch.cat(backbone.states(chains)).float()
        states.square().mean().backward()  # type: ignore[no-untyped-call]
    blocks: dict[str, float] = {}
    for name, parameter in module.named_parameters():
        numbers = [part for part in name.split(".") if part.isdigit()]
        if numbers and parameter.grad is not None:
            blocks[numbers[0]] = blocks.get(numbers[0], 0.0) + float(parameter.grad.abs().sum())
        parameter.grad = None
        parameter.requires_grad_(asked[name])
    reached = sum(0 < total < float("inf") for total in blocks.values())
    expected = backbone.layer % (backbone.layers + 1)
    return count("gradients: layers that they reach", reached, expected)


def drift(make: Callable[[str], Backbone], chains: Sequence[str]) -> Iterator[Finding]:
    """How far bfloat16 moves the vectors of residues from float32."""
    exact, low = make("float32"), make("bfloat16")
    assert isinstance(exact, Transformer) and isinstance(low, Transformer)
    a, b = (np.concatenate(x.embed_residues(chains)) for x in (exact, low))
    moved = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
    found = f"mean {moved.mean():.4f}, max {moved.max():.4f}"
    yield Finding(
        "bfloat16: relative distance", found, f"mean <= {DRIFT}", bool(moved.mean() <= DRIFT)
    )


def is_table(backbone: Backbone) -> bool:
    """Whether it has no states: a table of frequencies may look at nothing beside a residue."""
    return not isinstance(backbone, ResidueEmbeddings)


def masked(backbone: Any, chains: Sequence[str]) -> Iterator[Finding]:
    """Probabilities sum to 1, whatever the batch, and depend on the hidden letter's absence."""
    hidden = [c[:5] + MASK + c[6:] for c in chains]
    rows = backbone.masked_log_probs(hidden)
    yield sums("masked log-probabilities", rows, chains)
    alone = [backbone.masked_log_probs([c])[0] for c in hidden]
    yield close("masked log-probabilities: alone and in a batch", rows, alone, backbone)
    if is_table(backbone):
        return
    seen = backbone.masked_log_probs(chains)
    differ = sum(not np.allclose(a[5], b[5], atol=1e-6) for a, b in zip(rows, seen, strict=True))
    yield count("masked log-probabilities: hiding matters", differ, len(chains))


def causal(backbone: Any, chains: Sequence[str]) -> Iterator[Finding]:
    """Probabilities sum to 1 and see what stands before, never what comes."""
    rows = backbone.causal_log_probs(chains)
    yield sums("causal log-probabilities", rows, chains)
    alone = [backbone.causal_log_probs([c])[0] for c in chains]
    yield close("causal log-probabilities: alone and in a batch", rows, alone, backbone)
    at = 5
    other = [c[:at] + ("W" if c[at] != "W" else "A") + c[at + 1 :] for c in chains]
    changed = backbone.causal_log_probs(other)
    before = [row[: at + 1] for row in rows]
    yield close(
        "causal log-probabilities: blind to what comes",
        before,
        [r[: at + 1] for r in changed],
        backbone,
    )
    if is_table(backbone):
        return
    differ = sum(
        not np.allclose(a[at + 1], b[at + 1], atol=1e-6) for a, b in zip(rows, changed, strict=True)
    )
    yield count("causal log-probabilities: see the one before", differ, len(chains))


def sampling(backbone: Sampling) -> Finding:
    """Whole chains of the 20 residues that begin as asked, the same ones by the same seed."""
    prompts = ["", "MK", "MKTAY"] * 2
    drawn, again = (
        backbone.sample(prompts, max_length=30, temperature=1.0, top_p=0.9, seed=1)
        for _ in range(2)
    )
    good = sum(
        chain.startswith(prompt) and set(chain) <= set(RESIDUES) and len(chain) <= 30
        for chain, prompt in zip(drawn, prompts, strict=True)
    )
    return count(
        "sampling: chains as asked, by the seed", good if drawn == again else 0, len(prompts)
    )


def maps(backbone: Any, chains: Sequence[str]) -> Iterator[Finding]:
    """Attention of residues to residues: shares, alone and in a batch alike."""
    found = backbone.attentions(chains[:4])
    shares = sum(bool((m >= 0).all() and (m.sum(-1) <= 1.01).all()) for m in found)
    yield count("attentions: shares of at most 1", shares, len(found))
    alone = [backbone.attentions([c])[0] for c in chains[:4]]
    yield close("attentions: alone and in a batch", found, alone, backbone)


def contacts(backbone: Any, chains: Sequence[str]) -> Iterator[Finding]:
    """Symmetric probabilities, alone and in a batch alike."""
    found = backbone.contacts(chains[:4])
    good = sum(
        bool((m >= 0).all() and (m <= 1).all() and np.allclose(m, m.T, atol=1e-5)) for m in found
    )
    yield count("contacts: symmetric probabilities", good, len(found))
    yield close(
        "contacts: alone and in a batch",
        found,
        [backbone.contacts([c])[0] for c in chains[:4]],
        backbone,
    )


def count(promise: str, found: int, expected: int) -> Finding:
    """All of them, or it is not kept."""
    return Finding(promise, str(found), str(expected), int(found) == expected)


def sums(what: str, rows: Sequence[Array], chains: Sequence[str]) -> Finding:
    """Rows of 20 log-probabilities, one a residue, that sum to 1."""
    good = [
        row.shape == (len(chain), len(RESIDUES)) and np.allclose(np.exp(row).sum(1), 1, atol=1e-3)
        for row, chain in zip(rows, chains, strict=True)
    ]
    return count(f"{what}: sum to 1", sum(good), len(chains))


def close(promise: str, a: Sequence[Array], b: Sequence[Array], backbone: Any) -> Finding:
    """The same but for rounding."""
    apart, limit = distance(a, b), ROUNDING[backbone.dtype]
    return Finding(promise, f"{apart:.1e}", f"<= {limit:g}", apart <= limit)
