"""One table of typed values, and what each format shows of it."""

import csv
import json
import time
from dataclasses import replace
from math import nan
from unicodedata import east_asian_width

import pytest

from benchmark.core import UserError
from benchmark.report.cells import labels, tabulate
from benchmark.report.leaderboard import leaderboard
from benchmark.report.render import FORMATS, render
from benchmark.report.table import Column, Noted, Report, Table
from benchmark.stats.seeds import Estimate
from tests.report.test_leaderboard import record

SCORE = Estimate(0.7, None, (0.6, 0.8), 1)
TABLE = Table(
    "A & B",
    [
        Column("model"),
        Column("acc", "score", 3, True, "roc_auc ↑, n = 1,234", bold_best=True),
        Column("loss", "number", 2, False),
        Column("n", "count"),
        Column("share", "share", 1),
        Column("FLOPs", "scientific", 1),
    ],
    [
        ["b_1", Estimate(0.65, 0.02, (0.5, 0.8), 3), 10.0, 12345, 0.256, 3e12],
        ["a", SCORE, 9.0, None, None, None],
        ["p", Noted(0.99, "rmse"), None, None, None, None],
        ["q", Estimate(nan, None, None, 1), nan, None, None, Noted(None, "1 of 2 tasks")],
    ],
    notes=["A note."],
)
REPORT = Report([TABLE], "Title", "Text.")


def names(table: Table) -> list[object]:
    return [row[0] for row in table.rows]


def test_rows_are_ranked_by_value_and_missing_ones_are_last() -> None:
    assert names(TABLE.ranked("acc")) == ["a", "b_1", "p", "q"]
    assert names(TABLE.ranked("loss")) == ["a", "b_1", "p", "q"], "9 before 10: as numbers"
    assert names(TABLE.ranked("n", "acc")) == ["b_1", "a", "p", "q"]


def test_rows_that_do_not_fit_the_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit the columns"):
        Table("t", [Column("a")], [[1, 2]])


def test_markdown() -> None:
    assert render(REPORT, "markdown").splitlines() == [
        *("# Title", "", "Text.", "", "## A & B", ""),
        "| model | acc<br>roc_auc ↑, n = 1,234 | loss ↓ | n | share | FLOPs |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| b_1 | 0.650 ± 0.020 [0.500, 0.800], 3 seeds | 10.00 | 12,345 | 25.6% | 3.0e+12 |",
        "| a | **0.700** [0.600, 0.800] | 9.00 | – | – | – |",
        "| p | 0.99 (rmse) | – | – | – | – |",
        "| q | undefined | undefined | – | – | – (1 of 2 tasks) |",
        *("", "A note."),
    ]


def test_latex_is_escaped() -> None:
    text = render(REPORT, "latex")

    assert r"\caption{A \& B}" in text and r"\toprule" in text and "{lrrrrr}" in text
    assert r"b\_1 & 0.650 $\pm$ 0.020 [0.500, 0.800], 3 seeds & 10.00 & 12,345 & 25.6\% &" in text
    assert r"a & \textbf{0.700} [0.600, 0.800] & 9.00 & -- &" in text


def test_a_rounded_zero_has_no_sign() -> None:
    value = Estimate(-0.0004, None, (-0.0104, -0.00001), 1)
    columns = [Column("a", "score"), Column("b", "number"), Column("c", "number")]
    text = render(Report([Table("", columns, [[value, -0.0002, -0.0012]])]), "terminal", 80)

    assert text.splitlines()[1].split() == ["0.000", "[-0.010,", "0.000]", "0.000", "-0.001"]


def test_csv_has_numbers() -> None:
    rows = list(csv.DictReader(render(REPORT, "csv").splitlines()))

    assert [row["acc"] for row in rows] == ["0.65", "0.7", "0.99", ""]
    assert rows[0]["acc low"] == "0.5" and rows[0]["acc seeds"] == "3"
    assert rows[0]["n"] == "12345" and rows[2]["acc note"] == "rmse" and rows[3]["loss"] == ""
    two = list(csv.DictReader(render(Report([TABLE, TABLE]), "csv").splitlines()))
    assert len(two) == 8 and two[0]["table"] == "A & B"


def test_json_has_typed_values_in_a_stable_form() -> None:
    found = json.loads(render(REPORT, "json"))
    (table,) = found["tables"]

    assert list(found) == ["title", "text", "tables"]
    assert list(table) == ["title", "notes", "columns", "rows"]
    assert table["columns"][1] == {
        **{"name": "acc", "detail": "roc_auc ↑, n = 1,234", "kind": "score"},
        "higher_is_better": True,
    }
    assert table["rows"][0][1] == {"score": 0.65, "low": 0.5, "high": 0.8, "sd": 0.02, "seeds": 3}
    assert table["rows"][1][1:4] == [
        *({"score": 0.7, "low": 0.6, "high": 0.8, "sd": None, "seeds": 1}, 9.0, None),
    ]
    assert table["rows"][2][1] == {"value": 0.99, "note": "rmse"}
    assert table["rows"][3][2] == table["rows"][3][1]["score"] == "undefined"


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_terminal_shows_every_number_whole(width: int) -> None:
    text = render(REPORT, "terminal", width)

    for number in ("0.650 ± 0.020 [0.500, 0.800], 3 seeds", "0.700 [0.600, 0.800]", "3.0e+12"):
        assert number in text
    blocks = text.count("model")
    assert (blocks == 1) == (width == 200)
    assert text.count("b_1") == blocks, "each block names the rows"
    if width >= 60:
        assert all(len(line) <= width for line in text.splitlines())


def test_columns_are_aligned_and_text_is_wrapped() -> None:
    rows = [["a long name (with=settings, that=differ)", 1.0], ["b", 22.5]]
    table = Table("", [Column("model"), Column("x", "number", 1)], rows)

    assert render(Report([table]), "terminal", 40).splitlines() == [
        "model                                  x",
        "a long name (with=settings,          1.0",
        " that=differ)",
        "b                                   22.5",
    ]


def test_names_of_wide_characters_are_aligned() -> None:
    """A Chinese character takes two cells of a terminal (Unicode's East Asian Width)."""
    rows = [["模型é", 1.0], ["model_with_a_name", 2.0]]
    text = render(Report([Table("", [Column("model"), Column("x", "number", 1)], rows)]), width=60)
    lines = [line for line in text.splitlines() if line.endswith((".0", "x"))]
    cells = [sum(2 if east_asian_width(c) in "WF" else 1 for c in line) for line in lines]

    assert len(lines) == 3 and len(set(cells)) == 1


def test_the_best_and_the_highlighted_row_are_bold_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    rows = [["a", 1.0], ["b", 2.0], ["c", 0.5]]
    columns = [Column("m"), Column("x", "number", 1, True, bold_best=True)]
    text = render(Report([Table("", columns, rows, highlighted="c")]), "terminal", 40)

    assert text.splitlines()[1:] == ["a  1.0", "b  \x1b[1m2.0\x1b[0m", "\x1b[1mc  0.5\x1b[0m"]


def test_an_unknown_format_is_refused() -> None:
    assert FORMATS == ("csv", "json", "latex", "markdown", "terminal")
    with pytest.raises(UserError, match="unknown format 'markdwn'; did you mean markdown"):
        render(REPORT, "markdwn")


def test_large_tables_are_made_in_seconds() -> None:
    """2,000 Records of one name, each with its own settings."""
    runs = [
        replace(record(), task=f"t{n % 4}", settings={"dtype": "float32", "model.layer": n // 4})
        for n in range(2000)
    ]
    started = time.perf_counter()
    cells = tabulate(runs)
    texts = [render(leaderboard(cells), form, 80) for form in ("markdown", "terminal", "csv")]
    assert time.perf_counter() - started < 2
    assert texts[0].count("\n| a (layer=") == 500
    assert len(labels(next(iter(cells.values())))) == 500
