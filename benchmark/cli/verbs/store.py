"""`store`: which embeddings are stored, and their removal."""

import os
import time

from benchmark.cli.verbs.request import Request
from benchmark.report.table import Column, Noted, Report, Table, Value


def show_store(request: Request) -> None:
    """List embeddings in store=DIR by group; clear=GROUP removes one, clear=all everything."""
    from benchmark.embedding import store

    folder = store.folder_of(request.options.get("store", os.environ.get("BENCHMARK_STORE")))
    if clear := request.options.get("clear"):
        store.clear(folder, str(clear))
    groups, rows = store.groups(folder), list[list[Value]]()
    for group in groups:
        about, count = group.about(), group.entries()
        layer = str(about.get("layer", ""))
        if group.level == "protein":
            layer += f" {about.get('pooling', '')}"
        model, dtype = (str(about.get(name, "")) for name in ("model", "dtype"))
        vectors = Noted(None, "damaged") if count is None else count
        used = time.strftime("%Y-%m-%d", time.localtime(group.used))
        rows.append([group.folder.name, layer, dtype, model, vectors, group.size / 1e6, used])
    columns = [
        *map(Column, ("group", "layer", "dtype", "model")),
        *(Column("vectors", "count"), Column("MB", "number", 1), Column("last used")),
    ]
    total = f"{folder}: {sum(group.size for group in groups) / 1e9:.3f} GB"
    request.show(Report([Table("", columns, rows, [total])]))
