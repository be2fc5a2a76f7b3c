"""`check`: model adapter check."""

from typing import Any

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request


def show_check(request: Request) -> int:
    """Print every check of a model; the exit status is 1 if one fails."""
    from benchmark.testing.backbone import findings

    def make(dtype: str | None = None) -> Any:
        model = compose(request.words, request.folders).model
        if dtype is not None and "dtype" in model:
            model.dtype = dtype
        return build(model)

    backbone = make()
    line = "{:<55} {:<26} {:<18} {}".format
    print(line("check", "found", "allowed", "result"))
    passed = []
    for finding in findings(backbone, make):
        passed.append(finding.passed)
        print(line(*finding[:3], "pass" if finding.passed else "FAIL"))
    print(f"model adapter check: {sum(passed)} of {len(passed)} pass")
    return 0 if all(passed) else 1
