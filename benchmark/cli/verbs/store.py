"""`store`: what embeddings are kept, and their removal."""

import os
import time

from benchmark.cli.verbs.request import Request


def show_store(request: Request) -> None:
    """The embeddings in store=DIR, by group; clear=GROUP removes one, clear=all everything."""
    from rich.console import Console
    from rich.table import Table

    from benchmark.embedding import store

    folder = store.folder_of(request.options.get("store", os.environ.get("BENCHMARK_STORE")))
    if clear := request.options.get("clear"):
        store.clear(folder, str(clear))
    groups = store.groups(folder)
    table = Table(box=None, pad_edge=False)
    for head in ("group", "layer", "dtype", "model"):
        table.add_column(head, no_wrap=head != "model", overflow="fold")
    for head in ("vectors", "MB", "last used"):
        table.add_column(head, justify="right", no_wrap=True)
    for group in groups:
        about, count, used = group.about(), group.entries(), time.localtime(group.used)
        layer = str(about.get("layer", ""))
        if group.level == "protein":
            layer += f" {about.get('pooling', '')}"
        table.add_row(
            group.folder.name,
            layer,
            str(about.get("dtype", "")),
            str(about.get("model", "")),
            "damaged" if count is None else f"{count:,}",
            f"{group.size / 1e6:,.1f}",
            time.strftime("%Y-%m-%d", used),
        )
    if groups:
        Console(highlight=False).print(table)
    print(f"{folder}: {sum(group.size for group in groups) / 1e9:.3f} GB")
