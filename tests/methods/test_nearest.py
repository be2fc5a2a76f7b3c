"""Answers of similar training proteins: found, aligned, weighted and chosen as documented."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.backbones.baselines.none import NoModel
from benchmark.core import Array, Example, FitContext, Readout, UserError, contact_map
from benchmark.data.similarity import neighbours
from benchmark.methods.nearest import Memory, Nearest
from tests.command_line import refused, run_cli
from tests.conftest import random_chain

CHAINS = [random_chain(np.random.default_rng(seed), 150 + seed) for seed in range(30)]
OPTIONS = "-s 7.5 -e 0.001"


def mutated(chain: str, share: float, seed: int = 0) -> str:
    """The chain with a share of its residues drawn anew."""
    rng = np.random.default_rng(seed)
    letters = list(chain)
    for place in rng.choice(len(chain), round(len(chain) * share), replace=False):
        letters[place] = random_chain(rng, 1)
    return "".join(letters)


def examples(chains: list[str], labels: list[Array]) -> list[Example]:
    pairs = zip(chains, labels, strict=True)
    return [Example((c,), label, str(i), str(i)) for i, (c, label) in enumerate(pairs)]


def predicted(
    train: list[Example], queries: list[str], readout: Readout, prior: float = 1e-6
) -> list[Array]:
    method = Nearest(neighbours=[1], priors=[prior], sensitivity=7.5, evalue=0.001)
    predictor = method.fit(train, train[:3], FitContext(NoModel(), readout, 0))
    return [np.asarray(p) for p in predictor.predict([(chain,) for chain in queries])]


def aligned_by_biotite(query: str, target: str) -> dict[int, int]:
    """Residue of the query -> residue of the target, by an optimal local alignment."""
    pair = ProteinSequence(query), ProteinSequence(target)
    matrix = SubstitutionMatrix.std_protein_matrix()
    trace = align_optimal(*pair, matrix, gap_penalty=(-11, -1), local=True)[0].trace
    return {int(i): int(j) for i, j in trace if i >= 0 and j >= 0}


@pytest.mark.slow
def test_similarity_is_the_share_of_equal_residues_and_unrelated_chains_have_none() -> None:
    cut = CHAINS[3][:60] + CHAINS[3][75:]
    queries = [
        mutated(CHAINS[0], 0.2),
        cut,
        CHAINS[5],
        random_chain(np.random.default_rng(99), 180),
    ]
    found = list(
        neighbours([(q,) for q in queries], [(c,) for c in CHAINS], 3, OPTIONS, columns=True)
    )

    assert [[n.row for n in near] for near in found] == [[0], [3], [5], []]
    equal = np.mean([a == b for a, b in zip(queries[0], CHAINS[0], strict=True)])
    assert found[0][0].similarity == pytest.approx(equal)
    assert found[1][0].similarity == pytest.approx(1.0, abs=0.02), "all its residues are aligned"
    assert found[2][0].similarity == 1
    reference = aligned_by_biotite(cut, CHAINS[3])
    columns = found[1][0].columns
    assert columns is not None
    assert dict(zip(*[c.tolist() for c in columns], strict=True)) == reference


def test_peptides_and_variants_are_compared_residue_by_residue() -> None:
    known = ["ACDEFGHIK", "ACDEFGWWW", "WWWWWWWWW"]
    (near,) = neighbours([("ACDEFGHIR",)], [(k,) for k in known], 9, OPTIONS, columns=False)

    assert [(n.row, n.similarity) for n in near] == [
        (0, pytest.approx(8 / 9)),
        (1, pytest.approx(6 / 9)),
    ]


def test_pairs_are_similar_by_the_mean_of_their_chains() -> None:
    known = [("ACDEFGHIK", "LLLLLLLL"), ("ACDEFGHIK", "MNPQRSTV"), ("ACDEFWWWW", "MNPQRSTV")]
    (near,) = neighbours([("ACDEFGHIK", "MNPQRSTV")], known, 2, OPTIONS, columns=False)

    assert [(n.row, n.similarity) for n in near] == [(1, 1.0), (2, pytest.approx((5 / 9 + 1) / 2))]


def test_a_protein_has_the_label_of_its_nearest_and_else_the_mean_of_train() -> None:
    labels = [np.asarray(float(i)) for i in range(len(CHAINS))]
    queries = [mutated(CHAINS[7], 0.3), random_chain(np.random.default_rng(98), 160)]
    found = predicted(examples(CHAINS, labels), queries, Readout("protein", "regression"))

    assert found[0] == pytest.approx(7, abs=1e-3)
    assert found[1] == pytest.approx(np.mean(labels))


@pytest.mark.slow
def test_the_prior_and_the_weights_are_the_documented_mean() -> None:
    labels = [np.asarray(i % 3) for i in range(len(CHAINS))]
    query = mutated(CHAINS[8], 0.3)
    equal = float(np.mean([a == b for a, b in zip(query, CHAINS[8], strict=True)]))
    train = examples(CHAINS, labels)
    method = Nearest(neighbours=[1], priors=[0.5], sensitivity=7.5, evalue=0.001)
    predictor = method.fit(
        train, train, FitContext(NoModel(), Readout("protein", "classification", 3), 0)
    )
    (found,) = predictor.predict([(query,)])

    weight = {"uniform": 1.0, "similarity": equal}[predictor.choices["weights"]]
    wanted = (weight * np.eye(3)[2] + 0.5 * np.full(3, 1 / 3)) / (weight + 0.5)
    np.testing.assert_allclose(np.asarray(found), wanted)


@pytest.mark.slow
def test_residues_are_copied_through_the_alignment() -> None:
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, 4, len(chain)) for chain in CHAINS]
    labels[3][10] = -1
    query = CHAINS[3][:60] + CHAINS[3][75:]
    (found,) = predicted(examples(CHAINS, labels), [query], Readout("residue", "classification", 4))

    wanted = np.concatenate([labels[3][:60], labels[3][75:]])
    known = wanted != -1
    assert (found.argmax(axis=1) == wanted)[known].all()
    counts = np.bincount(np.concatenate(labels)[np.concatenate(labels) >= 0])
    np.testing.assert_allclose(found[10], counts / counts.sum(), err_msg="unknown: the mean")


@pytest.mark.slow
def test_contacts_are_copied_and_the_rest_follows_the_separation() -> None:
    labels = []
    for chain in CHAINS:
        i = np.arange(0, len(chain) - 30, 3)
        labels.append(np.stack([i, i + 8 + i % 20], axis=1))
    readout = Readout("pair", "classification", 2, 6)
    query = CHAINS[4][:50] + CHAINS[4][58:]
    stranger = random_chain(np.random.default_rng(97), 120)
    found, mean = predicted(examples(CHAINS, labels), [query, stranger], readout)

    rest = [*range(50), *range(58, len(CHAINS[4]))]
    wanted = contact_map(labels[4], len(CHAINS[4]))[np.ix_(rest, rest)]
    i, j = np.triu_indices(len(query), 6)
    assert ((found[i, j] > 0.5) == wanted[i, j]).all()
    np.testing.assert_array_equal(found, found.T)
    apart = [np.diagonal(mean, k) for k in (9, 30, 80)]
    assert all((part == part[0]).all() for part in apart), "one rate for each bin of separation"
    assert apart[0][0] > apart[2][0] == 0


def test_contact_maps_of_train_are_not_held() -> None:
    """Two of numbers for each of 60 chains of 200 residues would take 38 MB."""
    pairs = np.array([[0, 50], [3, 90]])
    train = examples([random_chain(np.random.default_rng(k), 200) for k in range(60)], [pairs] * 60)
    settings = Nearest(neighbours=[1, 3], priors=[1.0], sensitivity=7.5, evalue=0.001)
    tracemalloc.start()
    memory = Memory(train, Readout("pair", "classification", 2, 6), settings)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size < 1e6
    assert memory.mean.sum() > 0 and memory.answer_of(0).values.sum() == 4


@pytest.mark.slow
def test_k_is_chosen_on_valid() -> None:
    """Noisy labels in families of relatives: the mean of many is better than the nearest."""
    rng = np.random.default_rng(0)
    chains, labels = [], []
    for family in range(8):
        for member in range(12):
            chains.append(mutated(CHAINS[family], 0.25, member))
            labels.append(np.asarray(family + rng.normal(0, 2)))
    order = rng.permutation(len(chains)).tolist()
    everything = examples([chains[i] for i in order], [labels[i] for i in order])
    method = Nearest(neighbours=[1, 10], priors=[0.01], sensitivity=7.5, evalue=0.001)
    context = FitContext(NoModel(), Readout("protein", "regression"), 0)
    choices = method.fit(everything[:70], everything[70:], context).choices

    assert choices["neighbours"] == 10
    assert choices["valid_without_neighbour"] == 0


def test_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="method=nearest uses no model"):
        Nearest(neighbours=[1], priors=[1], sensitivity=1, evalue=1).fit(
            [], [], FitContext(Kmer(1), Readout("protein", "regression"), 0)
        )
    done = run_cli("method=nearest", "method.neighbours=[0]", "store=off", cwd=tmp_path)
    assert "method.neighbours=[0] is not a list" in refused(done)


def test_of_several_processes_the_first_alone_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.methods.nearest.rank", lambda: 1)
    monkeypatch.setattr("benchmark.methods.nearest.neighbours", None)
    train = examples(CHAINS, [np.array(float(at)) for at in range(len(CHAINS))])
    found = predicted(train, CHAINS[:4], Readout("protein", "regression"))
    assert [answer.size for answer in found] == [0] * 4
