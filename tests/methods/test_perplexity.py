"""Perplexity and pseudo-perplexity are what transformers gives by hand, whatever the batch."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import shake_256
from math import exp, log2
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.backbones.baselines.ngram import count_triples
from benchmark.core import RESIDUES, Array, Backbone, FitContext, Readout, Task, UserError
from benchmark.methods.probe.linear import Linear
from benchmark.methods.zero_shot import ZeroShot
from benchmark.metrics import find
from benchmark.results.identity import deciding, deciding_versions
from benchmark.results.storage import load_all
from benchmark.run.evaluation import evaluate
from tests.checkpoints import make, save_progen2, save_proteinglm
from tests.command_line import run_cli as benchmark
from tests.conftest import ROOT, composed, make_backbone, make_task, random_chain

RNG = np.random.default_rng(0)
CHAINS = [random_chain(RNG, length) for length in (30, 1, 7, 52)] + ["ACDXWXKLM"]
PPL, PER_PROTEIN, BITS = "perplexity", "perplexity_per_protein", "bits_per_residue"
LEFT = Readout("residue", "likelihood", context="left")
BOTH = Readout("residue", "likelihood", context="both")


def write_fasta(path: Path, chains: Sequence[str] = CHAINS) -> list[str]:
    path.write_text("".join(f">P{row} of no split\n{chain}\n" for row, chain in enumerate(chains)))
    return [f"task.source=file:{path}", "task.allow.unknown_letters=0.2"]


def scores(task: Task, backbone: Backbone) -> dict[str, dict[str, float]]:
    metrics = [find(name) for name in task.metrics]
    outcome = evaluate(task, task.load(), backbone, ZeroShot(score="auto"), metrics, 0)
    return {name: test.scores for name, test in outcome.tests.items()}


def by_hand(logs: Sequence[Sequence[float]]) -> dict[str, float]:
    """All metrics of the log-probabilities of each chain's residues."""
    everything = [value for chain in logs for value in chain]
    each = [exp(-sum(chain) / len(chain)) for chain in logs]
    whole = exp(-sum(everything) / len(everything))
    return {PPL: whole, PER_PROTEIN: sum(each) / len(each), BITS: log2(whole)}


@pytest.mark.parametrize("positions", [None, 3])
def test_pseudo_perplexity_is_a_loop_over_masked_residues(
    positions: int | None, esm_folder: Path, tmp_path: Path
) -> None:
    from transformers import EsmForMaskedLM, EsmTokenizer

    tokenizer = EsmTokenizer.from_pretrained(esm_folder)
    model = EsmForMaskedLM.from_pretrained(esm_folder).eval()
    columns = tokenizer.convert_tokens_to_ids(list(RESIDUES))
    source = write_fasta(tmp_path / "proteins.fasta")
    task = make_task("pseudo_perplexity", *source, f"task.positions={positions or 'null'}")
    logs = []
    for chain in CHAINS:
        asked = [at for at, letter in enumerate(chain) if letter != "X"]
        if positions:
            asked = task.readout.scored_positions(chain).tolist()
            assert len(asked) == min(positions, len(chain)) and "X" not in {chain[i] for i in asked}
        logs.append([])
        for at in asked:
            tokens = tokenizer(chain, return_tensors="pt")
            tokens["input_ids"][0, at + 1] = tokenizer.mask_token_id
            with torch.no_grad():
                row = model(**tokens).logits[0, at + 1, columns].double().log_softmax(-1)
            logs[-1].append(float(row[RESIDUES.index(chain[at])]))
    for tokens in (4096, 60, 7):
        backbone = make_backbone("huggingface", esm_folder, f"batch_tokens={tokens}")
        assert scores(task, backbone)["test"] == pytest.approx(by_hand(logs), rel=1e-5)


@pytest.mark.parametrize("positions", [None, 3])
def test_the_single_pass_estimate_is_one_pass_of_the_whole_chain(
    positions: int | None, esm_folder: Path, tmp_path: Path
) -> None:
    """And each probability is what masked training, by Bayes' theorem, makes of the true one."""
    from transformers import EsmForMaskedLM, EsmTokenizer

    tokenizer = EsmTokenizer.from_pretrained(esm_folder)
    model = EsmForMaskedLM.from_pretrained(esm_folder).eval()
    columns = tokenizer.convert_tokens_to_ids(list(RESIDUES))
    words = f"task.positions={positions or 'null'}", *write_fasta(tmp_path / "proteins.fasta")
    task, seen = make_task("single_pass_pseudo_perplexity", *words), list[float]()
    for chain in CHAINS:
        with torch.no_grad():
            logits = model(**tokenizer(chain, return_tensors="pt")).logits[0, 1:-1, columns]
        rows = logits.double().softmax(-1)
        scored = task.readout.scored_positions(chain).tolist()
        seen += [float(rows[at, RESIDUES.index(chain[at])]) for at in scored]
    inferred = [s / (21 - 20 * s) for s in seen]
    for p, s in zip(inferred, seen, strict=True):
        assert p * (0.1 + 0.1 / 20) / (p * 0.1 + 0.1 / 20) == pytest.approx(s)
    expected = {
        "single_pass_pseudo_perplexity": float(np.exp(-np.mean(np.log(inferred)))),
        "single_pass_uncorrected": float(np.exp(-np.mean(np.log(seen)))),
    }
    backbone: Any = make_backbone("huggingface", esm_folder)
    read: list[str] = []
    inner = backbone.masked_log_probs
    backbone.masked_log_probs = lambda chains: read.extend(chains) or inner(chains)
    assert scores(task, backbone)["test"] == pytest.approx(expected, rel=1e-5)
    assert sorted(read) == sorted(CHAINS)


def test_what_the_model_sees_is_scored_by_no_other_metric(tmp_path: Path) -> None:
    source = write_fasta(tmp_path / "proteins.fasta")
    for name, words, wrong in (
        ("single_pass_pseudo_perplexity", "task.metrics=[perplexity]", PPL),
        ("pseudo_perplexity", "task.context=unmasked", PPL),
        ("perplexity", "task.metrics=[single_pass_uncorrected]", "single_pass_uncorrected"),
    ):
        with pytest.raises(InstantiationException, match=f"{wrong} is not for context="):
            make_task(name, *source, words)
    causal, task = (
        make_backbone("bigram", tmp_path / "x"),
        make_task("single_pass_pseudo_perplexity", *source),
    )
    with pytest.raises(UserError, match="context=unmasked needs masked log-probabilities"):
        scores(task, causal)


def test_bits_have_the_interval_of_perplexity_and_move_no_key(tmp_path: Path) -> None:
    chains = [random_chain(np.random.default_rng(seed), 20 + seed) for seed in range(15)]
    task = make_task("perplexity", *write_fasta(tmp_path / "a.fasta", chains))
    metrics = [find(name) for name in (PPL, BITS)]
    method, model = ZeroShot(score="auto"), make_backbone("bigram", tmp_path / "x")
    (test,) = evaluate(task, task.load(), model, method, metrics, 0).tests.values()
    assert test.scores[BITS] == pytest.approx(log2(test.scores[PPL]), rel=1e-12)
    widths = np.diff(test.intervals[BITS]), np.diff(np.log2(test.intervals[PPL]))
    assert widths[0] == pytest.approx(widths[1], rel=0.02), "both from their own resamples"

    record = next(r for r in load_all(ROOT / "results") if r.task == "pocket_perplexity")
    settings: Any = OmegaConf.to_container(composed("task=pocket_perplexity").task, resolve=True)
    assert BITS not in record.higher_is_better and BITS in settings["metrics"]
    assert deciding("task", settings) == record.identity["task"]
    assert deciding_versions({PPL: 1, PER_PROTEIN: 1, BITS: 1}) == {PPL: 1, PER_PROTEIN: 1}
    assert deciding_versions({BITS: 1}) == {BITS: 1}, "one that ranks is in the key"
    assert deciding_versions({PPL: 1, BITS: 2}) == {PPL: 1, BITS: 2}, "and so is a later version"


CAUSAL: dict[str, Callable[[Path], Backbone]] = {
    "gpt2": lambda folder: make_backbone("huggingface", make("gpt2", folder / "gpt2")),
    "llama": lambda folder: make_backbone("huggingface", make("llama", folder / "llama")),
    "progen2": lambda folder: make_backbone("progen2", save_progen2(folder)),
    "proteinglm": lambda folder: make_backbone("clm1b", save_proteinglm(folder, is_causal=True)),
}


@pytest.mark.parametrize("family", CAUSAL)
def test_perplexity_is_the_shifted_cross_entropy_of_transformers(
    family: str, tmp_path: Path
) -> None:
    """Its own loss, on the columns of the 20 residues; what is no residue is not asked."""
    from transformers.loss.loss_utils import ForCausalLMLoss

    backbone: Any = CAUSAL[family](tmp_path)
    columns = [backbone.alphabet.ids[letter] for letter in RESIDUES]
    start, logs = len(backbone.alphabet.prefix), []
    for chain in CHAINS:
        ids = torch.tensor([backbone.alphabet.encode(chain)])
        labels = torch.full_like(ids, -100)
        letters = [RESIDUES.find(letter) for letter in chain]
        labels[0, start : start + len(chain)] = torch.tensor(letters)
        labels[labels == -1] = -100
        with torch.no_grad():
            table = backbone.language_model(input_ids=ids).logits[..., columns]
        loss = float(ForCausalLMLoss(table, labels, vocab_size=len(RESIDUES)))
        count = sum(letter >= 0 for letter in letters)
        logs.append([-loss] * count)
    expected = pytest.approx(by_hand(logs), rel=1e-5)
    task = make_task("perplexity", *write_fasta(tmp_path / "a.fasta"))
    assert scores(task, backbone)["test"] == expected
    backbone.batch_tokens = 9
    turned = make_task("perplexity", *write_fasta(tmp_path / "b.fasta", CHAINS[::-1]))
    assert scores(turned, backbone)["test"] == expected


def test_what_is_asked_is_drawn_by_the_chain_alone(esm_folder: Path) -> None:
    """Fewer positions are among more; the model reads one copy for each, and no more."""
    chain = random_chain(np.random.default_rng(1), 200)
    few, many = (
        Readout("residue", "likelihood", context="both", positions=count) for count in (8, 16)
    )
    assert len(few.scored_positions(chain)) == 8 and set(few.scored_positions(chain)) < set(
        many.scored_positions(chain)
    )
    digest = shake_256(chain.encode()).digest(1600)
    lots = [int.from_bytes(digest[8 * at : 8 * at + 8], "little") for at in range(200)]
    assert few.scored_positions(chain).tolist() == sorted(
        sorted(range(200), key=lots.__getitem__)[:8]
    )
    drawn = Counter(
        at
        for seed in range(400)
        for at in few.scored_positions(random_chain(np.random.default_rng(seed), 20))
    )
    assert max(drawn.values()) < 210 and min(drawn.values()) > 110, "160 each is even"
    backbone: Any = make_backbone("huggingface", esm_folder)
    read: list[str] = []
    inner = backbone.masked_log_probs
    backbone.masked_log_probs = lambda chains: read.extend(chains) or inner(chains)
    predictor = ZeroShot(score="auto").fit([], [], FitContext(backbone, few, 0))
    (row,) = (np.asarray(row) for row in predictor.predict([(chain,)]))
    assert np.flatnonzero(~np.isnan(row)).tolist() == few.scored_positions(chain).tolist()
    assert len(read) == 8 and predictor.choices == {"log_probs": "masked"}


def test_bands_are_test_sets_with_a_mean_and_labels_tell_nothing(
    tmp_path: Path, esm_folder: Path
) -> None:
    """As the embedded table is, cut as the task says: what is cut off is not asked."""
    chains = [random_chain(np.random.default_rng(seed), 30) for seed in range(24)]
    bands = ["70-90"] * 12 + ["no-hit"] * 12
    columns = {"seq": chains, "band": bands, "cluster": [str(row // 2) for row in range(24)]}
    pq.write_table(pa.table(columns), tmp_path / "heldout.parquet")
    words = [f"task.source=file:{tmp_path}/heldout.parquet", "task.sizes={}"]
    words += ["task.max_length=20", "task.allow.truncated=1"]
    task = make_task("pocket_pseudo_perplexity", *words)
    splits = task.load()

    assert list(splits.tests) == ["70-90", "no-hit"] and not splits.train and not splits.valid
    assert splits.report.sizes == {"70-90": 12, "no-hit": 12}
    assert splits.report.changes["70-90"] == {
        "rows": 12, "truncated": 12, "residues_cut": 120
    }  # fmt: skip
    assert len({example.group for example in splits.tests["70-90"]}) == 6
    for example in splits.tests["no-hit"]:
        assert np.shape(example.label) == (20,) and np.nansum(example.label) == 0
        assert np.sum(~np.isnan(example.label)) == 4
    found = scores(task, make_backbone("huggingface", esm_folder))
    assert list(found) == ["mean", "70-90", "no-hit"]
    assert found["mean"][PPL] == pytest.approx((found["70-90"][PPL] + found["no-hit"][PPL]) / 2)
    with pytest.raises(UserError, match="no column 'bond'; it has seq, band, cluster"):
        make_task("pocket_perplexity", *words, "task.columns.test=bond").load()


def test_what_cannot_be_asked_is_told(esm_folder: Path, tmp_path: Path) -> None:
    masked = make_backbone("huggingface", esm_folder)
    causal = make_backbone("huggingface", make("llama", tmp_path / "llama"))
    method = ZeroShot(score="auto")
    for backbone, readout, message in (
        (
            masked,
            LEFT,
            "causal .* HuggingFace has none; for its masked ones give task=pseudo_pe",
        ),
        (
            causal,
            BOTH,
            "masked .* HuggingFace has none; for its causal ones give task=perplexi",
        ),
        (Kmer(1), BOTH, "masked log-.* Kmer has none; choose a language model with its head"),
    ):
        with pytest.raises(UserError, match=message):
            method.fit([], [], FitContext(backbone, readout, 0))
    with pytest.raises(UserError, match=r"method.score=masked_marginal scores variants, and"):
        ZeroShot(score="masked_marginal").fit([], [], FitContext(masked, BOTH, 0))
    source = write_fasta(tmp_path / "proteins.fasta")
    task = make_task("perplexity", *source)
    linear = composed("task=perplexity", "method=linear").method
    probe = Linear(**{key: value for key, value in linear.items() if key != "_target_"})
    with pytest.raises(UserError, match="model itself, which Linear does not predict"):
        evaluate(task, task.load(), masked, probe, [], 0)
    for words, message in (
        (["task.context=right"], "kind=likelihood with context=right does not fit level=residue"),
        (["task.positions=0"], "positions=0 is not allowed; give 1 or more, or null"),
    ):
        with pytest.raises(UserError, match=message):
            make_task("perplexity", *source, *words).load()
    with pytest.raises(UserError, match="kind=likelihood with context=None does not fit level=pro"):
        make_task("pocket_solubility", "task.kind=likelihood", "task.size=1").load()
    (tmp_path / "pairs.csv").write_text("seq\nACD|WKL\n")
    with pytest.raises(UserError, match="2 chains, but perplexity needs a single chain"):
        make_task("perplexity", f"task.source=file:{tmp_path}/pairs.csv").load()


def test_a_method_that_leaves_out_what_is_asked_gets_no_score(tmp_path: Path) -> None:
    """An unasked residue has no prediction, and an asked one must."""
    backbone: Any = make_backbone("bigram", tmp_path / "x")
    task = make_task("perplexity", *write_fasta(tmp_path / "proteins.fasta"))
    inner = backbone.causal_log_probs
    backbone.causal_log_probs = lambda chains: [
        np.where(np.arange(len(rows))[:, None] == 0, np.nan, rows) for rows in inner(chains)
    ]
    with pytest.raises(UserError, match="the predictions are not finite"):
        scores(task, backbone)


def test_a_fasta_on_the_command_line(tmp_path: Path) -> None:
    """Nothing but a file and a model: the method is the task's."""
    chains = [random_chain(np.random.default_rng(seed), 25) for seed in range(12)]
    write_fasta(tmp_path / "proteins.fasta", chains)
    np.savez(tmp_path / "counts.npz", triples=count_triples(chains))
    done = benchmark("task=perplexity", "model=bigram", "model.counts=file:counts.npz",
                     cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("results/perplexity/bigram/zero_shot/*/seed0.json")
    record = json.loads(path.read_text())

    assert record["higher_is_better"] == {PPL: False, PER_PROTEIN: False, BITS: False}
    assert record["scored"] == {"test": 12} and PPL in record["intervals"]["test"]
    assert record["data_report"]["changes"] == {"test": {"rows": 12}}
    assert record["backbone"]["counted_residues"] == 300
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    logs = np.concatenate([row["prediction"] for row in rows])
    assert record["scores"]["test"][PPL] == pytest.approx(np.exp(-logs.mean()), rel=1e-6)


def test_log_probabilities_do_not_depend_on_company(tmp_path: Path, esm_folder: Path) -> None:
    """Each row alone is the row of a batch, of masked and causal models alike."""
    for backbone, readout in ((make_backbone("huggingface", esm_folder), BOTH),
                              (CAUSAL["llama"](tmp_path), LEFT)):  # fmt: skip

        def rows(chains: Sequence[str]) -> list[Array]:
            predictor = ZeroShot(score="auto").fit([], [], FitContext(backbone, readout, 0))  # noqa: B023
            return [np.asarray(row) for row in predictor.predict([(chain,) for chain in chains])]

        for row, chain in zip(rows(CHAINS), CHAINS, strict=True):
            np.testing.assert_allclose(row, rows([chain])[0], atol=1e-4)
