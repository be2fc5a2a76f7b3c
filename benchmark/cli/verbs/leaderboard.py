"""`leaderboard`: the tables, made anew from the Records."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.report.cells import Cells
from benchmark.report.table import Report
from benchmark.results.storage import default_results, load_all, reference, without_collection


@without_collection()
def show_leaderboard(request: Request) -> None:
    """Rewrite the tables of results=DIR and show them, or a view of them.

    Before the first run, the committed results are shown.

    by=identity, by=method, by=rank, or by=generation, which also writes figures to results=DIR.
    area=, suite=, task=, method=, family=, since= and max_parameters= restrict the tables.
    """
    from benchmark.report import leaderboard
    from benchmark.report.breakdowns import by_identity, by_method
    from benchmark.report.filters import FILTERS, OF_ROWS, select
    from benchmark.report.generation.view import by_generation
    from benchmark.report.published import read_published
    from benchmark.report.ranking import by_rank

    results = Path(request.options.get("results", "results")).expanduser()
    views: dict[str, Callable[[Cells], Report]] = {
        "identity": by_identity,
        "method": by_method,
        "rank": partial(by_rank, results=results),
        "generation": partial(by_generation, results=results),
    }
    by = request.options.get("by")
    if by is not None and by not in views:
        raise UserError(f"by={by} is not known; there is by={', by='.join(views)}")
    try:
        cells, report = leaderboard.write(results)
    except OSError as error:
        cells, report = leaderboard.read(results)
        print(f"the tables cannot be written to {results} ({error.strerror})", file=sys.stderr)
    if not cells:
        if load_all(results):
            raise UserError(
                f"all runs in {results} have limit=, and such runs are not ranked; run without it"
            )
        if results != default_results():
            raise UserError(f"there are no Records in {results}; run `python -m benchmark` first")
        cells, report = leaderboard.read(reference())
        note = f"there are no Records in {results} yet; these are the committed results"
        print(note, file=sys.stderr)
    if set(FILTERS) & set(request.options):
        cells = select(cells, request.options)
        measured = bool(set(OF_ROWS) & set(request.options))
        report = leaderboard.leaderboard(cells, () if measured else read_published(results))
    request.show(views[by](cells) if by else report)
