"""Records: one JSON file a run, self-contained, and beside it the predictions as Parquet.

    results/<task>/<model>/<method>/<key>/seed<k>.json, seed<k>.parquet

Files are written under a temporary name and renamed: a killed run leaves nothing half-written.
"""

import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.catalogue import flat
from benchmark.core import UserError
from benchmark.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 2
TITLE = "# Leaderboard"
"""First line of the tables' README.md."""
GROUPS = ("task", "model", "method")
PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "scipy", "peft", "datasets")
SOURCE = ("benchmark", "tasks", "conf", "pyproject.toml", "constraints.txt")
"""What decides a score: changes elsewhere leave a commit clean."""
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

APART = "without overlap"
"""The stratum of the test examples that are not in train or valid, too."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run, self-contained: no table needs the task or the model to read it."""

    task: str
    area: str
    version: int
    model: str
    method: str
    seed: int
    limit: int | None
    key: str
    """Digest of `identity`."""
    primary: str
    higher_is_better: Mapping[str, bool]
    scores: Mapping[str, Mapping[str, float]]
    """Test set -> metric -> score; an undefined score is absent."""
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    """Test set -> metric -> 95 % interval; absent with fewer than 10 units."""
    examples: Mapping[str, int]
    """Split -> number of examples."""
    scored: Mapping[str, int]
    """Test set -> examples with a known answer; every one of them is scored."""
    units: Mapping[str, int]
    """Test set -> number of resampling units."""
    notes: Mapping[str, Any]
    data: Mapping[str, str]
    """Split -> digest of its content."""
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    """Model and method settings that set table rows apart."""
    identity: Mapping[str, Any]
    """What makes it another run: settings of task, model and method, dtype, limit, digests of the
    data and of weights and tokenizer, declared versions."""
    choices: Mapping[str, Any]
    backbone: Mapping[str, Any]
    seconds: Mapping[str, float]
    environment: Mapping[str, Any]
    created: str
    """UTC, ISO 8601."""
    strata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Test set -> stratum -> examples, units, scores, intervals (`benchmark.strata`)."""
    cost: Mapping[str, int] = field(default_factory=dict)
    """Of all processes: `forward_flops` and `backward_flops` of the backbone; `chains`, `tokens`
    and `padding_tokens` that went through it; `chains_from_store`, which cost nothing, and
    `chains_embedded`; `trained_parameters`. Of the largest process since it began: `peak_bytes`,
    `peak_gpu_bytes`. What is not counted is absent."""
    format: int = field(default=FORMAT)

    @property
    def folder(self) -> Path:
        """Where it lies below the results folder."""
        return Path(self.task, self.model, self.method, self.key)

    @property
    def path(self) -> Path:
        """Its file below the results folder; its predictions lie beside it."""
        return self.folder / f"seed{self.seed}.json"


def primary(
    records: Sequence[Record],
) -> tuple[list[float | None], list[tuple[float, float] | None]]:
    """Each Record's score that ranks, and its interval; None where there is none."""
    scores, intervals = [], []
    for record in records:
        test = next(iter(record.scores))
        scores.append(record.scores[test].get(record.primary))
        intervals.append(record.intervals[test].get(record.primary))
    return scores, intervals


def save(record: Record, predictions: Mapping[str, Sequence[Any]], results: Path) -> Path:
    """Write the predictions, then the Record; return the Record's path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = results / record.path
    as_text(record)  # what is not JSON is refused before anything is written
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".parquet")) as file:
        columns = {name: column(values) for name, values in predictions.items()}
        pq.write_table(pa.table(columns), file, compression="zstd")
    write_record(record, results)
    return path


def write_record(record: Record, results: Path) -> None:
    """Write the Record alone, over an older one."""
    with replacing(results / record.path) as file:
        file.write_text(as_text(record), encoding="utf-8")


def as_text(record: Record) -> str:
    """The Record as JSON."""
    return json.dumps(asdict(record), indent=1, allow_nan=False) + "\n"


def column(values: Sequence[Any]) -> "pa.Array":
    """One cell an example: a text or number, or a list of them, or (L, size) as a list of lists."""
    import pyarrow as pa

    first = np.asarray(values[0])
    if first.ndim == 0:
        return pa.array(
            [value.item() if isinstance(value, np.ndarray) else value for value in values]
        )
    if first.ndim == 1:
        return pa.array([np.asarray(value) for value in values])
    flat = np.concatenate(values).astype(np.float32)
    ends = np.cumsum([0, *(len(value) for value in values)], dtype=np.int32)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    return pa.ListArray.from_arrays(pa.array(ends), inner)


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


def make_key(parts: Any) -> str:
    """Eight hex digits that tell settings, weights and data apart."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def load(path: Path) -> Record:
    """Read one Record."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] not in range(1, FORMAT + 1):
            raise UserError(
                f"{path} has the format {values['format']}; this program reads 1 to {FORMAT}"
            )
        return Record(**migrate(values))
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{path} is not a Record of this program; move it out of results") from None


def load_all(results: Path) -> list[Record]:
    """Every Record below a folder, oldest first; a broken one is told and left out."""
    records = []
    for path in sorted(results.glob("*/*/*/*/seed*.json")):
        try:
            records.append(load(path))
        except UserError as error:
            print(f"left out of the tables: {error}", file=sys.stderr)
    return sorted(records, key=lambda record: record.created)


def find(word: str, results: Path) -> Record:
    """The Record that a file, a folder with a single one, or a key names."""
    path = Path(word).expanduser()
    found = [path] if path.is_file() else sorted(path.rglob("seed*.json"))
    if not found and re.fullmatch(r"[0-9a-f]{8}", word):
        found = sorted(results.glob(f"*/*/*/{word}/seed*.json"))
    if len(found) != 1:
        told = f"several ({', '.join(map(str, found[:3]))}, ...)" if found else "none"
        raise UserError(
            f"{word} names {told} of the Records in {results}; give a file, a folder that holds "
            "one, or a key of eight letters that has one seed"
        )
    return load(found[0])


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


def check_writable(results: Path) -> None:
    """Refuse before the run, not after it, a folder that cannot take the Record."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        readme = results / "README.md"
        if readme.exists() and not readme.read_text(errors="replace").startswith(TITLE):
            raise UserError(
                f"results={results} holds a README.md that is not a leaderboard, which the tables "
                "would replace; give a folder of its own"
            )
        tempfile.TemporaryFile(dir=results).close()
    except OSError as error:
        raise UserError(
            f"cannot write to results={results} ({error.strerror}); give a folder of your own"
        ) from None


def environment() -> dict[str, Any]:
    """Versions, commit, and hardware of this process."""
    facts: dict[str, Any] = {
        "benchmark": package_version("plm-benchmark"),
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
        **commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch := sys.modules.get("torch"):
        facts["threads"] = torch.get_num_threads()
        if torch.cuda.is_initialized():
            facts["gpu"] = torch.cuda.get_device_name()
    return facts


def peak_memory() -> dict[str, int]:
    """The most memory that this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)}
    with suppress(OSError):  # ru_maxrss may be that of the process that started this one
        status = Path("/proc/self/status").read_text()
        if high := re.search(r"VmHWM:\s+(\d+) kB", status):
            found["peak_bytes"] = int(high[1]) * 1024
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        found["peak_gpu_bytes"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return found


def package_version(name: str) -> str:
    """A package's version, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def commit() -> dict[str, Any]:
    """Commit of this source tree, and whether its code differs; nothing for an installed wheel."""
    root = Path(__file__).parents[1]
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists():
        return {}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", *SOURCE)),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def now() -> str:
    """The time, UTC, to the microsecond: it orders Records."""
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{int(seconds % 1 * 1e6):06d}Z"
