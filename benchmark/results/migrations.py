"""Convert Records of older formats to the current one."""

from copy import deepcopy
from typing import Any

from benchmark.results.aliases import GROUPS, renamed
from benchmark.results.identity import deciding


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """Convert a Record to the current format; format 1 had no versions, and each was 1."""
    if values["format"] == 1:
        config = deepcopy(values["config"])
        for (group, name), value in renamed(config).items():
            config[group][name] = value
        versions = dict.fromkeys((*GROUPS, "evaluation", "embedding"), 1)
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
        report["aggregate"] = report.pop("mean", None)
        values["data_report"] = {name: value for name, value in report.items() if value}
    return values
