"""Zero-shot scores of variants are what transformers gives by hand, and learn nothing."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from scipy.stats import spearmanr

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.core import RESIDUES, Array, Backbone, Chains, FitContext, Readout, UserError
from benchmark.methods.zero_shot import SCORES, ZeroShot
from tests.checkpoints import make
from tests.command_line import run_cli
from tests.conftest import SHARED, composed, make_backbone, random_chain

VARIANT = Readout("variant", "regression")
RNG = np.random.default_rng(0)
WILD, OTHER = random_chain(RNG, 30), random_chain(RNG, 21)


def mutate(wild: str, *places: int) -> Chains:
    """A variant in which each of these residues is the next of the alphabet, and its wild type."""
    residues = list(wild)
    for place in places:
        residues[place] = RESIDUES[(RESIDUES.index(wild[place]) + 1) % 20]
    return "".join(residues), wild


QUESTIONS = [
    *(mutate(WILD, place) for place in (0, 7, 29)),
    mutate(OTHER, 20),
    mutate(WILD, 7, 12, 13),
    mutate(OTHER, 0, 20),
    mutate(WILD, 7),
]


def scored(backbone: Backbone, score: str, questions: Sequence[Chains] = QUESTIONS) -> Array:
    method = replace(instantiate(composed("method=zero_shot").method), score=score)
    predictor = method.fit([], [], FitContext(backbone, VARIANT, 0))
    assert predictor.choices == {"score": score}
    values = [np.asarray(value) for value in predictor.predict(questions)]
    assert {value.shape for value in values} == {()}
    return np.array(values)


@pytest.fixture(scope="module")
def logits(esm_folder: Path) -> Callable[..., Any]:
    """Log-probabilities (L, 20) of a chain with some residues masked, by transformers alone."""
    import torch
    from transformers import EsmForMaskedLM, EsmTokenizer

    tokenizer = EsmTokenizer.from_pretrained(esm_folder)
    model = EsmForMaskedLM.from_pretrained(esm_folder).eval()
    columns = tokenizer.convert_tokens_to_ids(list(RESIDUES))

    def read(chain: str, *masked: int) -> Any:
        tokens = tokenizer(chain, return_tensors="pt")
        for at in masked:
            tokens["input_ids"][0, at + 1] = tokenizer.mask_token_id
        with torch.no_grad():
            table = model(**tokens).logits[0, 1:-1, columns]
        return table.double().log_softmax(-1).numpy()

    return read


def by_hand(score: str, chains: Chains, logits: Callable[..., Any]) -> float:
    variant, wild = chains
    column = RESIDUES.index
    sites = [at for at in range(len(wild)) if variant[at] != wild[at]]
    if score == "pseudo_log_likelihood":
        return sum(logits(variant, at)[at, column(variant[at])] for at in range(len(variant)))
    hidden = [(at,) if score == "masked_marginal" else () for at in sites]
    rows = [logits(wild, *masked)[at] for at, masked in zip(sites, hidden, strict=True)]
    pairs = [(column(variant[at]), column(wild[at])) for at in sites]
    return sum(row[new] - row[old] for row, (new, old) in zip(rows, pairs, strict=True))


@pytest.mark.parametrize("score", list(SCORES)[:3])
def test_scores_are_transformers_by_hand(
    score: str, esm_folder: Path, logits: Callable[..., Any]
) -> None:
    """One and several mutations, two wild types of other lengths, one variant twice."""
    backbone = make_backbone("huggingface", esm_folder)
    expected = [by_hand(score, chains, logits) for chains in QUESTIONS]
    found = scored(backbone, score)

    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found[1] == found[-1] and len(set(found.tolist())) == len(QUESTIONS) - 1
    small = make_backbone("huggingface", esm_folder, "batch_tokens=31")
    np.testing.assert_allclose(scored(small, score, QUESTIONS[::-1])[::-1], found, atol=1e-4)


def test_a_masked_residue_is_not_seen_and_auto_masks(esm_folder: Path) -> None:
    """There and back are opposite where it is masked; there are no more passes than needed."""
    backbone: Any = make_backbone("huggingface", esm_folder)
    read: list[str] = []
    inner = backbone.masked_log_probs
    backbone.masked_log_probs = lambda chains: read.extend(chains) or inner(chains)
    there, back = mutate(WILD, 7), mutate(WILD, 7)[::-1]
    assert scored(backbone, "masked_marginal", [there]) == -scored(
        backbone, "masked_marginal", [back]
    )
    assert scored(backbone, "wild_type_marginal", [there]) != -scored(
        backbone, "wild_type_marginal", [back]
    )
    for score, passes in (("masked_marginal", 7), ("wild_type_marginal", 2),
                          ("pseudo_log_likelihood", 4 * 30 + 2 * 21)):  # fmt: skip
        read.clear()
        scored(backbone, score)
        assert len(read) == passes
    auto = ZeroShot(score="auto").fit([], [], FitContext(backbone, VARIANT, 0))
    assert auto.choices == {"score": "masked_marginal"}
    np.testing.assert_array_equal(
        list(auto.predict(QUESTIONS)), scored(backbone, "masked_marginal")
    )


@pytest.mark.parametrize("name", ["gpt2", "progen2"])
def test_causal_scores_are_the_models_log_likelihoods(name: str, tmp_path: Path) -> None:
    """Insertions and deletions, too; equal variants are read once."""
    made = make_backbone("progen2", tmp_path / "x") if name == "progen2" else make_backbone(
        "huggingface", make("gpt2", tmp_path)
    )  # fmt: skip
    backbone: Any = made
    questions = [*QUESTIONS, (WILD[:-3], WILD), (WILD + "ACD", WILD)]
    expected = [backbone.log_likelihoods([variant])[0] for variant, _ in questions]

    np.testing.assert_allclose(
        scored(backbone, "causal_log_likelihood", questions), expected, atol=1e-5
    )
    auto = ZeroShot(score="auto").fit([], [], FitContext(backbone, VARIANT, 0))
    assert auto.choices == {"score": "causal_log_likelihood"}
    with pytest.raises(UserError, match="score=masked_marginal needs masked log-probabilities"):
        scored(backbone, "masked_marginal")


def test_what_it_cannot_do_is_told(esm_folder: Path) -> None:
    backbone = make_backbone("huggingface", esm_folder)
    with pytest.raises(UserError, match=r"needs masked or causal .* the backbone Kmer has none"):
        ZeroShot(score="auto").fit([], [], FitContext(Kmer(1), VARIANT, 0))
    with pytest.raises(UserError, match=r"needs causal log-prob.* HuggingFace has none"):
        scored(backbone, "causal_log_likelihood")
    with pytest.raises(
        UserError, match=r"method.score=best is not known; allowed are auto, masked_"
    ):
        ZeroShot(score="best")
    shorter = [(WILD[:-1], WILD)]
    with pytest.raises(UserError, match=r"has 29 residues and its wild type 30, .* substitutions"):
        scored(backbone, "wild_type_marginal", shorter)
    assert np.isfinite(scored(backbone, "pseudo_log_likelihood", shorter)).all()
    for score in ("masked_marginal", "pseudo_log_likelihood"):
        with pytest.raises(UserError, match="a variant changes the letter X"):
            scored(backbone, score, [("X" + WILD[1:], WILD)])
    scored(backbone, "masked_marginal", [(WILD[:-1] + "X", mutate(WILD, 3)[0][:-1] + "X")])


@pytest.mark.slow
def test_an_assay_is_scored_without_a_word_about_the_method(
    esm_folder: Path, tmp_path: Path
) -> None:
    """From the command line to the Record, whose predictions are the method's."""
    rows = [(mutate(WILD, place)[0], place) for place in range(len(WILD))]
    with (tmp_path / "ONE.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["mutant", "mutated_sequence", "DMS_score"])
        for variant, place in rows:
            writer.writerow([f"{WILD[place]}{place + 1}{variant[place]}", variant, place])
    words = [
        "task=variant_effect", "model=huggingface", f"model.path={esm_folder}", "name=tiny",
        f"task.source=file:{tmp_path}/ONE.csv", f"results={tmp_path}/results",
    ]  # fmt: skip
    done = run_cli(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("variant_effect/tiny/zero_shot/*/seed0.json")
    record = json.loads(path.read_text())
    backbone = make_backbone("huggingface", esm_folder)
    expected = spearmanr(
        scored(backbone, "masked_marginal", [(variant, WILD) for variant, _ in rows]),
        [place for _, place in rows],
    ).statistic

    assert record["choices"] == {"score": "masked_marginal"}
    assert record["scores"]["ONE"]["spearman"] == pytest.approx(expected)
    assert record["scored"]["ONE"] == 30
    assert composed("task=variant_effect", "method=linear").method._target_.endswith("Linear")


@pytest.mark.slow
@pytest.mark.shared
def test_sapiens_prefers_a_human_antibody_to_its_mutants() -> None:
    """Random substitutions of a human VH are less likely than what they replace."""
    backbone = make_backbone("huggingface", SHARED / "models" / "sapiens_vh_roberta")
    assert "masked_log_probs" in backbone.abilities
    natural = (
        "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAE"
        "DTAVYYCAKDRLSITIRPRYYGLDVWGQGTTVTVSS"
    )
    rng = np.random.default_rng(0)
    questions = []
    for at in rng.integers(len(natural), size=60).tolist():
        other = rng.choice([letter for letter in RESIDUES if letter != natural[at]])
        questions.append((f"{natural[:at]}{other}{natural[at + 1 :]}", natural))
    for score in ("masked_marginal", "wild_type_marginal"):
        values = scored(backbone, score, questions)
        assert np.mean(values) < -2 and np.mean(values < 0) > 0.9
    whole = scored(backbone, "pseudo_log_likelihood", [(natural, natural), *questions[:10]])
    assert whole[0] > whole[1:].mean()
    masked = scored(backbone, "masked_marginal", questions[:10])
    assert spearmanr(masked, whole[1:]).statistic > 0.5


@pytest.mark.shared
def test_an_encoder_without_its_head_is_refused() -> None:
    backbone = make_backbone("huggingface", SHARED / "models" / "esm2_t6_8M_encoder")
    with pytest.raises(UserError, match="needs masked or causal log-probabilities, which a"):
        ZeroShot(score="auto").fit([], [], FitContext(backbone, VARIANT, 0))
