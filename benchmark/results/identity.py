"""What sets Records apart: the settings that decide a score."""

from collections.abc import Mapping
from typing import Any

from benchmark.results.record import Record

GROUPS = ("task", "model", "method")
SOURCES = ("source", "revision", "mirror", "columns", "allow", "sizes", "reference")
"""Task settings that say where the data is: digests of its content say what it is."""
PLACES = (
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
PACE = ("save_minutes", "gradient_checkpointing")
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
    hidden = {"task": SOURCES, "model": PLACES, "method": PACE}[group]
    kept = {name: value for name, value in settings.items() if name not in hidden}
    return kept | ({"reference": bool(settings["reference"])} if "reference" in settings else {})


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """A Record of an older format in the form of today's.

    Format 1 had no versions, and its code is that of version 1 of everything.
    """
    if values["format"] == 1:
        versions = {part: 1 for part in ("task", "model", "method", "evaluation", "embedding")}
        values["identity"] = {
            **{group: deciding(group, values["config"][group]) for group in GROUPS},
            "dtype": values["backbone"].get("dtype", "float32"),
            "limit": values["limit"],
            "data": values["data"],
            "weights": values["backbone"].get("digest"),
            "versions": {**versions, "metrics": dict.fromkeys(values["higher_is_better"], 1)},
        }
        values["format"] = 2
    return values


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
