"""What distinguishes Records: the settings that affect a score."""

from collections.abc import Mapping
from typing import Any

from benchmark.results.record import Record

NOT_IN_KEY = {
    "task": {
        "source",
        "revision",
        "mirror",
        "columns",
        "allow",
        "sizes",
        "missing",
        "reference",
        "prompts",
        "bands_against",
    },
    "model": {"path", "revision", "device", "device_map", "dtype", "batch_tokens", "compile"}
    | {"trust_remote_code", "facts", "counts", "adapter"},
    "method": {"save_minutes", "gradient_checkpointing"},
}
"""Settings that affect no score (place, speed, memory, facts) or are in the key otherwise."""
LATER = {"model": {"prefix": ""}}
"""Settings that older keys lack, with the value that stands for their absence."""
LATER_METRICS = {"bits_per_residue": 1}
"""Metrics that older keys lack, with the version that is absent; one that ranks is never absent."""


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested settings to names `prefix.key`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}"
        result |= flat(name, value) if isinstance(value, Mapping) else {name: value}
    return result


def deciding(group: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a task, model or method that affect a score; of a reference whether it is."""
    later = LATER.get(group, {})
    chosen = {
        name: value
        for name, value in settings.items()
        if name not in NOT_IN_KEY[group] and not (name in later and value == later[name])
    }
    if group == "task" and "metrics" in chosen:
        first, *rest = chosen["metrics"]
        chosen["metrics"] = [first, *(name for name in rest if name not in LATER_METRICS)]
    return chosen | ({"reference": bool(settings["reference"])} if "reference" in settings else {})


def deciding_versions(versions: Mapping[str, Any]) -> dict[str, Any]:
    """The declared versions of metrics, the one that ranks first, that are in the key."""
    first = next(iter(versions), "")
    return {
        name: version
        for name, version in versions.items()
        if name == first or LATER_METRICS.get(name) != version
    }


def differences(a: Record, b: Record) -> dict[str, dict[str, tuple[str, str]]]:
    """Differences between two Records: the parts of their keys, then what is in no key."""
    both = {
        "part of the key": [flat("", record.identity) for record in (a, b)],
        "not part of it": [flat("", {"seed": r.seed, **r.environment}) for r in (a, b)],
    }
    return {
        title: {
            name.lstrip("."): (str(one.get(name, "–")), str(other.get(name, "–")))
            for name in sorted({*one, *other})
            if one.get(name) != other.get(name)
        }
        for title, (one, other) in both.items()
    }
