"""What sets Records apart: the settings that decide a score."""

from collections.abc import Mapping
from typing import Any

from benchmark.results.record import Record

GROUPS = ("task", "model", "method")
DATA_SETTINGS = ("source", "revision", "mirror", "columns", "allow", "sizes", "reference")
"""Task settings that say where the data is: digests of its content say what it is."""
RUNTIME_SETTINGS = (
    "path",
    "revision",
    "device",
    "device_map",
    "dtype",
    "batch_tokens",
    "trust_remote_code",
    "facts",
    "counts",
)
"""Model settings that say where, how fast or what is known: they set no rows of a table apart."""
RESOURCE_SETTINGS = ("save_minutes", "gradient_checkpointing")
"""Method settings that cost time, disk or memory, and decide no score."""


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as one level, `prefix.key`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(f"{prefix}.{key}", value)
        else:
            result[f"{prefix}.{key}"] = value
    return result


def deciding(group: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a task, model or method that decide a score: no places, speeds, facts."""
    hidden = {"task": DATA_SETTINGS, "model": RUNTIME_SETTINGS, "method": RESOURCE_SETTINGS}[group]
    kept = {name: value for name, value in settings.items() if name not in hidden}
    return kept | ({"reference": bool(settings["reference"])} if "reference" in settings else {})


def differences(a: Record, b: Record) -> dict[str, dict[str, tuple[str, str]]]:
    """What differs between two Records: the parts of their keys, then what is in no key."""
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
