"""Metrics with their references, and test sets that they can score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from sklearn import metrics as sk

from benchmark import metrics
from benchmark.core import Array, Metric, Value
from benchmark.metrics import classification, ranking, regression, secondary_structure
from benchmark.metrics import perplexity as expected_residues
from benchmark.metrics.answers import labelled
from benchmark.metrics.contact import rank_pairs

# the same definition summed in another order
TOLERANCE = 1e-12
TestSet = tuple[list[Array], list[Array]]
ALL = {
    name: metric
    for name, metric in metrics.known().items()
    if ".generation." not in metric.fn.__module__  # tests/metrics/test_generation.py
}
CONTACT_METRICS = [metric for name, metric in ALL.items() if name.startswith("p_at_l")]


def score(
    metric: Metric,
    predictions: Sequence[Value | float],
    labels: Sequence[Value | float],
    weights: Array | None = None,
) -> Array:
    """Scores of predictions of examples that have these labels."""
    return metric.scores([np.asarray(p) for p in predictions], labelled(*labels), weights)


N = 40


def one_each(rng: np.random.Generator) -> list[tuple[int, ...]]:
    return [()] * N


def one_per_residue(rng: np.random.Generator) -> list[tuple[int, ...]]:
    return [(int(length),) for length in rng.integers(1, 9, N)]


def labels_of_k(rng: np.random.Generator) -> list[tuple[int, ...]]:
    return [(3,)] * N


@dataclass(frozen=True)
class Kind:
    """How to make answers of one kind, with ties."""

    shapes: Callable[[np.random.Generator], list[tuple[int, ...]]]
    classes: int = 0
    """0: real answers."""

    def make(self, seed: int) -> TestSet:
        """Draw N examples, better predicted than by chance."""
        rng = np.random.default_rng(seed)
        predictions: list[Array] = []
        labels: list[Array] = []
        for shape in self.shapes(rng):
            if self.classes == 0:
                label = rng.normal(size=shape).round(1)
                prediction = (label + rng.normal(size=shape)).round(1)
            elif self.classes == 2:
                label = rng.integers(0, 2, shape)
                prediction = np.clip(0.3 * label + rng.random(shape) * 0.7, 0, 1).round(1)
            else:
                label = rng.integers(0, self.classes, shape)
                prediction = rng.random((*shape, self.classes))
                prediction += 0.4 * np.eye(self.classes)[label]
            predictions.append(np.asarray(prediction))
            labels.append(np.asarray(label))
        return predictions, labels

    def perfect(self, labels: list[Array]) -> list[Array]:
        """Predict what is true."""
        if self.classes > 2:
            return [np.eye(self.classes)[label] for label in labels]
        return [label.astype(float) for label in labels]

    def forget(self, label: Array, where: Array) -> Array:
        """Make answers unknown."""
        return np.where(where, np.nan if self.classes == 0 else -1, label)


class Expected(Kind):
    """Log-probabilities of residues, all of them asked."""

    def make(self, seed: int) -> TestSet:
        """Draw N proteins."""
        rng = np.random.default_rng(seed)
        drawn = [np.log(rng.uniform(0.01, 0.99, shape)) for shape in self.shapes(rng)]
        return drawn, [np.zeros(len(logs)) for logs in drawn]


def flat(values: list[Array], k: int = 0) -> Array:
    return np.concatenate([v.reshape(-1, k) if k else v.reshape(-1) for v in values])


BINARY, BINARY_RESIDUE = Kind(one_each, 2), Kind(one_per_residue, 2)
MULTI, MULTI_RESIDUE = Kind(one_each, 5), Kind(one_per_residue, 5)
REAL, REAL_RESIDUE = Kind(one_each), Kind(one_per_residue)
LABELS = Kind(labels_of_k, 2)
EXPECTED = Expected(one_per_residue)
STATES8, STATES3 = Kind(one_per_residue, 8), Kind(one_per_residue, 3)
THREE = np.array([0, 0, 0, 1, 1, 2, 2, 2])


def by_class(score: Callable[..., float]) -> Callable[[list[Array], list[Array]], float]:
    def reference(predictions: list[Array], labels: list[Array]) -> float:
        extra = predictions[0].ndim - labels[0].ndim
        p = flat(predictions, predictions[0].shape[-1]).argmax(1) if extra else None
        return float(score(flat(labels), flat(predictions) > 0.5 if p is None else p))

    return reference


def by_answer(score: Callable[..., float]) -> Callable[[list[Array], list[Array]], float]:
    return lambda predictions, labels: float(score(flat(labels), flat(predictions)))


def by_label(score: Callable[..., float]) -> Callable[[list[Array], list[Array]], float]:
    def reference(predictions: list[Array], labels: list[Array]) -> float:
        return float(score(np.array(labels), np.array(predictions), average="macro"))

    return reference


def by_state(per_protein: bool, map_to_three: bool) -> Callable[..., float]:
    def reference(predictions: list[Array], labels: list[Array]) -> float:
        shares, right = [], []
        for p, y in zip(predictions, labels, strict=True):
            state, truth = p.argmax(1), y
            if map_to_three and p.shape[1] == 8:
                state, truth = THREE[state], THREE[y]
            right += list(state == truth)
            shares.append(np.mean(state == truth))
        return float(np.mean(shares if per_protein else right))

    return reference


def geometric_mean(predictions: list[Array], labels: list[Array]) -> float:
    """Of the inverse probabilities, which is what perplexity is."""
    return float(stats.gmean(np.exp(-flat(predictions))))


def mean_of_proteins(predictions: list[Array], labels: list[Array]) -> float:
    return float(np.mean([stats.gmean(np.exp(-logs)) for logs in predictions]))


def entropy_in_bits(predictions: list[Array], labels: list[Array]) -> float:
    return float(np.mean(-flat(predictions) / np.log(2)))


def corrected(predictions: list[Array], labels: list[Array]) -> float:
    """Each probability is solved for, from what training shows at a predicted position."""
    shown = np.exp(flat(predictions).astype(np.float64))
    solved = [brentq(lambda p, s=s: posterior(p) - s, 0, 1, xtol=1e-14) for s in shown.tolist()]
    return float(stats.gmean(1 / np.array(solved)))


def posterior(p: float) -> float:
    """Probability that a shown residue is the true one, over the 20 true ones and their fates."""
    true = np.array([p, *[(1 - p) / 19] * 19])
    shows_first = 0.1 * np.eye(20)[0] + 0.1 / 20
    return float(true[0] * shows_first[0] / (true @ shows_first))


def f1(average: str) -> Callable[..., float]:
    return lambda y, p: float(sk.f1_score(y, p, average=average, zero_division=0))


def first_of(statistic: Callable[..., tuple[float, float]]) -> Callable[..., float]:
    return lambda y, p: float(statistic(p, y)[0])


CASES: list[tuple[Metric, Kind, Callable[..., float]]] = [
    *[
        (metric, kind, by_class(reference))
        for metric, reference in [
            (classification.accuracy, sk.accuracy_score),
            (classification.balanced_accuracy, sk.balanced_accuracy_score),
            (classification.f1_macro, f1("macro")),
            (classification.f1_weighted, f1("weighted")),
            (classification.mcc, sk.matthews_corrcoef),
        ]
        for kind in (BINARY, BINARY_RESIDUE, MULTI, MULTI_RESIDUE)
    ],
    *[
        (metric, kind, by_answer(reference))
        for metric, reference in [
            (ranking.roc_auc, sk.roc_auc_score),
            (ranking.pr_auc, sk.average_precision_score),
        ]
        for kind in (BINARY, BINARY_RESIDUE)
    ],
    (ranking.roc_auc_macro, LABELS, by_label(sk.roc_auc_score)),
    (ranking.pr_auc_macro, LABELS, by_label(sk.average_precision_score)),
    *[
        (metric, kind, by_answer(reference))
        for metric, reference in [
            (regression.spearman, first_of(stats.spearmanr)),
            (regression.pearson, first_of(stats.pearsonr)),
            (regression.r2, sk.r2_score),
            (regression.rmse, sk.root_mean_squared_error),
        ]
        for kind in (REAL, REAL_RESIDUE)
    ],
    (expected_residues.perplexity, EXPECTED, geometric_mean),
    (expected_residues.perplexity_per_protein, EXPECTED, mean_of_proteins),
    (expected_residues.bits_per_residue, EXPECTED, entropy_in_bits),
    (expected_residues.single_pass_uncorrected, EXPECTED, geometric_mean),
    (expected_residues.single_pass_pseudo_perplexity, EXPECTED, corrected),
    (secondary_structure.q8, STATES8, by_state(False, False)),
    (secondary_structure.q8_per_protein, STATES8, by_state(True, False)),
    *[
        (metric, kind, by_state(per_protein, True))
        for metric, per_protein in [
            (secondary_structure.q3, False),
            (secondary_structure.q3_per_protein, True),
        ]
        for kind in (STATES8, STATES3)
    ],
]
every_case = pytest.mark.parametrize(
    ("metric", "kind", "reference"),
    CASES,
    ids=[f"{m.name}-{k.shapes.__name__}-{k.classes}" for m, k, _ in CASES],
)
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=list(ALL))


def example_of(metric: Metric) -> TestSet:
    """Some test set that the metric can score."""
    for each, kind, _ in CASES:
        if each is metric:
            return kind.make(0)
    rng = np.random.default_rng(0)
    sizes = rng.integers(30, 60, N)
    scores = [np.triu(s) + np.triu(s).T for s in (rng.random((size, size)) for size in sizes)]
    contacts = [np.argwhere(np.triu(rng.random(s.shape) < 0.3)) for s in scores]
    return [rank_pairs(s, 7) for s in scores], contacts


def perfect_of(metric: Metric, predictions: list[Array], labels: list[Array]) -> list[Array]:
    """The best predictions of these labels."""
    for each, kind, _ in CASES:
        if each is metric:
            return kind.perfect(labels)
    maps = [np.zeros((pairs["length"][0],) * 2) for pairs in predictions]
    for scores, label in zip(maps, labels, strict=True):
        scores[label[:, 0], label[:, 1]] = scores[label[:, 1], label[:, 0]] = 1
    return [rank_pairs(scores, 7) for scores in maps]


def repeated(values: list[Array], counts: Array) -> list[Array]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
