"""`leaderboard`: the tables, made anew from the Records."""

from functools import partial
from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.results.storage import without_collection


@without_collection()
def show_leaderboard(request: Request) -> None:
    """Write the tables of results=DIR anew and show them, or the view that by= names.

    by=identity, by=method, or by=generation, which also writes figures to results=DIR.
    """
    from benchmark.report import leaderboard
    from benchmark.report.breakdowns import by_identity, by_method
    from benchmark.report.generation.view import by_generation

    results = Path(request.options.get("results", "results")).expanduser()
    views = {"identity": by_identity, "method": by_method}
    views |= {"generation": partial(by_generation, results=results)}
    by = request.options.get("by")
    if by is not None and by not in views:
        raise UserError(f"by={by} is not known; there is by={', by='.join(views)}")
    cells, report = leaderboard.write(results)
    if not cells:
        raise UserError(f"there are no Records in {results}; run `python -m benchmark` first")
    request.show(views[by](cells) if by else report)
