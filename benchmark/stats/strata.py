"""Scores of subsets of the test examples (strata), by similarity to train and valid.

Strata are the identity bands of `benchmark.data.homology`, and "without overlap": examples whose
chains, all together, are in no example of train or valid. The last needs no audit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.core import Example, Metric, Readout, SetMetric, Splits, Value, has_answer
from benchmark.data.homology import BANDS, Audit, learned
from benchmark.results.record import WITHOUT_OVERLAP
from benchmark.stats.bootstrap import Scores, mean, score

Strata = dict[str, dict[str, dict[str, Any]]]
"""Test set -> stratum -> examples (with a known answer), units, scores, intervals."""


def stratify(
    metrics: Sequence[Metric],
    readout: Readout,
    splits: Splits,
    predictions: Mapping[str, Sequence[Value]],
    audit: Audit | None,
    seed: int,
    stratum: Callable[[Value, Example], str] = lambda prediction, example: "",
) -> Strata:
    """Score each stratum with a known answer, from the predictions of each test set.

    "Without overlap" is reported for every test set if any has overlap, without a score where train
    and valid contain the whole test set. The mean of a stratum over test sets is reported only if
    each of them has the stratum.
    stratum: `Task.stratum`; in these strata there are no set metrics, whose scores depend on size.
    """
    known, apart = dict[str, list[int]](), dict[str, list[int]]()
    for test, examples in splits.tests.items():
        seen = {example.chains for example in learned(splits, test)}
        known[test] = [row for row, e in enumerate(examples) if has_answer(e.label, readout)]
        apart[test] = [row for row in known[test] if examples[row].chains not in seen]
    parts: dict[str, dict[str, Scores]] = {name: {} for name in (*BANDS, WITHOUT_OVERLAP)}
    of_examples = [metric for metric in metrics if not isinstance(metric, SetMetric)]
    for test, examples in splits.tests.items():
        bands = audit.bands(test) if audit else [""] * len(examples)
        rows_of = {name: [row for row in known[test] if bands[row] == name] for name in BANDS}
        rows_of[WITHOUT_OVERLAP] = apart[test]
        own = {row: stratum(predictions[test][row], examples[row]) for row in known[test]}
        for name in sorted({*own.values()} - {""}):
            rows_of[name] = [row for row in known[test] if own[row] == name]
        for name, rows in rows_of.items():
            if rows if name != WITHOUT_OVERLAP else apart != known:
                scorers = metrics if name in (*BANDS, WITHOUT_OVERLAP) else of_examples
                answers, mine = [predictions[test][r] for r in rows], [examples[r] for r in rows]
                parts.setdefault(name, {})[test] = score(scorers, answers, mine, readout, seed)
    found: Strata = {}
    for name, scores in parts.items():
        means = {
            m: mean(metrics, scores, weights)
            for m, weights in splits.aggregates.items()
            if set(weights) <= set(scores)
        }
        for test, result in {**means, **scores}.items():
            found.setdefault(test, {})[name] = {
                "examples": result.scored,
                "units": result.units,
                "scores": result.scores,
                "intervals": result.intervals,
            }
    return found
