"""The summary that is printed after a run."""

from collections import Counter
from collections.abc import Sequence
from math import isnan

from benchmark.results.record import WITHOUT_OVERLAP, Record, mean_of, primary
from benchmark.stats.bootstrap import FEWEST_UNITS
from benchmark.stats.seeds import estimate


def summary(records: Sequence[Record]) -> str:
    """Score, interval and caveats of one run of one or more seeds."""
    record, found = records[-1], estimate(*primary(records))
    report, test = record.data_report, next(iter(record.scores))
    units = count(record.units[test], report.get("unit") or "resampling unit")
    units += f"; {mean}" if (mean := mean_of(record)) else ""
    model = "" if record.model_free else f" · {record.model}"
    text = f"{record.task}{model} · {record.method}: {record.primary} "
    text += "undefined" if isnan(found.score) else str(found)
    if found.interval:
        text += f" (95% CI, {units})"
    elif not isnan(found.score):
        few = record.units[test] < FEWEST_UNITS
        text += f" ({units}: {'too few for a' if few else 'no'} confidence interval)"
    lines = [text]
    if usage := format_usage(records):
        lines.append(usage)
    if "judge" in record.choices:
        seconds = sum((Counter(r.seconds) for r in records), Counter[str]())
        lines.append(", ".join(f"{phase} {value:.1f} s" for phase, value in seconds.items()))
    if record.limit is not None:
        lines.append(f"limit={record.limit}: not ranked")
    sizes = report.get("sizes", {})
    if published := report.get("published_sizes"):
        pairs = [f"{k} {sizes.get(k, 0):,} (published: {n:,})" for k, n in published.items()]
        lines.append(f"sizes differ from the published ones: {', '.join(pairs)}")
    for name, shared in report.get("also_in_train", {}).items():
        lines.append(f"{name}: {shared:,} of {sizes[name]:,} examples are also in train")
    if seen := sum(map(Counter, report.get("chains_in_train", {}).values()), Counter[str]()):
        pairs = [f"{chains} in {examples:,}" for chains, examples in sorted(seen.items())]
        lines.append(f"number of chains also in train: {', '.join(pairs)} test examples")
    if apart := record.strata.get(test, {}).get(WITHOUT_OVERLAP):
        value = apart["scores"].get(record.primary)
        score = "undefined" if value is None else f"{value:.3f}"
        examples = count(apart["examples"], "example")
        lines.append(f"{test} {WITHOUT_OVERLAP}: {record.primary} {score} ({examples})")
    if classes := report.get("classes"):
        words = [f"{number} {word}" for number, word in enumerate(classes)]
        lines.append(f"classes: {some_of(words)}")
    not_read = [f"{n:,} {kind}" for kind, n in report.get("left_out", {}).items()]
    for kind in ("columns", "files"):
        if names := report.get(f"unread_{kind}"):
            not_read.append(f"{kind} {some_of(names)}")
    if not_read:
        lines.append(f"not read: {'; '.join(not_read)}")
    for split, changes in report.get("changes", {}).items():
        pairs = [f"{n:,} {kind.replace('_', ' ')}" for kind, n in changes.items() if kind != "rows"]
        if pairs:
            lines.append(f"{split}, {changes['rows']:,} rows: {', '.join(pairs)}")
    return "\n".join(lines)


def some_of(names: Sequence[str], most: int = 12) -> str:
    """Names, the first of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def count(number: int, noun: str) -> str:
    """A number with its noun, plural unless it is 1: "120 proteins", "3 proteins of a pair"."""
    head, of, rest = noun.partition(" of ")
    if number != 1 and not head.endswith("s"):
        ends_in_y = head.endswith("y") and head[-2:-1] not in "aeou"
        head = f"{head[:-1]}ies" if ends_in_y else f"{head}s"
    return f"{number:,} {head}{of}{rest}"


def format_usage(records: Sequence[Record]) -> str:
    """Compute of all seeds together, and their peak memory; "" if nothing was counted."""
    usages = [record.usage for record in records]
    if not any(name.endswith("forward_flops") for usage in usages for name in usage):
        return ""

    def over_seeds(name: str) -> list[int]:
        return [usage.get(name, 0) for usage in usages]

    forward, backward = sum(over_seeds("forward_flops")), sum(over_seeds("backward_flops"))
    parts = [f"{forward:.1e} FLOPs forward" if forward else "no forward pass"]
    if backward:
        parts.append(f"{backward:.1e} backward")
    if judge := sum(over_seeds("judge_forward_flops")):
        parts.append(f"{judge:.1e} FLOPs by the judge")
    if stored := sum(over_seeds("chains_from_store")):
        parts.append(f"{stored:,} chains from the store")
    if memory := max(over_seeds("peak_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB")
    if memory := max(over_seeds("peak_gpu_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB on the GPU")
    return ", ".join(parts)
