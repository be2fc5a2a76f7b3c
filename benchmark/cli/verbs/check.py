"""`check`: model adapter check."""

from typing import Any

from benchmark.cli.compose import build, compose
from benchmark.cli.verbs.request import Request
from benchmark.report.table import Column, Report, Table


def show_check(request: Request) -> int:
    """Print every check of a model; the exit status is 1 if one fails."""
    from benchmark.testing.backbone import findings

    def make(dtype: str | None = None) -> Any:
        model = compose(request.words, request.folders).model
        if dtype is not None and "dtype" in model:
            model.dtype = dtype
        return build(model)

    found = list(findings(make(), make))
    passed = sum(finding.passed for finding in found)
    rows = [[*finding[:3], "pass" if finding.passed else "FAIL"] for finding in found]
    columns = [*map(Column, ("check", "found", "allowed", "result"))]
    verdict = f"model adapter check: {passed} of {len(found)} pass"
    request.show(Report([Table("", columns, rows, [verdict])]))
    return 0 if passed == len(found) else 1
