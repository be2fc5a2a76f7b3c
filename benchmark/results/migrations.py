"""Records of older formats, read as today's."""

from copy import deepcopy
from typing import Any

from benchmark.results.aliases import renamed
from benchmark.results.identity import GROUPS, deciding


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """A Record of an older format in the form of today's.

    Format 1 had no declared versions; all of its Records were made by version 1 of everything.
    """
    if values["format"] == 1:
        config = deepcopy(values["config"])
        for (group, name), value in renamed(config).items():
            config[group][name] = value
        versions = {part: 1 for part in ("task", "model", "method", "evaluation", "embedding")}
        identity = {
            **{group: deciding(group, config[group]) for group in GROUPS},
            "dtype": values["backbone"].get("dtype", "float32"),
            "limit": values["limit"],
            "data": values["data"],
            "weights": values["backbone"].get("digest"),
            "versions": {**versions, "metrics": dict.fromkeys(values["higher_is_better"], 1)},
        }
        area = "language_modeling" if values["area"] == "generation" else values["area"]
        values |= {"config": config, "identity": identity, "area": area, "format": 2}
        values["usage"] = values.pop("cost", {})
        report = dict(values.pop("notes"))
        values["audit"] = report.pop("audit", {})
        if "mean" in report:
            report["aggregate"] = report.pop("mean")
        values["data_report"] = {name: value for name, value in report.items() if value}
    return values
