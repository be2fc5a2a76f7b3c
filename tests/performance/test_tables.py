"""Time of the tables of 10,000 Records in a new process. Not part of CI.

pytest -s tests/performance/test_tables.py
"""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmark.results import storage
from benchmark.results.storage import FOLDERS

RECORDS, SECONDS = 10_000, 5


def test_tables_of_many_records(tmp_path: Path) -> None:
    committed = storage.load_all(FOLDERS[0])
    for number in range(RECORDS):
        record = committed[number % len(committed)]
        model = f"{record.model}_{number // len(committed)}"
        path = tmp_path / "many" / replace(record, model=model, key=f"{number:08x}").path
        path.parent.mkdir(parents=True)
        text = storage.as_text(replace(record, model=model, key=f"{number:08x}"))
        path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    read = sum(len(file.read_bytes()) for file in (tmp_path / "many").rglob("seed*.json"))
    reference = time.perf_counter() - start
    words = [sys.executable, "-m", "benchmark", "leaderboard", f"results={tmp_path / 'many'}"]
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    size = f"{RECORDS:,} Records, {read / 1e6:.0f} MB"
    print(f"\n{size}: {seconds:.1f} s (files alone {reference:.1f} s)")
    assert "model" in done.stdout
    assert seconds < SECONDS
