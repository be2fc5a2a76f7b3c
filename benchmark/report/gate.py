"""Whether a candidate is as good as a baseline: a verdict for each task, and one for all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan, prod
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from benchmark.core import UserError
from benchmark.report.cells import cell, column_of, row_of
from benchmark.report.examples import Flips, flipped
from benchmark.report.margins import Margins
from benchmark.report.resampled import StoredRun, metrics_of, ranking_score
from benchmark.report.table import ARROWS, Column, Report, Table, Value, estimated
from benchmark.results.golden import Results
from benchmark.results.identity import differences
from benchmark.results.record import Record
from benchmark.stats.bootstrap import FEWEST_UNITS
from benchmark.stats.gate import (
    ERRORS_FOR_POWER,
    Judgement,
    Verdict,
    is_few,
    judge,
    overall,
    power,
)
from benchmark.stats.paired import Difference, difference
from benchmark.stats.seeds import Estimate

DECIDED = {f"benchmark.metrics.{name}" for name in ("classification", "secondary_structure")}
"""Modules of the metrics of predicted classes."""
UNKNOWN = Judgement(Verdict.INVESTIGATE, None, None)
SHOWN = 3
"""Tasks that the verdict in one line names."""


@dataclass(frozen=True)
class Checked:
    """What the gate found about a task with a method."""

    name: str
    metric: str
    scores: tuple[Estimate | None, Estimate | None]
    """Of the baseline and the candidate."""
    reasons: tuple[str, ...]
    """Why it has to be examined, whatever the difference is."""
    margin: float = nan
    difference: Difference | None = None
    """Candidate minus baseline, positive where the candidate is better; None: not comparable."""
    flips: Flips | None = None
    """Answers with another predicted class; None: unknown."""
    doubts: tuple[str, ...] = ()
    """Why it cannot pass."""
    judgement: Judgement = UNKNOWN
    power: tuple[float, float] = (nan, nan)

    changed: int | None = None
    """Resampling units in which a predicted class changed, if the score is of predicted classes and
    the weights are others; None: it is not, or this is unknown."""

    @property
    def verdict(self) -> Verdict:
        """That of the difference; where something else changed, it has to be examined."""
        doubted = self.doubts and self.judgement.verdict == Verdict.PASS
        return Verdict.INVESTIGATE if self.reasons or doubted else self.judgement.verdict


class Gate(NamedTuple):
    """The verdicts on a candidate."""

    candidate: str
    baseline: str
    checked: Sequence[Checked]
    notes: Sequence[str] = ()
    """What does not decide."""
    reasons: Sequence[str] = ()
    """Why no candidate can pass."""

    @property
    def verdict(self) -> Verdict:
        """Of all tasks together."""
        found = overall([each.verdict for each in self.checked])
        return Verdict.INVESTIGATE if self.reasons and found == Verdict.PASS else found

    @property
    def message(self) -> str:
        """The verdict in one line."""
        count = [each for each in self.checked if each.verdict == self.verdict]
        if self.verdict == Verdict.PASS:
            tasks = "1 task" if len(count) == 1 else f"{len(count)} tasks"
            rest = f"as good as {self.baseline} on {tasks}"
        elif not count:
            rest = f"not decided: {'; '.join(self.reasons)}"
        else:
            words = "worse than" if self.verdict == Verdict.FAIL else "not decided against"
            named = [f"{each.name} ({why(each).partition('; ')[0]})" for each in count[:SHOWN]]
            more = [f"and {len(count) - SHOWN} more"] if len(count) > SHOWN else []
            parts = "; ".join([*self.reasons, *named, *more])
            rest = f"{words} {self.baseline} on {len(count)} of {len(self.checked)} tasks: {parts}"
        return f"{self.verdict.upper()}: {self.candidate} is {rest}"


def gate(candidate: Results, baseline: Results, margins: Margins) -> Gate:
    """Compare each task and method of the baseline with the candidate's, and judge all together."""
    mine, golden = by_task(candidate.records), by_task(baseline.records)
    newest = max((runs[-1] for runs in mine.values()), key=lambda r: r.created, default=None)
    found = []
    for key in golden:
        same = [row for row in mine if row[:2] == key[:2]]
        chosen = key if key in mine else same[0] if len(same) == 1 else None
        runs = golden[key], mine[chosen] if chosen else []
        each = check(runs, (baseline.folder, candidate.folder), margins)
        if newest and chosen and runs[1][-1].identity["weights"] != newest.identity["weights"]:
            stale = f"the candidate's result is of other weights than that of {newest.task}"
            each = replace(each, reasons=(*each.reasons, stale))
        found.append(each)
    comparable = [each.difference for each in found if each.difference]
    tasks = len(comparable)
    margins_of = [each.margin for each in found if each.difference]
    judged = iter(
        judge(comparable, margins_of, [each.changed for each in found if each.difference])
    )
    for k, each in enumerate(found):
        if each.difference:
            chances = power(each.difference, each.margin, tasks, each.changed)
            found[k] = replace(each, judgement=next(judged), power=chances)
    known = {row[:2] for row in golden}
    new = sorted({f"{task} · {method}" for task, method, _ in mine if (task, method) not in known})
    notes = [f"not in the baseline, and not judged: {', '.join(new)}"] if new else []
    return Gate(candidate.name, baseline.name, found, notes)


def by_task(records: Sequence[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """(task, method, settings) -> Records of all seeds, those of the newest key."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in [r for r in records if r.limit is None] or records:
        groups.setdefault((record.task, record.method, row_of(record).settings), []).append(record)
    return {key: list(cell(found).records) for key, found in sorted(groups.items())}


def check(
    runs: tuple[Sequence[Record], Sequence[Record]], folders: tuple[Path, Path], margins: Margins
) -> Checked:
    """Compare the seeds of a baseline with those of a candidate on one task."""
    old, new = runs
    first = old[-1]
    test, metric = next(iter(first.scores)), first.primary
    estimates = tuple(cell(found).estimate if found else None for found in runs)
    result = Checked(
        f"{first.task} · {first.method}",
        metric + ARROWS[first.higher_is_better[metric]],
        (estimates[0], estimates[1]),
        ("the candidate has no result",),
    )
    if not new:
        return result
    reasons = changes(first, new[-1])
    if column_of(first) != column_of(new[-1]) or first.limit != new[-1].limit:
        return replace(result, reasons=reasons)
    stored = [
        [StoredRun.read(record, folder) for record in records]
        for records, folder in zip(runs, folders, strict=True)
    ]
    before, after = map(ranking_score, stored)
    if before is None or after is None:
        return replace(result, reasons=(f"what is stored cannot give {metric}", *reasons))
    margin = margins.of(metric, before.score)
    if margin is None:
        raise UserError(f"there is no margin for {metric}; give one in margins=FILE")
    found = difference(after, before)
    if not first.higher_is_better[metric]:
        found = found._replace(value=-found.value)
    flips, doubts = flips_of(stored, test), list[str]()
    weights = {run.record.identity["weights"] for records in stored for run in records}
    scorers = {scorer.name: scorer for scorer in metrics_of(tuple(first.config["task"]["metrics"]))}
    is_decided = scorers[metric].fn.__module__ in DECIDED
    changed = flips.units if flips and is_decided and len(weights) > 1 else None
    if flips and flips.share > margins.flips:
        doubts.append(f"{flips.share:.1%} of the classes changed, more than {margins.flips:.0%}")
    if first.limit is not None:
        doubts.append(f"limit={first.limit}: no candidate passes on a part of the data")
    return replace(
        result,
        reasons=reasons,
        doubts=tuple(doubts),
        margin=margin,
        difference=found,
        flips=flips,
        changed=changed,
    )


def flips_of(stored: Sequence[Sequence[StoredRun]], test: str) -> Flips | None:
    """Flips between the runs with the lowest common seed, or else the first ones."""
    by_seed = [{run.record.seed: run for run in runs} for runs in stored]
    common = sorted(by_seed[0].keys() & by_seed[1].keys())
    pair = [runs[common[0]] if common else next(iter(runs.values())) for runs in by_seed]
    return flipped(pair, test) if test in pair[0].record.data else None


def changes(old: Record, new: Record) -> tuple[str, ...]:
    """What else differs than the weights: data, settings, versions, coverage."""
    parts = differences(old, new)["part of the key"]
    others = {f"versions.metrics.{metric}" for r in (old, new) for metric in r.higher_is_better}
    others = {"weights", "task.metrics", *others} - {f"versions.metrics.{old.primary}"}
    keys = [key for key in parts if key not in others]
    found = [f"{key} changed from {parts[key][0]} to {parts[key][1]}" for key in keys]
    return tuple(found) + tuple(
        f"{new.scored.get(test, 0):,} of {count:,} examples of {test} scored"
        for test, count in old.scored.items()
        if new.scored.get(test) != count
    )


def why(checked: Checked) -> str:
    """The reason of a task's verdict."""
    if checked.reasons or not checked.difference:
        return "; ".join(checked.reasons + checked.doubts)
    found, (verdict, lower, p) = checked.difference, checked.judgement
    if verdict == Verdict.FAIL:
        return f"difference {found.value:+.3f}, margin {checked.margin:.3f}, p = {p:.2g}"
    if verdict == Verdict.PASS:
        return "; ".join(checked.doubts)
    errors = checked.margin / found.error if found.error else nan
    if lower is None:
        few = f"{found.units} resampling units, too few for a test"
        first = few if found.units < FEWEST_UNITS else "the difference has no standard error"
    elif is_few(checked.changed):
        first = (
            f"classes changed in {checked.changed} of {found.units} resampling units, so a loss of "
            f"up to {-lower:.3f} cannot be excluded"
        )
    elif errors < ERRORS_FOR_POWER:
        first = (
            f"the margin is {errors:.1f} standard errors, {ERRORS_FOR_POWER} are needed for a "
            f"power of 80 %; difference {found.value:+.3f}"
        )
    else:
        first = f"lower bound {lower:+.3f}, below the margin of {checked.margin:.3f}"
    return "; ".join([first, *checked.doubts])


def as_report(found: Gate) -> Report:
    """The verdict as the title, a table of the tasks, and the reasons below it."""
    columns = [
        *(Column("task"), Column("metric"), Column("verdict")),
        *(Column("baseline", "number"), Column("candidate", "number")),
        *(Column("difference", "score"), Column("bound", "number"), Column("margin", "number")),
        *(Column("p", "p", 4), Column("power to pass", "share", 0)),
        *(Column("power to fail", "share", 0), Column("flips", "share", 1)),
    ]
    rows = list[list[Value]]()
    for each in found.checked:
        scores = [score and score.score for score in each.scores]
        rows.append([each.name, each.metric, each.verdict.value, *scores, *[None] * 7])
        if d := each.difference:
            _, lower, p = each.judgement
            share = each.flips and each.flips.share
            rows[-1][5:] = [estimated(d), lower, each.margin, p, *each.power, share]
    notes = [f"{each.name}: {why(each)}" for each in found.checked if each.verdict != Verdict.PASS]
    chance = prod(each.power[0] for each in found.checked)
    if len(found.checked) > 1 and isfinite(chance):
        notes.append(
            f"an equal candidate passes all {len(found.checked)} tasks with a chance of about "
            f"{chance:.0%}, if their test sets are independent"
        )
    text = (
        "Difference: candidate minus baseline, positive where the candidate is better, with its "
        "95 % interval; bound: its one-sided 95 % lower bound; p: of a loss, by Holm's correction. "
        "Power: the chance that an equal candidate passes a task, and that one which is worse by "
        "two margins fails. Flips: the share of predicted classes that changed."
    )
    return Report(
        [Table("", columns, rows, [*found.reasons, *notes, *found.notes])], found.message, text
    )


def as_junit(found: Gate) -> str:
    """JUnit's XML: fail is a failure, investigate an error."""
    counts = Counter(each.verdict for each in found.checked)
    attributes = {"name": "gate", "tests": str(len(found.checked) + len(found.reasons))}
    attributes |= {"failures": str(counts[Verdict.FAIL])}
    attributes |= {"errors": str(counts[Verdict.INVESTIGATE] + len(found.reasons))}
    suite = ElementTree.Element("testsuite", attributes)
    for each in found.checked:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=each.name)
        kinds = {Verdict.FAIL: "failure", Verdict.INVESTIGATE: "error"}
        if each.verdict in kinds:
            ElementTree.SubElement(
                case, kinds[each.verdict], type=each.verdict.value, message=why(each)
            )
    for reason in found.reasons:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name="baseline")
        ElementTree.SubElement(case, "error", type="investigate", message=reason)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"
