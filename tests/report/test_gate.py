"""The gate on stored predictions: what it compares, and what keeps a candidate from passing."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmark.core import Array, SetMetric, UserError, example_metric
from benchmark.metrics import find
from benchmark.report.gate import DECIDED, Gate, as_junit, as_report, gate
from benchmark.report.margins import Margin, Margins, read_margins
from benchmark.report.render import render
from benchmark.results.golden import find_results, read_results
from benchmark.stats.gate import Verdict, judge
from benchmark.stats.paired import Difference, difference
from tests.report.stored_runs import save_run
from tests.stats.test_paired import model

N = 4000


def right(share: float = 0.7, seed: int = 0, n: int = N) -> Array:
    return np.random.default_rng(seed).random(n) < share


def flip(values: Array, count: int, to: bool = False) -> Array:
    """The same answers, with so many of them made wrong (or right)."""
    changed, places = values.copy(), np.flatnonzero(values != to)
    changed[places[-count:] if to else places[:count]] = to
    return changed


def judged(folder: Path, *tasks: tuple[Array, Array], **more: Any) -> Gate:
    """The gate on tasks with the values of the baseline and of the candidate."""
    for number, (old, new) in enumerate(tasks):
        save_run(folder / "golden", old, f"task{number}")
        save_run(folder / "tonight", new, f"task{number}", "b", **more)
    both = read_results(folder / "tonight"), read_results(folder / "golden")
    return gate(*both, read_margins(None))


def test_a_candidate_as_good_as_the_baseline_passes(tmp_path: Path) -> None:
    old = right()
    found = judged(tmp_path, (old, flip(flip(old, 10), 10, to=True)), (old, old))

    assert found.verdict == Verdict.PASS
    assert found.message == "PASS: tonight is as good as golden on 2 tasks"
    assert found.checked[0].flips == pytest.approx((20 / N, 20))


def test_a_loss_on_one_task_fails(tmp_path: Path) -> None:
    old = right()
    found = judged(tmp_path, (old, old), (old, flip(old, 120)))
    expected = difference(model(flip(old, 120).astype(float)), model(old.astype(float)))

    assert found.verdict == Verdict.FAIL
    assert found.checked[1].difference is not None
    assert found.checked[1].difference[:2] == pytest.approx(expected[:2], rel=0.1)
    assert found.message.startswith(
        "FAIL: tonight is worse than golden on 1 of 2 tasks: task1 · linear (difference -0.030"
    )


def test_lower_is_better_for_perplexity_and_its_margin_is_relative(tmp_path: Path) -> None:
    losses = np.random.default_rng(0).normal(2.8, 0.1, N)
    for name, shift, verdict in (("a", 0.05, Verdict.FAIL), ("b", -0.05, Verdict.PASS)):
        folder = tmp_path / name
        save_run(folder / "golden", losses, metric="perplexity")
        save_run(folder / "new", losses + shift, model="b", metric="perplexity")
        both = read_results(folder / "new"), read_results(folder / "golden")
        (found,) = gate(*both, read_margins(None)).checked
        assert found.verdict == verdict
        assert found.margin == pytest.approx(0.02 * np.exp(losses.mean()))


def test_equal_checkpoints_on_few_proteins_are_not_decided(tmp_path: Path) -> None:
    """The predictions of two probes of the same checkpoint, say."""
    old = right(n=40)
    found = judged(tmp_path / "some", (old, flip(flip(old, 6), 6, to=True)))

    assert found.verdict == Verdict.INVESTIGATE
    assert "standard errors, 2.49 are needed for a power of 80 %" in found.message
    assert found.checked[0].power[0] < 0.2
    found = judged(tmp_path / "few", (old, flip(flip(old, 2), 2, to=True)))
    assert found.verdict == Verdict.INVESTIGATE
    assert "classes changed in 4 of 40 resampling units, so a loss of up to 0.21" in found.message


@pytest.mark.parametrize(("n", "verdict"), [(12, Verdict.INVESTIGATE), (299, Verdict.PASS)])
def test_equal_answers_of_other_weights_are_evidence_if_they_are_many(
    tmp_path: Path, n: int, verdict: Verdict
) -> None:
    """Without a change in n answers, a share of up to 1 - 0.05^(1 / n) may change in others."""
    found = judged(tmp_path, (right(n=n), right(n=n)))
    assert found.verdict == verdict
    assert found.checked[0].judgement.lower == pytest.approx(0.05 ** (1 / n) - 1)
    same = judged(tmp_path / "same", (right(n=n), right(n=n)), backbone={"digest": "weights of a"})
    assert same.verdict == Verdict.PASS, "the same weights"


def test_flips_are_of_the_same_seed(tmp_path: Path) -> None:
    """Whatever was run first."""
    for folder, model_name, order in (("golden", "a", (0, 1)), ("tonight", "b", (1, 0))):
        for seed in order:
            when = f"203{order.index(seed)}-01-01"
            save_run(
                tmp_path / folder, right(seed=seed), "task", model_name, seed=seed, created=when
            )
    both = read_results(tmp_path / "tonight"), read_results(tmp_path / "golden")
    assert gate(*both, read_margins(None)).checked[0].flips == (0.0, 0)


def test_flips_of_runs_without_a_common_seed_are_of_the_first(tmp_path: Path) -> None:
    for folder, model_name, seed in (("golden", "a", 0), ("tonight", "b", 1)):
        save_run(tmp_path / folder, right(seed=seed), "task", model_name, seed=seed)
    both = read_results(tmp_path / "tonight"), read_results(tmp_path / "golden")
    flips = gate(*both, read_margins(None)).checked[0].flips
    assert flips and flips.share == np.mean(right(seed=0) != right(seed=1))


def test_few_flips_say_nothing_of_scores_that_rank_probabilities(tmp_path: Path) -> None:
    """An area can be lost without a probability that crosses 0.5."""
    found = [find(name).fn.__module__ in DECIDED for name in ("accuracy", "q8", "mcc", "roc_auc")]
    assert found == [True, True, True, False]
    (lost,) = judge([Difference(-0.3, 0.02, 150, 200)], [0.01], [None])
    assert lost.verdict == Verdict.FAIL


@example_metric(higher_is_better=True, version=1)
def hit(predictions: Any, examples: Any) -> Array:
    return np.array(predictions)


def test_a_metric_of_a_user(tmp_path: Path) -> None:
    """Its name in the yaml is dotted, that in the Record is not."""
    config = {"task": {"metrics": [f"{__name__}.hit"], "kind": "classification"}}
    for folder, model_name in (("golden", "a"), ("tonight", "b")):
        save_run(tmp_path / folder, right(), "task", model_name, "hit", config=config)
    both = read_results(tmp_path / "tonight"), read_results(tmp_path / "golden")
    found = gate(*both, Margins([Margin("hit", 0.01, False)], 0.1))
    assert found.verdict == Verdict.PASS and found.checked[0].changed is None


def test_runs_of_a_part_of_the_data_decide_nothing(tmp_path: Path) -> None:
    for folder, model_name in (("golden", "a"), ("tonight", "b")):
        save_run(tmp_path / folder, right(), "task", model_name, limit=40)
    both = read_results(tmp_path / "tonight"), read_results(tmp_path / "golden")
    found = gate(*both, read_margins(None))
    assert found.verdict == Verdict.INVESTIGATE and "limit=40" in found.message


def test_what_changed_besides_the_weights_is_a_reason(tmp_path: Path) -> None:
    old = right()
    other: list[tuple[dict[str, Any], str]] = [
        ({"data": {"train": "1", "valid": "2", "test": "4"}}, "data.test changed from 3 to 4"),
        ({"limit": 40}, "limit changed from None to 40"),
        (
            {"config": {"task": {"metrics": ["accuracy"], "kind": "multilabel"}}},
            "task.kind changed",
        ),
        ({"backbone": {"digest": "w", "dtype": "bfloat16"}}, "dtype changed from float32 to"),
        ({"scored": {"test": N - 1}}, "3,999 of 4,000 examples of test scored"),
    ]
    for number, (more, reason) in enumerate(other):
        found = judged(tmp_path / str(number), (old, old), **more)
        assert found.verdict == Verdict.INVESTIGATE
        assert reason in found.message

    more = {"accuracy": True, "mcc": True}
    assert judged(tmp_path / "more", (old, old), higher_is_better=more).verdict == Verdict.PASS
    found = judged(tmp_path / "flips", (old, flip(flip(old, 250), 350, to=True)))
    assert "15.0% of the classes changed, more than 10%" in found.message
    assert judged(tmp_path / "worse", (old, flip(old, 500))).verdict == Verdict.FAIL


def test_a_missing_task_is_a_reason_and_a_new_one_is_a_note(tmp_path: Path) -> None:
    old = right()
    for task, model_name, folder in (("a", "m", "golden"), ("a", "n", "new"), ("b", "m", "golden")):
        save_run(tmp_path / folder, old, task, model_name)
    save_run(tmp_path / "new", old, "c", "n")
    found = gate(
        read_results(tmp_path / "new"), read_results(tmp_path / "golden"), read_margins(None)
    )

    assert [each.verdict for each in found.checked] == [Verdict.PASS, Verdict.INVESTIGATE]
    assert "b · linear (the candidate has no result)" in found.message
    assert found.notes == ["not in the baseline, and not judged: c · linear"]


def test_a_candidate_is_a_folder_a_row_or_a_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved = save_run(tmp_path, right(n=20), model=name)
    rows = [tmp_path / "cloning" / "b", tmp_path / saved.folder]
    for word in ("b", *map(str, rows)):
        found = find_results(word, tmp_path)
        assert [record.model for record in found.records] == ["b"] and found.folder == tmp_path
    for word, message in ((str(tmp_path), "of several models"), ("c", "models there: a, b")):
        with pytest.raises(UserError, match=message):
            find_results(word, tmp_path)


def test_a_user_sets_his_own_margins(tmp_path: Path) -> None:
    file = tmp_path / "margins.yaml"
    file.write_text("absolute: {accuracy: 0.05}\nrelative: {roc_auc: 0.1}\n")
    mine, usual = read_margins(file), read_margins(None)

    assert (usual.of("accuracy", 0.5), mine.of("accuracy", 0.5)) == (0.01, 0.05)
    assert (usual.of("roc_auc", 0.5), mine.of("roc_auc", 0.5)) == (0.01, 0.05)
    assert mine.of("p_at_l5", 0.2) == 0.01 and mine.flips == usual.flips
    assert mine.of("rmse", 3.0) == pytest.approx(0.06) and mine.of("degrees", 3.0) is None
    for number, (text, message) in enumerate(
        (
            ("absolut: {}", "absolut is not known or no mapping; give absolute"),
            ("absolute: {accuracy: -1}", "accuracy is -1; give a number above 0"),
            ("absolute: 3", "absolute is not known or no mapping"),
            ("flips: much", "flips is much; give a number"),
        )
    ):
        file = tmp_path / f"{number}.yaml"  # files are read once
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            read_margins(file)


def test_every_metric_with_a_direction_has_a_margin() -> None:
    from benchmark.metrics import known

    margins = read_margins(None)
    directed = [  # a set metric has no interval, and none is a task's first
        name
        for name, metric in known().items()
        if metric.higher_is_better is not None and not isinstance(metric, SetMetric)
    ]
    assert [name for name in directed if margins.of(name, 1.0) is None] == []


def test_the_verdicts_as_junit_and_markdown(tmp_path: Path) -> None:
    old = right()
    found = judged(tmp_path, (old, old), (old, flip(old, 120)), (old[:40], flip(old[:40], 2)))
    suite = ElementTree.fromstring(as_junit(found)).find("testsuite")
    assert suite is not None
    assert suite.attrib == {"name": "gate", "tests": "3", "failures": "1", "errors": "1"}
    assert [[part.tag for part in case] for case in suite] == [[], ["failure"], ["error"]]

    text = render(as_report(found), "markdown")
    assert text.startswith("# FAIL: tonight is worse than golden")
    assert "| task1 · linear | accuracy ↑ | fail | 0." in text


def test_a_task_that_only_earlier_weights_have_is_not_decided(tmp_path: Path) -> None:
    old = right()
    digest = {"backbone": {"digest": "tonight", "parameters": 1}}
    found = judged(tmp_path, (old, old), (old, old))
    save_run(tmp_path / "tonight", old, "task0", "b", created="2030-01-01T00:00:00Z", **digest)
    both = read_results(tmp_path / "tonight"), read_results(tmp_path / "golden")
    again = gate(*both, read_margins(None))

    assert (found.verdict, again.verdict) == (Verdict.PASS, Verdict.INVESTIGATE)
    assert "task1 · linear (the candidate's result is of other weights than" in again.message


def test_a_failure_stays_one_if_the_baseline_was_changed_by_hand(tmp_path: Path) -> None:
    old = right()
    found = judged(tmp_path, (old, flip(old, 120)))._replace(reasons=["the baseline was changed"])
    suite = ElementTree.fromstring(as_junit(found)).find("testsuite")

    assert found.verdict == Verdict.FAIL
    assert suite is not None and suite.attrib["errors"] == "1" == suite.attrib["failures"]
    assert judged(tmp_path / "b", (old, old))._replace(reasons=["x"]).verdict == Verdict.INVESTIGATE


def test_the_newest_run_of_a_row_counts_in_whatever_order_files_are_named(tmp_path: Path) -> None:
    old = right()
    for key, values, year in (("a" * 8, old, 2030), ("b" * 8, flip(old, 120), 2020)):
        save_run(tmp_path, values, model="m", key=key, created=f"{year}-01-01T00:00:00Z")

    for folder in (tmp_path, tmp_path / "cloning" / "m"):
        assert read_results(folder).records[-1].key == "a" * 8
