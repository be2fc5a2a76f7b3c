"""Tables of a comparison: of two models a row for each task, of more a matrix for each task."""

from collections import defaultdict
from collections.abc import Sequence

from benchmark.report.cells import TaskColumn, headings
from benchmark.report.comparison import LEVEL, Comparison, Line
from benchmark.report.table import ARROWS, Column, Noted, Report, Table, Value
from benchmark.stats.multiplicity import false_discovery, holm
from benchmark.stats.paired import mean_difference
from benchmark.stats.seeds import Estimate

STARS = {0.001: "***", 0.01: "**", LEVEL: "*"}
TEXT = (
    "Differences between scores on the same test examples, paired over resampling units, with 95 % "
    "intervals of Student's t. A model with one seed is compared as that run. * p < 0.05, ** 0.01, "
    "*** 0.001, after Holm's correction over the {count} tests of ranking scores."
)
TWO = (
    " FDR p: corrected by Benjamini and Hochberg instead. Detectable: the smallest difference that "
    "is found with a power of 80 %. Flips: share of answers whose class differs. Error r: rank "
    "correlation of the two models' values or errors."
)


def report(found: Comparison) -> Report:
    """All tables of a comparison."""
    tested = [line for line in found.lines if line.ranks]
    p = [line.difference.p for line in tested]
    corrected = {id(line): value for line, value in zip(tested, holm(p), strict=True)}
    rates = {id(line): value for line, value in zip(tested, false_discovery(p), strict=True)}
    text = TEXT.format(count=sum(value is not None for value in p))
    named = headings(list(dict.fromkeys(line.column for line in found.lines)))
    if len(found.models) > 2:
        tables = [outcomes(found, tested, corrected), *matrices(found, named, corrected)]
        return Report(tables, "Comparison", text)
    tables = [two(found, named, corrected, rates)]
    tables += [areas(found, tested)] if tested else []
    return Report(tables, " − ".join(found.models), text + TWO)


def stars(p: float | None) -> str:
    """How small a p-value is."""
    return next((s for level, s in STARS.items() if p is not None and p < level), "")


def two(
    found: Comparison,
    named: dict[TaskColumn, str],
    corrected: dict[int, float | None],
    rates: dict[int, float | None],
) -> Table:
    """A row for each task, test set, metric and stratum."""
    has = {
        name: any(getattr(x, name) is not None for x in found.lines)
        for name in ("flips", "error_r")
    }
    strata, tests = (
        any(x.stratum for x in found.lines),
        not all(x.ranks or x.stratum for x in found.lines),
    )
    columns = [Column("task"), Column("metric")]
    columns += [Column("test")] * tests + [Column("stratum")] * strata
    keys = len(columns)
    columns += [Column(name, "number") for name in found.models]
    columns += [Column("difference", "score"), Column("p", "p", 4)]
    columns += [Column("Holm p", "p", 4), Column(""), Column("FDR p", "p", 4)] * (not strata)
    columns += [Column("detectable", "number"), Column("units", "count")]
    columns += [Column("flips", "share", 1)] * has["flips"] + [
        Column("error r", "number", 2)
    ] * has["error_r"]
    rows = list[list[Value]]()
    for line in found.lines:
        d, holm_p = line.difference, corrected.get(id(line))
        row: list[Value] = [named[line.column], line.metric + ARROWS[line.higher_is_better]]
        row += [line.test] * tests + [line.stratum] * strata
        row += [*line.scores, Estimate(d.value, None, d.interval, 1), d.p]
        row += [] if strata else [holm_p, stars(holm_p), rates.get(id(line))]
        row += [d.detectable, d.units]
        row += [line.flips] * has["flips"] + [line.error_r] * has["error_r"]
        rows.append(row)
    return Table("", columns, rows, found.notes, names=keys)


def areas(found: Comparison, tested: Sequence[Line]) -> Table:
    """The mean difference of each area, over its tasks where higher is better."""
    parts = defaultdict[str, list[Line]](list)
    for line in tested:
        if line.higher_is_better:
            parts[line.column.area].append(line)
    rows = list[list[Value]]()
    for area, lines in ((area, lines) for area, lines in parts.items() if len(lines) > 1):
        d = mean_difference([line.difference for line in lines])
        rows.append([area, len(lines), Estimate(d.value, None, d.interval, 1), d.p])
    columns = [Column("area"), Column("tasks", "count"), Column("mean difference", "score")]
    won = [
        line.outcome(p)
        for line, p in zip(tested, holm([x.difference.p for x in tested]), strict=True)
    ]
    a, b = found.models
    note = f"{a} is better than {b} in {won.count(1)}, worse in {won.count(-1)} and tied in "
    note += f"{won.count(0)} of {len(won)} tasks (Holm p < {LEVEL})"
    title = "Means over tasks of an area, in which higher is better"
    return Table(title, [*columns, Column("p", "p", 4)], rows, [note])


def outcomes(
    found: Comparison, tested: Sequence[Line], corrected: dict[int, float | None]
) -> Table:
    """Against each model the tasks in which a model is better, tied and worse."""
    counts = defaultdict[tuple[int, int], list[int]](list)
    for line in tested:
        a, b = line.pair
        outcome = line.outcome(corrected[id(line)])
        counts[a, b].append(outcome)
        counts[b, a].append(-outcome)
    rows = list[list[Value]]()
    places = range(len(found.models))
    for a in places:
        own = [outcome for b in places for outcome in counts[a, b]]
        each = [[counts[a, b].count(value) for value in (1, 0, -1)] for b in places]
        cells = ["–".join(map(str, n)) if any(n) else None for n in each]
        rows.append([found.models[a], *(own.count(value) for value in (1, 0, -1)), *cells])
    directions = {"wins": True, "ties": None, "losses": False}
    total = [Column(name, "count", higher_is_better=d) for name, d in directions.items()]
    columns = [Column("model"), *total, *(Column(f"against {name}") for name in found.models)]
    title = "Wins–ties–losses over tasks: row against column"
    return Table(title, columns, rows, found.notes).ranked("wins", "losses")


def matrices(
    found: Comparison, named: dict[TaskColumn, str], corrected: dict[int, float | None]
) -> list[Table]:
    """For each task, test set, metric and stratum the differences, row minus column."""
    groups = defaultdict[tuple[str, ...], list[Line]](list)
    for line in found.lines:
        parts = (line.test, line.stratum) if not line.ranks else ()
        metric = line.metric + ARROWS[line.higher_is_better]
        groups[named[line.column], metric, *filter(None, parts)].append(line)
    tables = []
    for title, lines in groups.items():
        cells, scores = dict[tuple[int, int], Value](), dict[int, float]()
        for line in lines:
            (a, b), d = line.pair, line.difference
            note = stars(corrected.get(id(line)))
            cells[a, b], cells[b, a] = Noted(d.value, note), Noted(-d.value, note)
            scores |= dict(zip(line.pair, line.scores, strict=True))
        columns = [
            Column("model"),
            Column("score", "number", higher_is_better=lines[0].higher_is_better),
        ]
        columns += [Column(f"− {found.models[b]}", "number") for b in scores]
        rows = [
            [found.models[a], score, *(cells.get((a, b)) for b in scores)]
            for a, score in scores.items()
        ]
        tables.append(Table(" · ".join(title), columns, rows).ranked("score"))
    return tables
