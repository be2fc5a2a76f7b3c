"""`check`: does a backbone keep what it promises?"""

from typing import Any

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request


def show_check(request: Request) -> int:
    """Try what a backbone promises; the exit status is 1 if a promise is not kept."""
    from rich.console import Console

    from benchmark.testing.backbone import findings

    def make(dtype: str | None = None) -> Any:
        model = compose(request.words, request.folders).model
        if dtype is not None and "dtype" in model:
            model.dtype = dtype
        return build(model)

    line = "{:<55} {:<26} {:<18} {}".format
    Console(highlight=False).print(
        line("promise", "found", "allowed", ""), style="bold", soft_wrap=True
    )
    kept = []
    for finding in findings(make(), make):
        kept.append(finding.kept)
        told = "kept" if finding.kept else "NOT KEPT"
        print(line(finding.promise, finding.found, finding.allowed, told))
    print(f"{sum(kept)} of {len(kept)} promises are kept")
    return 0 if all(kept) else 1
