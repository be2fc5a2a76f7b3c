"""Names of earlier versions, in yamls and Records, and what they are called now."""

from collections.abc import Mapping
from typing import Any

from benchmark.core import OLD_KINDS

MODULES = {
    "benchmark.backbones.floors": "benchmark.backbones.baselines.descriptors",
    "benchmark.backbones.frequencies": "benchmark.backbones.baselines.ngram",
    "benchmark.backbones.random": "benchmark.backbones.baselines.untrained",
    "benchmark.methods.attention": "benchmark.methods.contacts.attention",
    "benchmark.methods.contact_head": "benchmark.methods.contacts.contact_head",
    "benchmark.methods.linear": "benchmark.methods.probe.linear",
    "benchmark.methods.mlp": "benchmark.methods.probe.mlp",
}
"""Modules of earlier versions whose classes a yaml may name."""
CLASSES = {
    "benchmark.methods.finetune.Finetune": "benchmark.methods.finetune.full.Finetune",
    "benchmark.methods.finetune.Lora": "benchmark.methods.finetune.lora.Lora",
}


def current_target(target: str) -> str:
    """The dotted name of a class today."""
    module, _, name = target.rpartition(".")
    return CLASSES.get(target, f"{MODULES[module]}.{name}" if module in MODULES else target)


def current_area(area: str, task: Mapping[str, Any]) -> str:
    """The area of a task today: perplexity was once filed under generation."""
    perplexity = area == "generation" and "context" in task
    return "language_modeling" if perplexity else area


def renamed(config: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The (group, setting) of a configuration that have an earlier name, and today's."""
    found = dict[tuple[str, str], str]()
    for group in ("task", "model", "method"):
        if not isinstance(config.get(group), Mapping):
            continue
        settings = config[group]
        new = {"_target_": current_target(str(settings.get("_target_", "")))}
        if group == "task":
            new["kind"] = OLD_KINDS.get(settings.get("kind"), settings.get("kind"))
            new["area"] = current_area(str(settings.get("area")), settings)
        changed = {name: value for name, value in new.items() if settings.get(name, value) != value}
        found |= {(group, name): str(value) for name, value in changed.items()}
    return found
