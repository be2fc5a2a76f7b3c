"""`python -m tests.golden.make [CASE ...]`: write the golden results again, all or those named."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.cases import CASES, Numbers, Predictions, run_case
from tests.golden.tables import prepare

HERE = Path(__file__).parent
NUMBERS, PREDICTIONS = HERE / "golden.json", HERE / "predictions.npz"
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


def entry(numbers: Numbers) -> dict[str, Any]:
    """A case as it is stored; `versions` are the declared versions that it was made at."""
    return {"versions": {}, "numbers": dict(sorted(numbers.items()))}


def main(names: list[str]) -> None:
    """Run the cases, and write what came of them."""
    if unknown := set(names) - set(CASES):
        sys.exit(f"no case {min(unknown)!r}; there are: {', '.join(CASES)}")
    golden, predictions = load() if names else ({}, {})
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place))
        for name in names or CASES:
            start = time.perf_counter()
            numbers, predictions[name] = run_case(name, Path(place))
            golden[name] = entry(numbers)
            print(f"{name}: {time.perf_counter() - start:.2f} s", flush=True)
    save(golden, predictions)


if __name__ == "__main__":
    main(sys.argv[1:])
