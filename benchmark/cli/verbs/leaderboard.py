"""`leaderboard`: the tables, made again from the Records."""

from itertools import zip_longest
from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError


def show_leaderboard(request: Request) -> None:
    """Make the tables again from the Records in results=DIR; show them, or by=identity, method."""
    from rich.console import Console
    from rich.markdown import Markdown

    from benchmark.report import leaderboard
    from benchmark.report.breakdowns import by_identity, by_method
    from benchmark.report.published import read_published

    results = Path(str(request.options.get("results", "results"))).expanduser()
    views = {"identity": by_identity, "method": by_method}
    by = request.options.get("by")
    if by is not None and by not in views:
        raise UserError(f"by={by} is not known; there is by={', by='.join(views)}")
    cells = leaderboard.require(leaderboard.write(results), results)
    text = views[by](cells) if by else leaderboard.markdown(cells, read_published(results))
    lines = text.replace("<br>", " ").splitlines()
    # a table is as wide as it needs: in a narrower one numbers would be cut off
    parts = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    needed = sum(max(map(len, column)) + 1 for column in zip_longest(*parts, fillvalue=""))
    console = Console()
    console.width = max(console.width, needed)
    console.print(Markdown("\n".join(lines)))
