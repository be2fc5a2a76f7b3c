"""`compare`: whether one model is better than another, from stored predictions."""

from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.results.storage import default_results, without_collection


@without_collection()
def show_compare(request: Request) -> None:
    """Compare models by paired tests of their stored predictions, without running anything.

    A model is a name in the tables, NAME@KEY, a key, a folder of results or the file of a Record.
    Every method that two models have for a task is compared; task= and method= choose among
    them.
    """
    from benchmark.report.comparison import compare
    from benchmark.report.paired_tables import figures, report
    from benchmark.report.selection import select

    options = request.options
    words = [value for name, value in options.items() if name.startswith("models.")]
    if len(words) < 2:
        raise UserError("compare takes two models or more: names in the tables, or folders")
    if "figures" in options and len(words) > 2:
        raise UserError("figures= draws one model against another; give two models")
    results = Path(options.get("results", "results")).expanduser()
    if not results.is_dir() and results != default_results():  # the committed ones need no folder
        raise UserError(f"results={results} is not a folder; leave it out, or name one of results")
    sides = select(words, results, options.get("method", ""), options.get("task", ""))
    given = {name: options[name] for name in ("test", "metric", "by") if name in options}
    lines, notes = compare(sides, **given)
    shown = report([side.name for side in sides], lines, notes)
    if "figures" in options:
        folder = Path(options["figures"]).expanduser()
        try:
            moved = figures(sides, lines, folder)
        except OSError as error:
            request.show(shown)
            reason = f"cannot write to figures={folder} ({error.strerror}); give another folder"
            raise UserError(reason) from None
        shown = shown._replace(tables=[*shown.tables, moved])
    request.show(shown)
