"""Sampling from causal models against transformers' own `generate` and whole forward passes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from threadpoolctl import threadpool_limits
from transformers import LogitsProcessorList, TopPLogitsWarper

from benchmark.backbones import sampling
from benchmark.backbones.sampling import batch_size, choose, draw, processors
from benchmark.backbones.transformer import Transformer
from benchmark.core import RESIDUES, Sampled, Sampling, UserError
from benchmark.core.answers import END
from tests.backbones.test_cost import opened
from tests.checkpoints import make
from tests.conftest import marked_slow

PROMPTS = ["", "MKTAYIAKQR", "MK", "", "GGX", "MKT"]
SEEDS = list(range(len(PROMPTS)))
FAMILIES = ["gpt2", "llama", "progen2", "clm"]
SEED = 0
"""Of the weights; with it, each penalty changes what each model answers."""
EACH = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Transformer]:
    """Tiny random models, the same each time; ProteinGLM has three end tokens, the others one."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return {name: opened(name, tmp_path_factory.mktemp(name)) for name in FAMILIES}


def choices(model: Transformer, chain: str) -> torch.Tensor:
    """Log-probabilities of what follows each prefix of a chain, (L + 1, 21), in one whole pass."""
    alphabet = model.alphabet
    ids = [*alphabet.prefix, *(alphabet.ids[letter] for letter in chain)]
    with torch.inference_mode():
        logits = model.language_model(input_ids=torch.tensor([ids])).logits[0].double()
    columns = logits[:, [alphabet.ids[residue] for residue in RESIDUES]]
    ends = logits[:, list(alphabet.ends)].logsumexp(dim=-1, keepdim=True)
    whole = torch.cat([columns, ends], dim=1).log_softmax(dim=-1)
    return whole[len(alphabet.prefix) - 1 :]


def generate(model: Transformer, prompt: str, **settings: Any) -> str:
    """Transformers' own greedy search among the 20 residues and the ends."""
    alphabet = model.alphabet
    allowed = [*(alphabet.ids[residue] for residue in RESIDUES), *alphabet.ends]

    def legal(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.full_like(scores, -torch.inf).index_copy(
            1, torch.tensor(allowed), scores[:, allowed]
        )

    start = [*alphabet.prefix, *(alphabet.ids[letter] for letter in prompt)]
    found = model.language_model.generate(
        input_ids=torch.tensor([start]), attention_mask=torch.ones(1, len(start), dtype=torch.long),
        do_sample=False, pad_token_id=alphabet.pad, eos_token_id=list(alphabet.ends),
        logits_processor=LogitsProcessorList([legal]), **settings,
    )  # fmt: skip
    letters = {alphabet.ids[residue]: residue for residue in RESIDUES}
    return prompt + "".join(letters.get(int(at), "") for at in found[0, len(start) :])


@EACH
def test_without_temperature_it_is_greedy_search(
    models: dict[str, Transformer], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of all lengths in one batch, each as `generate` continues it alone.

    Of several end tokens, which count as one here and not in `generate`, the first is used.
    """
    model, settings = models[family], Sampling(temperature=0, max_length=30)
    one_end = replace(model.alphabet, ends=model.alphabet.ends[:1])
    monkeypatch.setattr(model, "alphabet", one_end)
    found = model.sample(PROMPTS, settings, SEEDS)
    cold = model.sample(PROMPTS, replace(settings, temperature=1e-4), SEEDS)

    for prompt, new, nearly in zip(PROMPTS, found, cold, strict=True):
        least = {} if prompt else {"min_new_tokens": 1}
        expected = generate(model, prompt, max_new_tokens=30 - len(prompt), **least)
        assert new.chain == expected == nearly.chain
        assert new.ended == (len(expected) < 30)


@EACH
def test_likelihoods_are_those_of_a_whole_pass(models: dict[str, Transformer], family: str) -> None:
    """At temperature 1, untruncated, whatever the chain was sampled with; the end included."""
    model = models[family]
    settings = Sampling(temperature=0.7, top_p=0.9, min_length=4, max_length=40)
    found = model.sample(PROMPTS, settings, SEEDS)

    for prompt, new in zip(PROMPTS, found, strict=True):
        codes = [RESIDUES.index(letter) for letter in new.chain[len(prompt) :]]
        rows = choices(model, new.chain)[len(prompt) :]
        expected = sum(rows[at, code] for at, code in enumerate(codes + [END] * new.ended))
        assert new.log_likelihood == pytest.approx(float(expected), abs=2e-4)
        assert 4 <= len(new.chain) <= 40 and new.ended == (len(new.chain) < 40)


@EACH
def test_a_seed_gives_the_same_bytes_in_any_company(
    models: dict[str, Transformer], family: str
) -> None:
    model, settings = models[family], Sampling(max_length=30)
    found = model.sample(PROMPTS, settings, SEEDS)

    assert model.sample(PROMPTS, settings, SEEDS) == found
    assert model.sample(PROMPTS, settings, [seed + 1 for seed in SEEDS]) != found
    for at in reversed(range(len(PROMPTS))):
        (alone,) = model.sample(PROMPTS[at : at + 1], settings, SEEDS[at : at + 1])
        assert alone.chain == found[at].chain and alone.ended == found[at].ended
        assert alone.log_likelihood == pytest.approx(found[at].log_likelihood, abs=1e-4)
    assert found[0] != found[3], "two chains of one prompt"


def test_frequencies_are_the_probabilities(models: dict[str, Transformer]) -> None:
    """First residues and, after each, the second: chi-square of 4,000 chains with a fixed seed."""
    model = models["llama"]
    found = model.sample([""] * 4000, Sampling(max_length=2, temperature=0.8), range(4000))
    table = (choices(model, "")[0, :END] / 0.8).softmax(dim=0).numpy()  # min_length=1
    seen = Counter(new.chain[0] for new in found)
    assert chisquare([seen[r] for r in RESIDUES], 4000 * table).pvalue > 0.01
    first = seen.most_common(1)[0][0]
    follows = Counter(new.chain[1:] for new in found if new.chain[0] == first)
    table = (choices(model, first)[1] / 0.8).softmax(dim=0).numpy()
    counts = [follows[r] for r in (*RESIDUES, "")]
    assert chisquare(counts, sum(counts) * table).pvalue > 0.01


@pytest.mark.parametrize("settings", [{"top_p": 0.7}, {"top_k": 3}, {"top_p": 0.9, "top_k": 6}])
def test_truncation_keeps_the_most_probable(settings: dict[str, Any]) -> None:
    """The mass that top-p keeps is the stated one, and nothing less would do."""
    scores = torch.randn(200, 21, generator=torch.Generator().manual_seed(0)) * 2
    cut = scores
    for processor in processors(Sampling(**settings)):
        cut = processor(torch.empty(200, 0, dtype=torch.long), cut)
    numbers = torch.from_numpy(np.random.default_rng(0).random((500, 200), np.float32))
    drawn = torch.stack([choose(cut, row) for row in numbers])
    for row in range(200):
        probabilities = scores[row].softmax(dim=0)
        order = probabilities.argsort(descending=True)[: settings.get("top_k", 21)]
        sums = probabilities[order].cumsum(dim=0) / probabilities[order].sum()
        count = int((sums < settings.get("top_p", 1)).sum()) + 1 if "top_p" in settings else 3
        assert set(drawn[:, row].tolist()) <= set(order[:count].tolist())
    if settings == {"top_p": 0.7}:
        assert cut.equal(TopPLogitsWarper(0.7)(torch.empty(0), scores))


@EACH
@pytest.mark.parametrize(
    "penalties", [{"repetition_penalty": 1.4}, {"no_repeat_ngram": 2}, {"no_repeat_ngram": 3}]
)
def test_penalties_are_those_of_transformers(
    models: dict[str, Transformer], family: str, penalties: dict[str, Any]
) -> None:
    if family == "clm":
        pytest.skip("its prefix and its three ends are tokens that generate penalises, too")
    model = models[family]
    names = {"no_repeat_ngram": "no_repeat_ngram_size"}
    settings = Sampling(temperature=0, max_length=25, **penalties)
    prompts = PROMPTS[1:3] + PROMPTS[5:]
    plain = model.sample(prompts, Sampling(temperature=0, max_length=25), SEEDS[:3])
    found = model.sample(prompts, settings, SEEDS[:3])

    assert [new.chain for new in found] != [new.chain for new in plain]
    for prompt, new in zip(prompts, found, strict=True):
        given = {names.get(name, name): value for name, value in penalties.items()}
        assert new.chain == generate(model, prompt, max_new_tokens=25 - len(prompt), **given)


def test_a_chain_without_a_choice_is_cut(models: dict[str, Transformer]) -> None:
    """With no residue twice there are 20 at most, and they may not end before 25."""
    settings = Sampling(no_repeat_ngram=1, min_length=25, max_length=30)
    for new in models["llama"].sample(["", "MK"], settings, [0, 1]):
        assert sorted(new.chain) == list(RESIDUES) and not new.ended
        assert np.isfinite(new.log_likelihood)


def test_a_full_prompt_is_returned_and_a_longer_one_refused(
    models: dict[str, Transformer],
) -> None:
    model, settings = models["llama"], Sampling(max_length=4)
    full, other = model.sample(["MKTA", "MK"], settings, [0, 1])
    assert full == Sampled("MKTA", 0.0, False) and len(other.chain) >= 3
    with pytest.raises(UserError, match="a prompt has 5 residues, and max_length=4"):
        model.sample(["MKTAY"], settings, [0])
    with pytest.raises(UserError, match=r"the model accepts 254 .* give method.max_length=254"):
        models["gpt2"].sample(["M"], Sampling(max_length=300), [0])
    assert model.sample([], settings, []) == []


def test_logits_that_are_not_numbers_are_refused(models: dict[str, Transformer]) -> None:
    class Broken:
        def start(self, prompts: list[str]) -> torch.Tensor:
            return torch.full((len(prompts), END + 1), torch.nan)

    with pytest.raises(UserError, match="logits are not numbers; try dtype=float32"):
        draw(Broken(), [""], Sampling(), [0])


def test_one_thread_samples_from_a_small_model(
    models: dict[str, Transformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, threads = models["llama"], list[int]()
    real = sampling.CachedDecoder.start

    def counted(self: Any, prompts: Sequence[str]) -> torch.Tensor:
        threads.append(torch.get_num_threads())
        return real(self, prompts)

    monkeypatch.setattr(sampling.CachedDecoder, "start", counted)
    with threadpool_limits(2):
        for small in (sum(weight.numel() for weight in model.module.parameters()) + 1, 0):
            monkeypatch.setattr(sampling, "SMALL", small)
            model.sample(PROMPTS[:1], Sampling(max_length=2), SEEDS[:1])
            assert torch.get_num_threads() == 2
    assert threads == [1, 2]


def test_out_of_memory_halves_the_batch(
    models: dict[str, Transformer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, settings, sizes = models["llama"], Sampling(max_length=20), list[int]()
    expected = model.sample(PROMPTS, settings, SEEDS)
    real = sampling.CachedDecoder.step

    def limited(self: Any, codes: torch.Tensor) -> torch.Tensor:
        sizes.append(len(codes))
        if len(codes) > fitting:
            raise RuntimeError("CUDA out of memory")
        return real(self, codes)

    monkeypatch.setattr(sampling.CachedDecoder, "step", limited)
    fitting = 3
    found = model.sample(PROMPTS, settings, SEEDS)
    assert [new.chain for new in found] == [new.chain for new in expected]
    assert max(sizes) == 6 and "out of memory; 1 chains" not in capsys.readouterr().err
    fitting = 0
    with pytest.raises(UserError, match="one chain of up to 20 residues does not fit in memory"):
        model.sample(PROMPTS, settings, SEEDS)


def test_keys_and_values_take_at_most_half_of_a_gpus_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model of 36 layers and a width of 4,096 in bfloat16: 500 tokens are 295 MB."""
    weight = torch.empty(1, dtype=torch.bfloat16)
    module = SimpleNamespace(parameters=lambda: iter([weight]))
    shape = {"layers": 36, "residue_dim": 4096, "batch_tokens": 65_536, "module": module}
    on = {name: SimpleNamespace(**shape, device=torch.device(name)) for name in ("cpu", "cuda")}

    for gigabytes, expected in [(1000, 233), (60, 50), (6, 5), (0.1, 1)]:
        monkeypatch.setattr(sampling, "free_memory", lambda _, g=gigabytes: int(g * 1e9))
        assert batch_size(on["cuda"], 500) == expected
        assert batch_size(on["cpu"], 500) == 233


@pytest.mark.parametrize("family", marked_slow(["mamba", "mamba2"], "mamba2"))
def test_recurrent_models_are_sampled(family: str, tmp_path: Path) -> None:
    """They cannot pad, so a batch has prompts of one length."""
    from tests.backbones.test_backbones import open_folder

    model = open_folder(make(family, tmp_path))
    found = model.sample(PROMPTS, Sampling(temperature=0, max_length=20), SEEDS)
    for prompt, new in zip(PROMPTS, found, strict=True):
        rows = choices(model, new.chain)[len(prompt) :]
        rows[0, END] = -torch.inf if not prompt else rows[0, END]
        codes = [RESIDUES.index(c) for c in new.chain[len(prompt) :]] + [END] * new.ended
        assert rows.argmax(dim=1)[: len(codes)].tolist() == codes
