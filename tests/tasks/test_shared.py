"""Real backbones on real data: scores lie where independent programs put them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from scipy.stats import spearmanr

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.core import MASK, RESIDUES, Example, FitContext, Readout, Splits
from benchmark.metrics import find
from benchmark.metrics.contact import rank_pairs
from benchmark.run.evaluation import evaluate, subset
from tests.conftest import SHARED, composed, make_backbone, make_task
from tests.tasks.test_contracts import check_splits

pytestmark = [pytest.mark.shared, pytest.mark.slow]
ESM2_8M = SHARED / "models" / "esm2_t6_8M_encoder"
MIRROR = f"mirror={SHARED / 'data'}"


def scores(
    task_name: str, model: str, *overrides: str, limit: int | None = None
) -> dict[str, float]:
    task = make_task(task_name, MIRROR, *overrides)
    splits: Splits = subset(task.load(), limit)
    method = instantiate(composed().method, _convert_="all")
    backbone = make_backbone(model, ESM2_8M)
    metrics = [find(name) for name in task.metrics]
    return evaluate(task, splits, backbone, method, metrics, 0).tests["test"].scores


def test_secondary_structure_of_esm2_8m_and_of_a_window() -> None:
    """An independent linear Q3 probe gave 0.748 for ESM-2 8M and 0.621 for a one-hot window of 15.

    On other chains, so within three hundredths.
    """
    assert scores("pocket_ss8", "huggingface")["q3"] == pytest.approx(0.748, abs=0.03)
    assert scores("pocket_ss8", "onehot")["q3"] == pytest.approx(0.621, abs=0.03)


def test_localization_of_esm2_8m_and_of_composition() -> None:
    """An independent linear probe gave accuracy 0.645 for ESM-2 8M, 0.42 for the composition.

    It had 1,000 training proteins of DeepLoc; so has this one. Of the chains that ESM-2 reads, the
    first 250 residues are enough: signal peptides are at the N-terminus.
    """
    method = instantiate(composed().method, _convert_="all")
    found = {}
    for backbone, length in ((make_backbone("huggingface", ESM2_8M), 250), (Kmer(1), 1022)):
        task = make_task(
            "pocket_location",
            MIRROR,
            "task.source=hub:biomap-research/localization_prediction",
            "task.columns.group=null",
            "task.allow={truncated: 1.0, unknown_letters: 1.0}",
            "task.sizes={}",
            f"task.max_length={length}",
        )
        whole = task.load()  # ordered by class: a share of it must be drawn, not cut off
        train, valid = subset(whole, 1000).train, subset(whole, 100).valid
        splits = Splits(train, valid, subset(whole, 350).tests, whole.report)
        scored = evaluate(task, splits, backbone, method, [find("accuracy")], 0).tests["test"]
        found[type(backbone).__name__] = scored.scores["accuracy"]

    assert found["HuggingFace"] == pytest.approx(0.645, abs=0.05)
    assert found["Kmer"] == pytest.approx(0.42, abs=0.07)


def test_contact_runs_from_a_mirror() -> None:
    """Every range is scored; a language model sees more contacts than a window of residues."""
    floor = scores("contact", "onehot", limit=60)
    model = scores("contact", "huggingface", limit=60)

    assert set(floor) == set(make_task("contact").metrics)
    assert model["p_at_l5"] > floor["p_at_l5"] > 0.03, "the base rate is 0.029"


def test_contacts_of_esm2_8m_by_its_own_head() -> None:
    """An independent program gave P@L/5 0.400 and P@L 0.255 on the first 200 chains."""
    structures = np.load(SHARED / "data" / "pdb_chains_cb.npz")
    offset, chains, labels = structures["offset"], [], []
    for start, stop in pairwise(offset[:201]):
        chains.append(bytes(structures["seq"][start:stop]).decode())
        places = structures["cb"][start:stop] / 10.0  # tenths of an Å
        near = np.linalg.norm(places[:, None] - places[None], axis=-1) < 8.0
        labels.append(np.argwhere(np.triu(near, 7)))
    method = instantiate(composed("method=contact_head").method, _convert_="all")
    backbone = make_backbone("huggingface", ESM2_8M)
    predictor = method.fit([], [], FitContext(backbone, Readout("pair", "classification", 2, 6), 0))
    kept = [rank_pairs(np.asarray(p), 7) for p in predictor.predict([(c,) for c in chains])]

    pairs = zip(chains, labels, strict=True)
    examples = [Example((chain,), label, chain, chain) for chain, label in pairs]
    assert find("p_at_l5").scores(kept, examples) == pytest.approx(0.400, abs=5e-4)
    assert find("p_at_l").scores(kept, examples) == pytest.approx(0.255, abs=5e-4)


def test_a_human_antibody_is_recovered_by_sapiens() -> None:
    """The folder has no tokenizer but a list of tokens; its recovery was 0.93, shuffled 0.12."""
    backbone = make_backbone("huggingface", SHARED / "models" / "sapiens_vh_roberta")
    assert "masked_log_probs" in backbone.abilities
    natural = (
        "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAE"
        "DTAVYYCAKDRLSITIRPRYYGLDVWGQGTTVTVSS"
    )
    shuffled = "".join(np.random.default_rng(0).permutation(list(natural)))
    recovered = {}
    for chain in (natural, shuffled):
        hidden = [chain[:i] + MASK + chain[i + 1 :] for i in range(len(chain))]
        tables = backbone.masked_log_probs(hidden)
        message = "".join(RESIDUES[table[i].argmax()] for i, table in enumerate(tables))
        recovered[chain] = np.mean([a == b for a, b in zip(message, chain, strict=True)])

    assert recovered[natural] == pytest.approx(0.93, abs=0.03)
    assert recovered[shuffled] == pytest.approx(0.12, abs=0.05)


@pytest.mark.parametrize(("assay", "measured"), [("HIC", 242), ("HAC", 94), ("SEC %Monomer", 242)])
def test_antibodies_are_scored_fold_by_fold(assay: str, measured: int) -> None:
    """Two chains, the source's five folds, missing values; SciPy agrees on the mean over folds."""
    task = make_task(
        "antibody_developability", f"task.source=file:{SHARED / 'data/antibody/gdpa1.csv.gz'}",
        f"task.assay={assay}",
    )  # fmt: skip
    splits = check_splits(task)
    assert sorted(map(len, splits.tests.values())) == [46, 48, 49, 49, 54]
    method = instantiate(composed().method, _convert_="all")
    found = evaluate(task, splits, Kmer(1), method, [find("spearman")], 0).tests
    by_hand = []
    for fold, examples in splits.tests.items():
        labels = [float(example.label) for example in examples]
        guesses = [float(np.asarray(guess)) for guess in found[fold].predictions]
        by_hand.append(spearmanr(guesses, labels, nan_policy="omit").statistic)

    assert next(iter(found)) == "mean" and found["mean"].scored == measured
    assert found["mean"].scores["spearman"] == pytest.approx(np.mean(by_hand))
    assert splits.report.also_in_train == {}


def test_every_mirrored_format_of_labels_reads(tmp_path: Path) -> None:
    """Strings for numbers, lists of classes with unknown ones, two chains in one cell."""
    path = SHARED / "data" / "biomap-research"
    real = make_task(
        "pocket_metal", "task.kind=regression", "task.size=1", "task.columns.group=null",
        f"task.source=file:{path / 'fitness_prediction'}", "task.sizes={}",
    )  # fmt: skip
    assert np.isfinite([float(np.asarray(e.label)) for e in real.load().train]).all()
    ssp = make_task(
        "pocket_ss8", "task.size=3", "task.states=HEC", "task.columns={label: label, group: null}",
        f"task.source=file:{path / 'ssp_q3'}", "task.sizes={}", "task.allow.truncated=1.0",
        "task.allow.unknown_letters=1.0", "task.metrics=[q3]",
    )  # fmt: skip
    splits = ssp.load()
    assert splits.report.valid.startswith("10%")
    assert splits.report.changes["train"]["unknown_answers"] > 0
    pairs = make_task(
        "pocket_metal", f"task.source=file:{path / 'peptide_HLA_MHC_affinity'}", "task.sizes={}",
        "task.columns.group=null", "task.allow.unknown_letters=1.0",
    )  # fmt: skip
    assert {len(e.chains) for e in pairs.load().train} == {2}
