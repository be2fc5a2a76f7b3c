"""A run told in a few lines."""

from collections import Counter
from collections.abc import Sequence
from math import isnan

from benchmark.results.record import WITHOUT_OVERLAP, Record, primary
from benchmark.stats.seeds import estimate


def summary(records: Sequence[Record]) -> str:
    """A run of one or more seeds in a line: score, interval, what one must know to trust it."""
    record, found = records[-1], estimate(*primary(records))
    test = next(iter(record.scores))
    units = record.units[test]
    text = f"{record.task} · {record.model} · {record.method}: {record.primary} "
    text += "undefined" if isnan(found.score) else str(found)
    if found.interval:
        text += f" (95 %, {units:,} units)"
    elif not isnan(found.score):
        text += f" ({units} units: too few for an interval)"
    lines = [text]
    if cost := format_usage(records):
        lines.append(cost)
    if record.limit is not None:
        lines.append(f"limit={record.limit}: a quick try, kept out of the leaderboard")
    sizes = record.notes.get("sizes", {})
    if published := record.notes.get("published_sizes"):
        have = ", ".join(f"{name} {sizes.get(name, 0):,} of {n:,}" for name, n in published.items())
        lines.append(f"not the published sizes: {have}")
    for name, count in record.notes.get("also_in_train", {}).items():
        lines.append(f"{name}: {count:,} of {sizes[name]:,} examples are in train, too")
    shared = Counter[str]()
    for counts in record.notes.get("chains_in_train", {}).values():
        shared.update(counts)
    if shared:
        told = ", ".join(f"{chains} in {count:,}" for chains, count in sorted(shared.items()))
        lines.append(f"chains of a test example that are in train, too: {told} examples")
    if apart := record.strata.get(test, {}).get(WITHOUT_OVERLAP):
        value = apart["scores"].get(record.primary)
        told = "undefined" if value is None else f"{value:.3f}"
        lines.append(
            f"{test} {WITHOUT_OVERLAP}: {record.primary} {told}, {apart['examples']:,} examples"
        )
    for split, changes in record.notes.get("changes", {}).items():
        altered = {k: v for k, v in changes.items() if k != "rows"}
        if altered:
            told = ", ".join(
                f"{value:,} {name.replace('_', ' ')}" for name, value in altered.items()
            )
            lines.append(f"{split}: of {changes['rows']:,} rows {told}")
    return "\n".join(lines)


def format_usage(records: Sequence[Record]) -> str:
    """What all seeds together took of a backbone whose work is counted; of memory the most."""
    costs = [record.usage for record in records]
    if not any("forward_flops" in cost for cost in costs):
        return ""

    def over_seeds(name: str) -> list[int]:
        return [cost.get(name, 0) for cost in costs]

    forward, backward = sum(over_seeds("forward_flops")), sum(over_seeds("backward_flops"))
    parts = [f"{forward:.1e} FLOPs forward" if forward else "no forward pass"]
    if backward:
        parts.append(f"{backward:.1e} backward")
    if kept := sum(over_seeds("chains_from_store")):
        parts.append(f"{kept:,} chains from the store")
    if memory := max(over_seeds("peak_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB")
    if memory := max(over_seeds("peak_gpu_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB on the GPU")
    return ", ".join(parts)
