"""`why`: what differs between two results."""

from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.report.table import Column, Report, Table


def show_why(request: Request) -> None:
    """Show which settings, data, weights and versions of two results differ, and what else does."""
    from benchmark.results.identity import differences
    from benchmark.results.storage import find

    results = Path(request.options.get("results", "results")).expanduser()
    if set(request.options) - {"results", "format", "config_dir"} != {"a", "b"}:
        raise UserError("why compares two results; give two keys, folders or files of Records")
    records = [find(request.options[name], results) for name in ("a", "b")]
    files = [Column(name, detail=str(r.path)) for name, r in zip("ab", records, strict=True)]
    same = records[0].key == records[1].key
    tables = [
        Table(title, [Column("name"), *files], rows)
        for title, parts in differences(*records).items()
        if (rows := [[name, *values] for name, values in parts.items()])
    ]
    verdict = "the same run: equal keys" if same else "different runs: the keys differ"
    request.show(Report(tables, verdict))
