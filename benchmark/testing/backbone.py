"""Checks of a backbone (model adapter) on real proteins that ship with the package.

python -m benchmark check model=esm2_8m
python -m benchmark check model=huggingface model.path=checkpoints/step-1000 dtype=bfloat16
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmark.backbones.layers import restored
from benchmark.backbones.leftovers import listed
from benchmark.backbones.pretrained import Pretrained
from benchmark.backbones.transformer import Transformer
from benchmark.core import MASK, RESIDUES, Array, Backbone, Readout, Sampling
from benchmark.embedding.rounding import ROUNDING, distance
from benchmark.pocket import FOLDER

CHAINS, LONGEST = 12, 160
"""Number of real chains, and of residues of each at most."""
UNKNOWN = "MBJOUXZK"
ALIGNED = 0.75
"""Fraction of chains in which the mutated residue's own row must change most: attention may change
another row more in some chains, a shift by one does in all."""
DRIFT = 0.05
"""Largest mean relative change of a residue's vector in lower precision."""
AT = 5
"""Position that is masked or mutated, 0-based."""


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    found: str
    allowed: str
    passed: bool


def real_chains(longest: int | None) -> list[str]:
    """The first embedded chains, cut to different lengths that the backbone accepts."""
    import pyarrow.parquet as pq

    table = pq.read_table(FOLDER / "structure.parquet", columns=["seq"])
    chains = table["seq"].slice(0, CHAINS).to_pylist()
    cut = np.linspace(20, min(LONGEST, longest or LONGEST), CHAINS).astype(int)
    return [chain[:length] for chain, length in zip(chains, cut, strict=True)]


def findings(backbone: Backbone, make: Callable[[str], Backbone]) -> Iterator[Finding]:
    """Run every check that applies to the backbone; `make` opens it again in a given dtype."""
    chains = real_chains(backbone.max_length)
    able = backbone.abilities
    yield Finding("abilities", ", ".join(sorted(able)) or "none", "one or more", bool(able))
    again = make(backbone.dtype)
    same = again.digest == backbone.digest
    yield Finding("opened twice: same digest", backbone.digest, again.digest, same)
    if isinstance(backbone, Pretrained):
        unused = listed(backbone.unused) or "none"
        yield Finding("weights without a use", unused, "known to be benign", True)
    model: Any = backbone
    trained = isinstance(model, Transformer)
    checks: list[tuple[bool, str, Callable[[], Iterator[Finding]]]] = [
        ("residue_embeddings" in able, "residues", lambda: embeddings("residues", model, chains)),
        ("residue_embeddings" in able, "residues", lambda: alignment(model, chains)),
        ("protein_embeddings" in able, "proteins", lambda: embeddings("proteins", model, chains)),
        (trained, "layers", lambda: layers(model, chains)),
        (trained, "gradients", lambda: gradients(model, chains[:2])),
        (trained and bool(model.blocks()), "adapters", lambda: adapters(model, chains[:2])),
        (trained, "bfloat16", lambda: drift(make, chains)),
        ("masked_log_probs" in able, "masked log-probabilities", lambda: masked(model, chains)),
        ("causal_log_probs" in able, "causal log-probabilities", lambda: causal(model, chains)),
        ("sampling" in able, "sampling", lambda: sampling(model)),
        ("attention_maps" in able, "attentions", lambda: attentions(model, chains[:4])),
        ("contact_head" in able, "contacts", lambda: contacts(model, chains[:4])),
    ]
    for applies, name, check in checks:
        try:
            yield from check() if applies else ()
        except Exception as error:  # a user's model may fail in any way
            reason = (str(error).strip().splitlines() or [""])[0]
            yield Finding(f"{name}: runs", f"{type(error).__name__}: {reason}", "no error", False)


def embeddings(level: str, backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """Shape, dtype, finite and distinct values; no dependence on batch and order."""
    residues = level == "residues"
    embed: Any = backbone.embed_residues if residues else backbone.embed_proteins
    dim = backbone.residue_dim if residues else backbone.protein_dim
    shapes = [(len(chain), dim) if residues else (dim,) for chain in chains]
    rows = embed(chains)
    right = sum(
        isinstance(row, np.ndarray) and row.shape == shape and row.dtype == np.float32
        for row, shape in zip(rows, shapes, strict=False)
    )
    form = equal(f"{level}: float32 arrays of the right shape", right, len(chains))
    whole = residues or isinstance(rows, np.ndarray)
    yield form._replace(passed=form.passed and whole and len(rows) == len(chains))
    if not form.passed or len(rows) != len(chains):
        return
    finite = sum(bool(np.isfinite(row).all()) for row in rows)
    yield equal(f"{level}: finite", finite, len(chains))
    different = len(np.unique(np.concatenate([np.atleast_2d(row) for row in rows]), axis=0))
    yield Finding(f"{level}: vectors differ", str(different), ">= 2", different >= 2)
    yield alone(level, rows, embed, chains, backbone)
    yield close(f"{level}: order of the batch", rows, embed(chains[::-1])[::-1], backbone)
    unknown = embed([UNKNOWN, chains[0]])
    finite = sum(bool(np.isfinite(row).all()) for row in unknown)
    yield equal(f"{level}: finite with unknown letters", finite, 2)
    by_residue = "residue_embeddings" in backbone.abilities
    if not residues and by_residue and getattr(backbone, "pooling", "") == "mean":
        means = [row.mean(axis=0) for row in backbone.embed_residues(chains)]
        yield close("proteins: mean of residues, no special token", rows, means, backbone)


def mutated(chain: str, at: int) -> str:
    """The chain with another residue at a position."""
    return chain[:at] + ("W" if chain[at] != "W" else "A") + chain[at + 1 :]


def alignment(backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """When residue i is mutated, no row changes more than row i."""
    hits = 0
    for chain in chains:
        at = len(chain) // 2
        before, after = backbone.embed_residues([chain, mutated(chain, at)])
        change = np.linalg.norm(before - after, axis=1)
        hits += bool(change[at] > 0 and change[at] >= change.max() * 0.999)
    least = int(ALIGNED * len(chains))
    yield Finding("residues: row i changes with residue i", str(hits), f">= {least}", hits >= least)


def layers(backbone: Transformer, chains: Sequence[str]) -> Iterator[Finding]:
    """One hidden state more than layers, and the final one is the model's output."""
    import torch

    ids, mask = backbone.ids(chains[:1])
    with torch.inference_mode():
        output = backbone.module(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    states = output.hidden_states
    yield equal("layers: hidden states", len(states), backbone.layers + 1)
    last, final = (x.float().cpu().numpy() for x in (states[-1], output.last_hidden_state))
    yield close("layers: final hidden state equals model output", [last], [final], backbone)


def gradients(backbone: Transformer, chains: Sequence[str]) -> Iterator[Finding]:
    """A loss on the embeddings has gradients in every layer up to the embedding layer."""
    import torch

    module = backbone.module
    parts: list[Any] = list(backbone.blocks().values()) or [module]  # layers may share a block
    with restored(module), torch.enable_grad():
        module.requires_grad_(True)
        states = torch.cat(backbone.states(chains)).float()
        states.square().mean().backward()  # type: ignore[no-untyped-call]
        given = [
            [p.grad.abs().sum() for p in part.parameters() if p.grad is not None] for part in parts
        ]
    reached = sum(0 < float(sum(sizes)) < float("inf") for sizes in given)
    yield equal("gradients: layers", reached, len(parts))


def adapters(backbone: Transformer, chains: Sequence[str]) -> Iterator[Finding]:
    """Every LoRA layer that `method=lora` would train has a gradient."""
    import torch
    from peft import LoraConfig

    from benchmark.methods.finetune.lora import Adapter, linear_layers

    targets = linear_layers(backbone, "all-linear")
    flat = not any(isinstance(part, torch.nn.Linear) for part in targets.values())
    config = LoraConfig(
        r=2, target_modules=list(targets), fan_in_fan_out=flat, init_lora_weights=False
    )
    adapter = Adapter(backbone, Readout(level="protein", kind="regression"), False, config)
    with adapter.attached(), torch.enable_grad():
        states = torch.cat(backbone.states(chains)).float()
        states.square().mean().backward()  # type: ignore[no-untyped-call]
    trained = adapter.trained()
    reached = sum(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in trained.values())
    yield equal("adapters: tensors with a gradient", reached, len(trained))


def drift(make: Callable[[str], Backbone], chains: Sequence[str]) -> Iterator[Finding]:
    """Relative change of vectors from float32 to bfloat16."""

    def rows(dtype: str) -> Array:
        model = make(dtype)
        if "residue_embeddings" in model.abilities:
            return np.concatenate(model.embed_residues(chains))
        return model.embed_proteins(chains)

    exact, low = rows("float32"), rows("bfloat16")
    change = np.linalg.norm(exact - low, axis=1) / np.linalg.norm(exact, axis=1)
    found = f"mean {change.mean():.4f}, max {change.max():.4f}"
    passed = bool(change.mean() <= DRIFT)
    yield Finding("bfloat16: relative distance", found, f"mean <= {DRIFT}", passed)


def masked(backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """Probabilities sum to 1, do not depend on the batch, and depend on the masked letter."""
    name = "masked log-probabilities"
    hidden = [chain[:AT] + MASK + chain[AT + 1 :] for chain in chains]
    rows = backbone.masked_log_probs(hidden)
    yield sums(name, rows, chains)
    yield alone(name, rows, backbone.masked_log_probs, hidden, backbone)
    if "residue_embeddings" in backbone.abilities:  # a frequency table ignores most of the context
        visible = backbone.masked_log_probs(chains)
        yield equal(f"{name}: masking changes predictions", changed(rows, visible, AT), len(chains))


def causal(backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """Probabilities sum to 1, depend on preceding residues and not on following ones."""
    name = "causal log-probabilities"
    rows = backbone.causal_log_probs(chains)
    yield sums(name, rows, chains)
    yield alone(name, rows, backbone.causal_log_probs, chains, backbone)
    others = backbone.causal_log_probs([mutated(chain, AT) for chain in chains])
    before, after = ([row[: AT + 1] for row in part] for part in (rows, others))
    yield close(f"{name}: independent of following residues", before, after, backbone)
    if "residue_embeddings" in backbone.abilities:  # a frequency table ignores most of the context
        count = changed(rows, others, AT + 1)
        yield equal(f"{name}: depend on the preceding residue", count, len(chains))


def changed(a: Sequence[Array], b: Sequence[Array], at: int) -> int:
    """Number of chains whose predictions at a position differ."""
    return sum(not np.allclose(x[at], y[at], atol=1e-6) for x, y in zip(a, b, strict=True))


def sampling(backbone: Backbone) -> Iterator[Finding]:
    """Chains of the 20 residues that begin with the prompt, reproducible by the seed."""
    prompts = ["", "MK", "MKTAY"] * 2
    settings, seeds = Sampling(top_p=0.9, max_length=30), range(len(prompts))
    drawn, again = (backbone.sample(prompts, settings, seeds) for _ in range(2))
    good = sum(
        chain.startswith(prompt) and set(chain) <= set(RESIDUES) and len(chain) <= 30
        for (chain, _, _), prompt in zip(drawn, prompts, strict=True)
    )
    good = good if drawn == again else 0
    yield equal("sampling: valid chains, reproducible by the seed", good, len(prompts))


def attentions(backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """Rows of attention sum to at most 1 (special tokens are cut off)."""
    maps = backbone.attentions(chains)
    good = sum(bool((m >= 0).all() and (m.sum(-1) <= 1.01).all()) for m in maps)
    yield equal("attentions: rows sum to at most 1", good, len(chains))
    yield alone("attentions", maps, backbone.attentions, chains, backbone)


def contacts(backbone: Backbone, chains: Sequence[str]) -> Iterator[Finding]:
    """Symmetric probabilities."""
    maps = backbone.contacts(chains)
    inside = [bool((m >= 0).all() and (m <= 1).all()) for m in maps]
    good = sum(i and np.allclose(m, m.T, atol=1e-5) for i, m in zip(inside, maps, strict=True))
    yield equal("contacts: symmetric probabilities", good, len(chains))
    yield alone("contacts", maps, backbone.contacts, chains, backbone)


def alone(
    name: str, rows: Sequence[Array], run: Any, inputs: Sequence[str], backbone: Backbone
) -> Finding:
    """Rows of a batch that must equal those of each input by itself."""
    single = [run([one])[0] for one in inputs]
    return close(f"{name}: alone and in a batch", rows, single, backbone)


def equal(check: str, found: int, expected: int) -> Finding:
    """A number that must be the expected one."""
    return Finding(check, str(found), str(expected), int(found) == expected)


def sums(name: str, rows: Sequence[Array], chains: Sequence[str]) -> Finding:
    """Rows of 20 log-probabilities, one for each residue, that sum to 1."""
    good = [
        row.shape == (len(chain), len(RESIDUES)) and np.allclose(np.exp(row).sum(1), 1, atol=1e-3)
        for row, chain in zip(rows, chains, strict=True)
    ]
    return equal(f"{name}: sum to 1", sum(good), len(chains))


def close(check: str, a: Sequence[Array], b: Sequence[Array], backbone: Backbone) -> Finding:
    """Vectors that must be equal up to rounding."""
    found, limit = distance(a, b), ROUNDING[backbone.dtype]
    return Finding(check, f"{found:.1e}", f"<= {limit:g}", found <= limit)
