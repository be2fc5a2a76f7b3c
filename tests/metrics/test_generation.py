"""Metrics of generated sequences against independent computations and by hand."""

import subprocess
from collections import Counter
from math import exp, isnan, log, nan
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, jensenshannon, pdist
from scipy.stats import entropy, wasserstein_distance
from sklearn.metrics.pairwise import rbf_kernel

from benchmark import metrics
from benchmark.core import RESIDUES, Example, SetMetric
from benchmark.data.reference import open_reference
from benchmark.metrics.generation.composition import WINDOW, low_entropy
from benchmark.metrics.generation.measured import Measured
from tests.conftest import require_program

NAMES = sorted(name for name, m in metrics.known().items() if ".generation." in m.fn.__module__)
rng = np.random.default_rng(0)


def random_chains(number: int, low: int = 40, high: int = 120) -> list[str]:
    return ["".join(rng.choice(list(RESIDUES), rng.integers(low, high))) for _ in range(number)]


def against(natural: list[str]) -> list[Example]:
    return [Example(("",), np.asarray(c), str(i), str(i)) for i, c in enumerate(natural)]


def score(name: str, made: list[Measured], natural: list[str] | None = None) -> float:
    examples = against(natural or [one.chain for one in made])
    return float(metrics.find(name).scores(made, examples)[0])


def of_chains(*chains: str) -> list[Measured]:
    return [Measured(chain) for chain in chains]


MADE, NATURAL = random_chains(30), random_chains(30, 60, 200)


def shares(chains: list[str], n: int) -> list[float]:
    counts = Counter(chain[at : at + n] for chain in chains for at in range(len(chain) - n + 1))
    words = [a + b for a in RESIDUES for b in RESIDUES] if n == 2 else list(RESIDUES)
    return [counts[word] / counts.total() for word in words]


@pytest.mark.parametrize(("name", "n"), [("residue_divergence", 1), ("dipeptide_divergence", 2)])
def test_divergences_are_scipys(name: str, n: int) -> None:
    expected = jensenshannon(shares(MADE, n), shares(NATURAL, n), base=2) ** 2

    assert score(name, of_chains(*MADE), NATURAL) == pytest.approx(expected, rel=1e-9)


def test_the_distance_of_lengths_is_scipys() -> None:
    lengths = ([len(chain) for chain in chains] for chains in (MADE, NATURAL))

    found = score("length_distance", of_chains(*MADE), NATURAL)

    assert found == pytest.approx(wasserstein_distance(*lengths))


def embedded(n: int, d: int, shift: float = 0.0) -> list[Measured]:
    a, b = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift, rng.normal(size=(n, d))
    return [Measured("A", embedding=x, natural=y) for x, y in zip(a, b, strict=True)]


def both(made: list[Measured]) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([one.embedding for one in made]), np.stack([one.natural for one in made])


def test_the_frechet_distance_is_that_of_scipys_matrix_root() -> None:
    made = embedded(60, 5, shift=0.5)
    a, b = both(made)
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    spread = np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)

    found = score("frechet_distance", made)

    assert found == pytest.approx(((a.mean(0) - b.mean(0)) ** 2).sum() + spread, rel=1e-9)


def test_the_frechet_distance_needs_ten_sequences_for_each_dimension() -> None:
    assert isnan(score("frechet_distance", embedded(49, 5)))
    assert score("frechet_distance", embedded(50, 5)) > 0


def test_mmd_is_that_of_scikit_learns_kernel() -> None:
    made = embedded(40, 4, shift=0.3)
    a, b = both(made)
    gamma = 1 / (2 * np.median(pdist(b)) ** 2)
    n = len(a)

    def within(x: np.ndarray) -> float:
        return (rbf_kernel(x, gamma=gamma).sum() - n) / (n * (n - 1))

    expected = within(a) + within(b) - 2 * rbf_kernel(a, b, gamma=gamma).mean()

    assert score("mmd", made) == pytest.approx(expected, rel=1e-9)


def test_mmd_is_unbiased() -> None:
    """Its mean over sets of one distribution is 0, and clearly more for a shifted one."""

    def draw(shift: float) -> float:
        a, b = rng.normal(shift, 1, (2, 30, 3)) - [[[0]], [[shift]]]
        return score(
            "mmd", [Measured("A", embedding=x, natural=y) for x, y in zip(a, b, strict=True)]
        )

    same, shifted = ([draw(shift) for _ in range(200)] for shift in (0.0, 1.0))

    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert np.mean(shifted) > 10 * np.std(same) / np.sqrt(200)


def test_perplexities_are_over_residues() -> None:
    made = [
        Measured("AC", log_likelihood=-1.0, scored=3, judge=-2.0, judged=2),
        Measured("ACDE", log_likelihood=-2.0, scored=5, judge=-1.0, judged=4),
        Measured(""),
    ]

    assert score("judge_perplexity", made) == pytest.approx(exp((2 * 2 + 4 * 1) / 6))
    assert score("own_perplexity", made) == pytest.approx(exp((3 * 1 + 5 * 2) / 8))


def test_repeats_and_runs_by_hand() -> None:
    assert score("repeats_3", of_chains("ACDACD")) == pytest.approx(1 / 4)
    assert score("repeats_6", of_chains("ACDACDACD")) == pytest.approx(1 / 4)
    assert isnan(score("repeats_6", of_chains("ACDAC")))
    assert score("longest_run", of_chains("AACCCD", "ACD")) == 2


def test_low_complexity_is_where_scipys_entropy_is_low() -> None:
    plain = "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY"
    chain = plain + "Q" * 14 + plain
    low = low_entropy(chain)
    values = [
        entropy(list(Counter(chain[at : at + WINDOW]).values()), base=2)
        for at in range(len(chain) - WINDOW + 1)
    ]
    inside = [at for at, value in enumerate(values) if value <= 2.5]

    assert low.nonzero()[0].tolist() == list(range(inside[0], inside[-1] + WINDOW))
    assert not low_entropy(plain).any() and not low_entropy("QQQQ").any()


@pytest.mark.slow
def test_low_complexity_agrees_with_segmasker(tmp_path: Path) -> None:
    """Over natural proteins: the same segments, before SEG's trimming of their ends."""
    require_program("segmasker")
    chains = open_reference("package:natural.fasta.gz").draw(500, 500, 0)
    fasta = tmp_path / "in.fasta"
    fasta.write_text("".join(f">{at}\n{chain}\n" for at, chain in enumerate(chains)))
    done = subprocess.run(
        ["segmasker", "-in", fasta, "-outfmt", "fasta"], capture_output=True, text=True, check=True
    )
    records = done.stdout.split(">")[1:]
    masked = ["".join(record.split("\n")[1:]) for record in records]
    theirs = [np.array([letter.islower() for letter in chain]) for chain in masked]
    ours = [low_entropy(chain) for chain in chains]

    a, b = np.concatenate(ours), np.concatenate(theirs)
    assert (a & b).sum() / b.sum() > 0.95  # what SEG masks is found
    agreement = np.corrcoef([x.mean() for x in ours], [x.mean() for x in theirs])[0, 1]
    assert agreement > 0.9


def test_novelty_by_hand() -> None:
    identities = [0.0, 0.3, 0.5, 0.89, 0.9, 1.0, nan]
    made = [Measured("A", identity=x, coverage=x or nan) for x in identities]

    found = {name: score(name, made) for name in NAMES if "identity_" in name or "hit" in name}

    assert found["without_hit"] == found["identity_below_50"] == pytest.approx(1 / 6)
    assert found["identity_50_90"] == found["identity_from_90"] == pytest.approx(2 / 6)
    assert score("nearest_identity", made) == pytest.approx(3.59 / 5)


def test_pairwise_identity_by_hand() -> None:
    chain = "MKTAYIAKQRQISFVKSHFSRQ"
    other = chain[:11] + "".join("W" if c != "W" else "A" for c in chain[11:])

    assert score("pairwise_identity", of_chains(chain, chain, chain)) == 1
    assert score("pairwise_identity", of_chains(chain, other)) == pytest.approx(0.5, abs=0.1)


def test_clusters_are_per_hundred_sequences() -> None:
    made = [Measured("A", cluster=number) for number in (0, 0, 1, 2)] + [Measured("")]

    assert score("clusters_per_100", made) == 75


def test_structure_is_over_residues() -> None:
    made = [
        Measured("A" * 30, structure=np.array([0.5, 0.25, 0.25])),
        Measured("A" * 10, structure=np.array([0.1, 0.1, 0.8])),
    ]

    assert score("helix", made) == pytest.approx((30 * 0.5 + 10 * 0.1) / 40)
    assert score("strand", made) + score("helix", made) + score("coil", made) == pytest.approx(1)


DEFINED_OF_EMPTY = {"length": 0.0, "length_distance": 3.0}


def test_empty_sequences_have_no_scores_but_lengths() -> None:
    found = {name: score(name, of_chains("", ""), ["ACD", "ACD"]) for name in NAMES}

    assert {name: value for name, value in found.items() if not isnan(value)} == DEFINED_OF_EMPTY


EQUAL = {"duplicates": 0.75, "length_distance": 0, "residue_divergence": 0, "pairwise_identity": 1}


def test_equal_sequences_against_themselves() -> None:
    """All equal, and equal to the reference."""
    made = of_chains(*["ACDEFGHIKLMNPQRSTVWY" * 2] * 4)

    for name, expected in EQUAL.items():
        assert score(name, made) == pytest.approx(expected), name


def test_one_sequence() -> None:
    made = [Measured("ACDEFGHIKL", cluster=0, embedding=np.ones(3), natural=np.zeros(3))]

    assert score("duplicates", made) == 0
    assert score("clusters_per_100", made) == 100
    for name in ("pairwise_identity", "mmd", "frechet_distance"):
        assert isnan(score(name, made)), name


def test_a_set_against_itself_has_no_distance() -> None:
    made = [one._replace(natural=one.embedding) for one in embedded(60, 5)]

    assert score("frechet_distance", made) == pytest.approx(0, abs=1e-9)
    assert abs(score("mmd", made)) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_metrics_refuse_other_predictions_and_sets_have_no_weights(name: str) -> None:
    metric = metrics.find(name)
    with pytest.raises(ValueError, match="for generation tasks"):
        metric.scores([np.zeros(())], against(["ACD"]))
    if isinstance(metric, SetMetric):
        with pytest.raises(ValueError, match="not defined under resampling"):
            metric.scores(of_chains("ACD"), against(["ACD"]), np.full((1, 1), 2))


def test_uniform_residues_have_an_entropy_of_their_logarithm() -> None:
    """A check of the judge's scale: uniform probabilities have a perplexity of 20."""
    assert score("judge_perplexity", [Measured("A", judge=-log(20), judged=1)]) == pytest.approx(20)


def test_distances_between_rows_are_scipys() -> None:
    from benchmark.metrics.generation.distribution import squared_distances

    a, b = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))

    np.testing.assert_allclose(squared_distances(a, b), cdist(a, b, "sqeuclidean"))
