"""Every metric against its reference, and the promises of `benchmark.metrics` for all of them."""

import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as sk

from benchmark import metrics
from benchmark.core import Array, Metric, UserError
from benchmark.metrics import classification, ranking, regression, secondary_structure
from benchmark.metrics import perplexity as expected_residues
from benchmark.metrics.answers import BLOCK
from benchmark.metrics.contact import CONTACT_METRICS, rank_pairs
from benchmark.metrics.secondary_structure import DSSP3, DSSP8

# the same definition summed in another order
TOLERANCE = 1e-12
TestSet = tuple[list[Array], list[Array]]
MODULES = [import_module(f"benchmark.metrics.{m.name}") for m in iter_modules(metrics.__path__)]
ALL = {m.name: m for module in MODULES for m in vars(module).values() if isinstance(m, Metric)}
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


def repeated(values: list[Array], counts: Array) -> list[Array]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def test_every_metric_is_covered() -> None:
    assert set(ALL) == {m.name for m, _, _ in CASES} | {m.name for m in CONTACT_METRICS}


@every_metric
def test_a_metric_is_found_by_its_name(metric: Metric) -> None:
    assert metrics.find(metric.name) is metric


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="no metric 'acuracy'; there are accuracy"):
        metrics.find("acuracy")


def test_every_metric_has_an_example() -> None:
    examples = {name for module in MODULES for name in getattr(module, "__test__", {})}
    assert examples == set(ALL) - {m.name for m in CONTACT_METRICS}
    assert all(">>>" in str(ALL[name].fn.__doc__) for name in examples)


def test_direction() -> None:
    lower = {name for name, each in ALL.items() if not each.higher_is_better}
    assert lower == {"rmse", "perplexity", "perplexity_per_protein"}


@every_case
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_reference(
    metric: Metric, kind: Kind, reference: Callable[..., float], seed: int
) -> None:
    predictions, labels = kind.make(seed)
    assert metric(predictions, labels) == pytest.approx(reference(predictions, labels), TOLERANCE)


@every_case
def test_weights_are_repetition(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(3)
    weights = np.random.default_rng(3).multinomial(N, np.full(N, 1 / N), size=5)
    expected = [reference(repeated(predictions, w), repeated(labels, w)) for w in weights]
    np.testing.assert_allclose(metric(predictions, labels, weights), expected, TOLERANCE)


@every_metric
def test_weights_are_repetition_for_the_metric_itself(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    weights = np.random.default_rng(4).integers(0, 3, (6, N)).astype(np.int32)
    expected = [metric(repeated(predictions, w), repeated(labels, w))[0] for w in weights]
    np.testing.assert_allclose(metric(predictions, labels, weights), expected, TOLERANCE)


@every_metric
def test_order_of_examples_is_irrelevant(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    order = np.random.default_rng(5).permutation(N)
    shuffled = metric([predictions[i] for i in order], [labels[i] for i in order])
    np.testing.assert_allclose(shuffled, metric(predictions, labels), TOLERANCE)


@every_case
def test_perfect_prediction_is_exactly_the_best(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(6)
    best = 1.0 if metric.higher_is_better or kind is EXPECTED else 0.0
    weights = np.random.default_rng(6).multinomial(N, np.full(N, 1 / N), size=5)
    assert (metric(kind.perfect(labels), labels, weights) == best).all()
    worse = metric(predictions, labels, weights)
    assert (worse < best if metric.higher_is_better else worse > best).all()


@every_case
def test_unknown_answers_are_never_scored(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(7)
    rng = np.random.default_rng(7)
    score = metric(predictions, labels)
    # whole examples: whatever is predicted there, the score is that of the others
    unknown = rng.random(N) < 0.3
    forgotten = [kind.forget(y, np.full(y.shape, u)) for y, u in zip(labels, unknown, strict=True)]
    without = [
        [v for v, u in zip(vs, unknown, strict=True) if not u] for vs in (predictions, labels)
    ]
    assert metric(predictions, forgotten) == pytest.approx(metric(*without), TOLERANCE)
    poisoned = [
        np.full(p.shape, np.nan) if u else p for p, u in zip(predictions, unknown, strict=True)
    ]
    assert metric(poisoned, forgotten) == pytest.approx(metric(*without), TOLERANCE)
    # single answers: more of them, all unknown, change nothing
    if kind.shapes is one_per_residue:
        longer_p = [np.concatenate([p, p[:1]]) for p in predictions]
        longer_y = [np.concatenate([y, kind.forget(y[:1], np.array([True]))]) for y in labels]
        assert metric(longer_p, longer_y) == pytest.approx(score, TOLERANCE)


@every_case
def test_nothing_to_score_is_nan(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(8)
    unknown = [kind.forget(y, np.full(y.shape, True)) for y in labels]
    assert np.isnan(metric(predictions, unknown, np.ones((2, N), dtype=np.int64))).tolist() == [
        1,
        1,
    ]


@every_metric
def test_a_resample_of_nothing_is_nan(metric: Metric) -> None:
    predictions, labels = example_of(metric)
    weights = np.ones((3, N), dtype=np.int64)
    weights[1] = 0
    assert np.isnan(metric(predictions, labels, weights)).tolist() == [False, True, False]
    assert np.isnan(metric([], [])).tolist() == [True]


@every_metric
def test_no_warning_and_float64(metric: Metric) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = metric(*example_of(metric))
    assert scores.shape == (1,)
    assert scores.dtype == np.float64


@every_case
def test_a_nan_prediction_is_refused(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(9)
    predictions[2] = np.full(predictions[2].shape, np.nan)
    with pytest.raises(ValueError, match="prediction of example 2 is NaN"):
        metric(predictions, labels)


@every_case
def test_a_wrong_shape_is_refused(
    metric: Metric, kind: Kind, reference: Callable[..., float]
) -> None:
    predictions, labels = kind.make(9)
    with pytest.raises(ValueError, match="example 1: a prediction of shape"):
        metric([predictions[0], np.zeros((2, 2, 2)), *predictions[2:]], labels)
    with pytest.raises(ValueError, match=f"{N - 1} predictions"):
        metric(predictions[1:], labels)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 41\)"):
        metric(predictions, labels, np.ones((1, N + 1), dtype=np.int64))


def test_one_class_and_constants_are_nan_in_their_resample_only() -> None:
    labels, predictions = [0, 0, 1, 1], [0.1, 0.1, 0.1, 0.9]
    weights = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0]])
    expected = {
        "roc_auc": [False, True, True, False],
        "pr_auc": [False, True, True, False],
        "mcc": [False, True, True, True],
        "spearman": [False, True, True, True],
        "pearson": [False, True, True, True],
        "r2": [False, True, True, False],
        "rmse": [False, False, False, False],
        "accuracy": [False, False, False, False],
        "balanced_accuracy": [False, False, False, False],
    }
    for name, undefined in expected.items():
        scores = ALL[name](predictions, labels, weights)
        assert np.isnan(scores).tolist() == undefined, name


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, -7e-9])
def test_a_constant_is_nan_whatever_its_rounding(value: float) -> None:
    rng = np.random.default_rng(0)
    constant, other = [value] * 37, list(rng.normal(size=37))
    weights = rng.integers(0, 4, (20, 37))
    for metric in (regression.pearson, regression.spearman):
        assert np.isnan(metric(constant, other, weights)).all()
        assert np.isnan(metric(other, constant, weights)).all()
    assert np.isnan(regression.r2(other, constant, weights)).all()


def test_an_outlier_outside_the_resample_costs_no_precision() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50))
    x[0] = 1e12
    weights = np.ones((1, 50), dtype=np.int64)
    weights[0, 0] = 0
    expected = stats.pearsonr(x[1:], y[1:])[0]
    assert regression.pearson(list(x), list(y), weights) == pytest.approx(expected, TOLERANCE)


@pytest.mark.parametrize("name", ["spearman", "pearson", "r2", "mcc"])
def test_a_negative_score_stays_negative(name: str) -> None:
    if name == "mcc":
        predictions, labels = BINARY.make(0)
        labels = [1 - y for y in labels]
        negative, positive = ALL[name](predictions, labels), ALL[name](*BINARY.make(0))
    else:
        predictions, labels = REAL.make(0)
        positive, negative = (
            ALL[name](predictions, labels),
            ALL[name]([-p for p in predictions], labels),
        )
    assert negative[0] < 0
    if name != "r2":
        assert negative == pytest.approx(-positive, TOLERANCE)


def test_a_score_below_chance_stays_below() -> None:
    predictions, labels = BINARY.make(0)
    up = ranking.roc_auc(predictions, labels)[0]
    assert up > 0.5
    assert ranking.roc_auc([-p for p in predictions], labels)[0] == pytest.approx(1 - up, TOLERANCE)


def test_a_label_without_both_sides_is_left_out_of_the_mean() -> None:
    labels = [np.array([0, 1, -1]), np.array([1, 1, 0]), np.array([1, 1, 1])]
    predictions = [np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.5, 0.3]), np.array([0.9, 0.5, 0.4])]
    weights = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0]])
    scores = ranking.roc_auc_macro(predictions, labels, weights)
    np.testing.assert_array_equal(scores, [(0.5 + 1) / 2, 0, np.nan])


def test_classes_never_predicted_or_never_labelled() -> None:
    p, y = np.array([0, 0, 3, 3, 1]), np.array([0, 2, 3, 0, 1])
    predictions = list(np.eye(6)[p])
    for metric, reference in [
        (classification.f1_macro, f1("macro")),
        (classification.f1_weighted, f1("weighted")),
        (classification.balanced_accuracy, sk.balanced_accuracy_score),
        (classification.mcc, sk.matthews_corrcoef),
    ]:
        weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 0, 3], [0, 1, 1, 1, 0]])
        for w in weights:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # y_pred contains classes not in y_true
                expected = reference(np.repeat(y, w), np.repeat(p, w))
            score = metric(predictions, list(y), w[None])
            assert score == pytest.approx(expected, TOLERANCE), (metric.name, w)


def test_a_binary_tie_is_class_0_as_it_is_with_two_probabilities() -> None:
    p, y = [0.5, 0.5, 0.6], [0, 1, 1]
    two = [np.array([1 - each, each]) for each in p]
    assert classification.accuracy(p, y) == classification.accuracy(two, y) == 2 / 3


def peak_mb(run: Callable[[], object]) -> float:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def test_memory_with_many_classes() -> None:
    rng = np.random.default_rng(0)
    n, k = 1000, 1195
    labels = list(rng.integers(0, k, n))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=100)
    predictions = list(np.eye(k, dtype=np.float32)[labels])
    assert (classification.f1_macro(predictions, labels, weights) == 1).all()
    # the predictions once more, and a few of (100, k); a table of (n, k) for each count is 29 MB
    assert peak_mb(lambda: classification.f1_macro(predictions, labels, weights)) < 15


@pytest.mark.parametrize("name", ["f1_macro", "q3_per_protein", "roc_auc", "spearman"])
def test_memory_with_many_residues(name: str) -> None:
    rng = np.random.default_rng(0)
    n, length, resamples = 100, 1000, 200
    wide = name in ("f1_macro", "q3_per_protein")
    predictions = list(rng.random((n, length, 8) if wide else (n, length), dtype=np.float32))
    labels = list(rng.integers(0, 8 if wide else 2, (n, length)))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    # one array of a number per resample and residue would be 160 MB
    assert peak_mb(lambda: ALL[name](predictions, labels, weights)) < 20


def test_blocks_of_resamples_are_joined() -> None:
    rng = np.random.default_rng(0)
    n = BLOCK // 3
    x, y = rng.normal(size=(2, n))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=5)
    assert len(regression.spearman(x, y, weights)) == 5
    for row in (0, 4):
        a, b = np.repeat(x, weights[row]), np.repeat(y, weights[row])
        expected = stats.spearmanr(a, b)[0]
        assert regression.spearman(x, y, weights)[row] == pytest.approx(expected, TOLERANCE)


@pytest.mark.parametrize("labels", [[0.0, 0.5, 1.0], [0, 1, 2]])
def test_ranking_needs_labels_0_and_1(labels: list[float]) -> None:
    with pytest.raises(ValueError, match="needs labels 0 and 1"):
        ranking.roc_auc([0.1, 0.2, 0.3], labels)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="one number each"):
        regression.spearman([np.zeros(2)], [0.0])
    with pytest.raises(ValueError, match="example 0 is infinite"):
        regression.rmse([np.inf], [0.0])
    with pytest.raises(ValueError, match="example 1 is above log 1"):
        expected_residues.perplexity([np.zeros(1), np.full(1, 0.5)], [np.zeros(1), np.zeros(1)])
    with pytest.raises(ValueError, match="label 3 for predictions of 3 classes"):
        classification.accuracy([np.eye(3)[0]], [3])
    with pytest.raises(ValueError, match="last axis"):
        ranking.roc_auc_macro([0.1, 0.2], [0, 1])
    with pytest.raises(ValueError, match=r"needs \(L, 8\)"):
        secondary_structure.q8([np.eye(3)], [np.arange(3)])
    with pytest.raises(ValueError, match=r"needs \(L, 3\) or \(L, 8\)"):
        secondary_structure.q3([np.eye(4)], [np.arange(4)])


def test_infinite_predictions_can_be_ranked() -> None:
    assert regression.spearman([-np.inf, 0.0, np.inf], [1.0, 2.0, 3.0]) == 1


def test_minus_one_is_a_real_number() -> None:
    assert regression.rmse([0.0, 0.0], [-1.0, np.nan]) == 1
    assert regression.rmse([0, 0], [-1, -1]) == 1


def test_dssp_orders() -> None:
    assert (DSSP8, DSSP3) == ("GHIBESTC", "HEC")
    mapped = "".join(DSSP3[i] for i in secondary_structure.THREE_OF_EIGHT)
    assert dict(zip(DSSP8, mapped, strict=True)) == dict(
        G="H", H="H", I="H", B="E", E="E", S="C", T="C", C="C"
    )


def test_a_protein_without_known_residues_does_not_count() -> None:
    labels = [np.array([0, 1]), np.array([-1, -1]), np.array([2, -1])]
    predictions = [np.eye(3)[[0, 0]], np.eye(3)[[0, 0]], np.eye(3)[[2, 0]]]
    weights = np.array([[1, 5, 1], [0, 1, 0], [3, 1, 1]])
    scores = secondary_structure.q3_per_protein(predictions, labels, weights)
    np.testing.assert_array_equal(scores, [0.75, np.nan, 2.5 / 4])


values = arrays(np.float64, 12, elements=st.integers(-3, 3).map(float))


@settings(max_examples=100, deadline=None)
@given(values, values, arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_spearman_of_any_ties(x: Array, y: Array, weights: Array) -> None:
    score = regression.spearman(list(x), list(y), weights[None])
    a, b = np.repeat(x, weights), np.repeat(y, weights)
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        assert np.isnan(score)
    else:
        assert score == pytest.approx(stats.spearmanr(a, b)[0], TOLERANCE, TOLERANCE)


@settings(max_examples=100, deadline=None)
@given(
    values,
    arrays(np.int64, 12, elements=st.integers(0, 1)),
    arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_areas_of_any_ties(x: Array, y: Array, weights: Array) -> None:
    roc, pr = (m(list(x), list(y), weights[None]) for m in (ranking.roc_auc, ranking.pr_auc))
    a, b = np.repeat(x, weights), np.repeat(y, weights)
    if len(np.unique(b)) < 2:
        assert np.isnan(roc)
        assert np.isnan(pr)
    else:
        assert roc == pytest.approx(sk.roc_auc_score(b, a), TOLERANCE)
        assert pr == pytest.approx(sk.average_precision_score(b, a), TOLERANCE)


@settings(max_examples=50, deadline=None)
@given(values, values, st.sampled_from(["spearman", "pearson"]))
def test_correlations_change_sign_with_the_prediction(x: Array, y: Array, name: str) -> None:
    up, down = ALL[name](list(x), list(y)), ALL[name](list(-x), list(y))
    np.testing.assert_allclose(up, -down, TOLERANCE, TOLERANCE)
