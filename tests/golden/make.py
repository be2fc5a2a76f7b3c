"""`python -m tests.golden.make [CASE ...]`: write the golden results again, all or those named."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.cases import CASES, Numbers, Predictions, Versions, run_case
from tests.golden.tables import prepare

HERE = Path(__file__).parent
NUMBERS, PREDICTIONS = HERE / "golden.json", HERE / "predictions.npz"
TOLERANCE = 1e-6 if os.environ.get("GOLDEN_STRICT") == "1" else 1e-4
"""Of scores and predictions: machines differ by rounding, one machine does not."""
Golden = dict[str, dict[str, Any]]


def pack(predictions: Predictions) -> dict[str, np.ndarray]:
    """Rows of one case as three arrays."""
    rows = sorted(predictions)
    parts = [predictions[row] for row in rows]
    return {
        "rows": np.array([row.encode() for row in rows]),
        "sizes": np.array([len(part) for part in parts], np.int32),
        "values": np.concatenate(parts),
    }


def unpack(packed: dict[str, np.ndarray]) -> Predictions:
    """The rows again."""
    parts = np.split(packed["values"], np.cumsum(packed["sizes"])[:-1])
    return {row.decode(): part for row, part in zip(packed["rows"].tolist(), parts, strict=True)}


def load() -> tuple[Golden, dict[str, Predictions]]:
    """The golden results: each case's `versions` and `numbers`, and its predictions."""
    golden = json.loads(NUMBERS.read_text(encoding="utf-8"))
    with np.load(PREDICTIONS) as stored:
        packed = {
            name: {part: stored[f"{name}/{part}"] for part in ("rows", "sizes", "values")}
            for name in golden
        }
    return golden, {name: unpack(arrays) for name, arrays in packed.items()}


def save(golden: Golden, predictions: dict[str, Predictions]) -> None:
    """Write both files; cases that are no more are left out."""
    kept = {name: golden[name] for name in CASES if name in golden}
    NUMBERS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    arrays = {
        f"{name}/{part}": array for name in kept for part, array in pack(predictions[name]).items()
    }
    np.savez_compressed(PREDICTIONS, **arrays)


def number_differences(old: Numbers, new: Numbers) -> list[str]:
    found = [f"{name}: old {old[name]!r}, new: none" for name in old if name not in new]
    found += [f"{name}: old: none, new {new[name]!r}" for name in new if name not in old]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        allowed = 0 if isinstance(before, int) else TOLERANCE * (1 + abs(before))
        if not abs(after - before) <= allowed:
            found.append(f"{name}: old {before!r}, new {after!r}")
    return sorted(found)


def prediction_differences(old: Predictions, new: Predictions) -> list[str]:
    found = [f"row {row}: was there, is no more" for row in old if row not in new]
    found += [f"row {row}: is new" for row in new if row not in old]
    for row in old.keys() & new.keys():
        before, after = old[row], new[row]
        if before.shape != after.shape:
            found.append(f"row {row}: old {before.size} numbers, new {after.size}")
            continue
        near = np.isclose(after, before, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not near.all():
            at = int(np.argmin(near))
            found.append(
                f"row {row}: {np.sum(~near)} of {near.size} numbers; number {at}: "
                f"old {before[at]!s}, new {after[at]!s}"
            )
    return sorted(found)


def refuse_moved(name: str, old: Versions, new: Versions, moved: list[str]) -> None:
    """Refuse results of a case that have moved although no declared version has changed.

    The work that they take (`cost`) is no result: its row is made again without a new version.
    """
    moved = [line for line in moved if "/cost/" not in line]
    if moved and old == new:
        sys.exit(
            f"{name}: results have moved without a raised version ({moved[0]}); raise the VERSION "
            "of what has changed, then make the row again"
        )


def main(names: list[str]) -> None:
    """Run the cases, and write what came of them."""
    if unknown := set(names) - set(CASES):
        sys.exit(f"no case {min(unknown)!r}; there are: {', '.join(CASES)}")
    golden, predictions = load()
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place))
        for name in names or CASES:
            start = time.perf_counter()
            versions, numbers, predicted = run_case(name, Path(place))
            if old := golden.get(name):
                moved = number_differences(old["numbers"], numbers)
                moved += prediction_differences(predictions[name], predicted)
                refuse_moved(name, old["versions"], versions, moved)
            golden[name] = {"versions": versions, "numbers": dict(sorted(numbers.items()))}
            predictions[name] = predicted
            print(f"{name}: {time.perf_counter() - start:.2f} s", flush=True)
    save(golden, predictions)


if __name__ == "__main__":
    main(sys.argv[1:])
