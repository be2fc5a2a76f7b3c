"""`why`: what sets two results apart."""

from pathlib import Path

from benchmark.cli.verbs.request import Request
from benchmark.core import UserError


def show_why(request: Request) -> None:
    """Which settings, data, weights and versions set two results apart, and what else differs."""
    from rich.console import Console
    from rich.table import Table

    from benchmark.results.identity import differences
    from benchmark.results.storage import find

    results = Path(str(request.options.get("results", "results"))).expanduser()
    if set(request.options) - {"results"} != {"a", "b"}:
        raise UserError("why compares two results; give two keys, folders or files of Records")
    records = [find(str(request.options[name]), results) for name in ("a", "b")]
    console = Console(highlight=False)
    for title, parts in differences(*records).items():
        table = Table(box=None, pad_edge=False)
        for head in (title, *(str(record.path) for record in records)):
            table.add_column(head, overflow="fold")
        for name, values in parts.items():
            table.add_row(name, *values)
        if parts:
            console.print(table)
    same = records[0].key == records[1].key
    print("the same run: equal keys" if same else "different runs: the keys differ")
