"""Tables, novel sequences and figures of generation."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmark.report.cells import Cells, tabulate
from benchmark.report.generation.figures import (
    BANDS,
    CONTENT,
    draw_grid,
    draw_panels,
    write_figures,
)
from benchmark.report.generation.tables import generation_tables
from benchmark.report.generation.view import by_generation
from benchmark.report.leaderboard import leaderboard
from benchmark.report.render import render
from benchmark.results.record import NO_MODEL, Record
from benchmark.results.storage import save
from tests.report.test_leaderboard import record

SCORES = {"judge_perplexity": 15.0, "clusters_per_100": 90.0, "mmd": 0.1, "without_hit": 0.5}
BETTER = {"judge_perplexity": False, "clusters_per_100": True, "mmd": False, "without_hit": None}


def generated(model: str, sampling: str = "causal", judge: str = "w2", **more: Any) -> Record:
    own = model == "none"
    score = more.pop("score", 15.0)
    settings = {"method.temperature": more.pop("temperature", 1.0), "method.top_p": 1.0}
    config = {"task": {"judge": "j"}, "model": {"_target_": NO_MODEL} if own else {}}
    made = record("generation", model, settings={} if own else settings, config=config)
    versions = {**made.identity["versions"], "metrics": {"judge_perplexity": 1}}
    chosen = {"judge": {"self_judged": model == "itself"}}
    return replace(
        made,
        area="generation",
        method="natural" if own else "sample",
        primary="judge_perplexity",
        higher_is_better=BETTER,
        scores={"test": {**SCORES, "judge_perplexity": score}},
        intervals={"test": {}},
        identity={**made.identity, "versions": versions, "judge": {"weights": judge}},
        choices=chosen if own else {**chosen, "sampling": sampling},
    )


def cells_of(*records: Record) -> Cells:
    return tabulate(records)


def test_causal_models_and_mask_refill_have_tables_of_their_own() -> None:
    cells = cells_of(generated("none"), generated("clm"), generated("mlm", "refill"))

    causal, refill = generation_tables(cells)

    assert causal.title == "Generation · causal · judge j, n = 1,234"
    assert refill.title == "Generation · mask-refill · judge j, n = 1,234"
    assert [row[0] for row in causal.rows] == ["natural (baseline)", "clm"]
    assert [row[0] for row in refill.rows] == ["natural (baseline)", "mlm (mask-refill)"]


def test_judges_of_other_weights_are_never_in_one_table() -> None:
    cells = cells_of(generated("a"), generated("b", judge="w3"))

    assert [len(table.rows) for table in generation_tables(cells)] == [1, 1]


def test_a_self_judged_row_is_marked_and_the_best_is_first() -> None:
    cells = cells_of(generated("itself", score=20.0), generated("other", score=10.0))

    (table,) = generation_tables(cells)

    assert [row[0] for row in table.rows] == ["other", "itself (self-judged)"]


def test_the_leaderboard_has_generation_once_and_it_fits_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cells = cells_of(generated("none"), generated("pocket_clm_l"), record())

    report = leaderboard(cells)

    assert [table.title for table in report.tables] == [
        "Developability · linear",
        "Generation · causal · judge j, n = 1,234",
    ]
    text = render(report)
    assert text.count("pocket_clm_l") == 1  # all columns in one block
    assert max(map(len, text.splitlines())) <= 80


def stored(name: str, judge: float, identity: float, nearest: str = "P1") -> dict[str, Any]:
    return {"test": "test", "id": name, "seq": "", "sequence": "ACDEFGHIKLMN", "judge": judge} | {
        "nearest": nearest,
        "identity": identity,
        "log_likelihood": -2.0,
        "ended": True,
    }


def test_novel_sequences_are_listed_with_their_nearest_protein(tmp_path: Path) -> None:
    rows = [
        stored("copy", -1.0, 0.95),
        stored("far", -2.0, 0.0, ""),
        stored("near", -1.5, 0.4, "P2"),
        stored("worse", -2.5, 0.3),
        stored("worst", -2.9, 0.3),
        stored("short", -0.1, float("nan"), ""),
    ]
    made = generated("clm")
    save(made, {name: [row[name] for row in rows] for name in rows[0]}, tmp_path)

    report = by_generation(cells_of(made), tmp_path)

    found = report.tables[1].rows
    assert [row[1] for row in found] == ["near", "far", "worse"]
    assert [row[5] for row in found] == ["P2", "no hit", "P1"]
    assert (tmp_path / "generation.png").read_bytes().startswith(b"\x89PNG")
    assert "generation.png" in report.text


def test_a_grid_of_settings_is_a_figure_of_its_own(tmp_path: Path) -> None:
    one = [generated("none"), generated("clm", temperature=1.0)]
    assert [path.name for path in write_figures(cells_of(*one), tmp_path)] == ["generation.png"]

    found = write_figures(cells_of(*one, generated("clm", temperature=0.5)), tmp_path)

    assert [path.name for path in found] == ["generation.png", "generation_grid.png"]


def test_error_bars_are_the_intervals_of_what_is_drawn() -> None:
    """Not of the primary metric, which may be another one."""
    intervals = {"judge_perplexity": (14.0, 16.0), "without_hit": (0.4, 0.6)}
    made = [generated("none"), generated("clm")]
    made = [replace(one, primary="without_hit", intervals={"test": intervals}) for one in made]
    versions = {**made[0].identity["versions"], "metrics": {"without_hit": 1}}
    made = [replace(one, identity={**one.identity, "versions": versions}) for one in made]
    (rows,) = cells_of(*made).values()
    figure = Figure()

    draw_panels(figure, rows)

    perplexity, novelty, diversity, _ = figure.axes
    bars = [part.get_segments()[0][:, 0].tolist() for part in perplexity.collections]
    assert bars == [[14.0, 16.0]] * 2
    assert not novelty.collections and not diversity.collections, "they have no interval"


def test_texts_of_a_grid_and_of_its_panels_do_not_overlap() -> None:
    grid = [generated("clm", temperature=at / 5, score=3.0 + at / 9) for at in range(1, 13)]
    more = dict.fromkeys([*CONTENT, *BANDS.values(), "pairwise_identity"], 0.25)
    made = [
        replace(one, scores={"test": {**one.scores["test"], **more}})
        for one in (generated("none"), *grid)
    ]
    (rows,) = cells_of(*made).values()
    for draw, height in ((draw_panels, 12), (draw_grid, 8)):
        figure = Figure(figsize=(12, height), layout="constrained")
        draw(figure, rows)
        figure.draw_without_rendering()
        unseen = [label for axes in figure.axes for label in out_of_view(axes)]
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        boxes = {t: t.get_window_extent() for t in texts if t not in unseen}
        assert len(boxes) > 25
        pairs = combinations(boxes, 2)
        assert not [(a, b) for a, b in pairs if boxes[a].overlaps(boxes[b])]


def out_of_view(axes: Axes) -> list[Text]:
    """Labels of ticks beyond the limits of an axis, which are not drawn."""
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        found += [t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high]
    return found
