"""`leaderboard`: the tables, made anew from the Records."""

from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError


def show_leaderboard(request: Request) -> None:
    """Write the tables of results=DIR anew and show them, or the view by=identity or by=method."""
    from benchmark.report import leaderboard
    from benchmark.report.breakdowns import by_identity, by_method
    from benchmark.report.published import read_published

    results = Path(request.options.get("results", "results")).expanduser()
    views = {"identity": by_identity, "method": by_method}
    by = request.options.get("by")
    if by is not None and by not in views:
        raise UserError(f"by={by} is not known; there is by={', by='.join(views)}")
    if not (cells := leaderboard.write(results)):
        raise UserError(f"there are no Records in {results}; run `python -m benchmark` first")
    published = read_published(results)
    request.show(views[by](cells) if by else leaderboard.leaderboard(cells, published))
