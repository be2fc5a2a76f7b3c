"""Names and formats of earlier versions, in yamls and Records, and the current ones."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from benchmark.core import OLD_KINDS
from benchmark.results.identity import deciding

GROUPS = ("task", "model", "method")
"""The parts of a run that a yaml configures."""
MODULES = {
    "benchmark.backbones.floors": "benchmark.backbones.baselines.descriptors",
    "benchmark.backbones.frequencies": "benchmark.backbones.baselines.ngram",
    "benchmark.backbones.random": "benchmark.backbones.baselines.untrained",
    "benchmark.methods.attention": "benchmark.methods.contacts.attention",
    "benchmark.methods.contact_head": "benchmark.methods.contacts.contact_head",
    "benchmark.methods.linear": "benchmark.methods.probe.linear",
    "benchmark.methods.mlp": "benchmark.methods.probe.mlp",
}
CLASSES = {
    "benchmark.methods.finetune.Finetune": "benchmark.methods.finetune.full.Finetune",
    "benchmark.methods.finetune.Lora": "benchmark.methods.finetune.lora.Lora",
}


def renamed(config: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The (group, setting) pairs of a configuration with an old value, and their new values."""
    found = dict[tuple[str, str], str]()
    for group in GROUPS:
        settings = config.get(group)
        if not isinstance(settings, Mapping):
            continue
        target = str(settings.get("_target_"))
        module = target.rpartition(".")[0]
        moved = target.replace(module, MODULES.get(module, module), 1)
        new: dict[str, Any] = {"_target_": CLASSES.get(target, moved)}
        if group == "task":
            new["kind"] = OLD_KINDS.get(kind := settings.get("kind"), kind)
            if settings.get("area") == "generation" and "context" in settings:
                new["area"] = "language_modeling"  # perplexity was in the area of generation
        changed = {name: value for name, value in new.items() if settings.get(name, value) != value}
        found |= {(group, name): str(value) for name, value in changed.items()}
    return found


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
