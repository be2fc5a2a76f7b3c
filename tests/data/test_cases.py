"""Inputs reproduced from public reports (../shared/cases): the right score, or a named cause."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command_line import Completed, refused, run_cli
from tests.conftest import ROOT, SHARED

pytestmark = [pytest.mark.shared, pytest.mark.slow]
CASES = SHARED / "cases"
ESM2 = ("model=esm2_8m", f"model.path={SHARED / 'models' / 'esm2_t6_8M_encoder'}")
ASSAYS = ("task=variant_effect", "task.folds=random", "method=linear", "model=onehot")


def run(case: str, *words: str, results: Path) -> Completed:
    conf = CASES / case / "conf"
    folder = ("--config-dir", str(conf)) if conf.is_dir() else ()
    return run_cli(*folder, *words, "store=off", f"results={results}", cwd=ROOT)


def printed(done: Completed) -> tuple[float, str]:
    """The score of the summary, and what stands below it."""
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"^\w+ · \w+ · \w+: \w+ (-?[\d.]+)(.*)", done.stdout, re.MULTILINE | re.DOTALL
    )
    assert found, done.stdout
    return float(found[1]), found[2]


@pytest.mark.parametrize(
    ("case", "task", "score", "words"),
    [
        ("09-fasta-bom", "bom_test", 0.887, "30 proteins"),
        ("11-flip-csv-validation", "flip", 0.887, ""),
        ("11-flip-csv-validation", "flip_set", 0.887, ""),
        ("12-columns-typo", "clu", 0.887, "5 proteins: too few"),
        ("17-header-space", "fa_group", 0.889, "5 proteins: too few"),
        ("20-csv-index-column", "csv_index", 0.887, "not read: columns (no name)"),
        ("20-csv-index-column", "csv_headertail", 0.887, "not read: columns (no name)"),
        ("22-biotrainer-values", "fa_pred", 0.920, "not read: 10 rows of the split pred"),
        (
            "22-biotrainer-values",
            "fa_scl",
            0.167,
            "0 Cell membrane, 1 Cytoplasm, 2 Golgi apparatus, 3 N",
        ),
        ("22-biotrainer-values", "fa_test2", 0.840, "15 proteins"),
        ("24-hub-layout", "hub_stab", 0.887, ""),
        ("24-hub-layout", "hub_flat", 0.887, ""),
        ("25-unclear-refusals", "decimal", 0.887, ""),
        ("26-missing-features", "deeploc_noidx", 0.455, "ACC, Kingdom, Membrane"),
    ],
)
def test_tables(tmp_path: Path, case: str, task: str, score: float, words: str) -> None:
    mirror = f"mirror={CASES / case / 'hublayout'}"
    found, below = printed(run(case, f"task={task}", "model=kmer", mirror, results=tmp_path))

    assert found == score
    assert words in below


@pytest.mark.parametrize(
    ("case", "task", "words"),
    [
        ("12-columns-typo", "clu_typo", "did you mean group?"),
        ("12-columns-typo", "clu_unit", "did you mean substitutions?"),
        ("14-duplicate-header", "csv_dup2", "2 columns 'label'"),
        ("25-unclear-refusals", "csv_utf16", "is UTF-16"),
        ("25-unclear-refusals", "csv_latin1", "of Latin-1"),
        ("25-unclear-refusals", "csv_semicolon", "separated by semicolons"),
        ("25-unclear-refusals", "csv_trailing", "remove the separator at the end"),
        ("25-unclear-refusals", "fa_greek", "of Latin-1"),
        ("26-missing-features", "ss_missing", "task.missing=['X']"),
    ],
)
def test_refusals(tmp_path: Path, case: str, task: str, words: str) -> None:
    assert words in refused(run(case, f"task={task}", "model=onehot", results=tmp_path))


@pytest.mark.parametrize("folder", ["wt", "wt2", "wt_mid", "stop", "comma"])
def test_rows_that_are_no_variants(tmp_path: Path, folder: str) -> None:
    """The same 30 variants in all of them."""
    source = f"task.source=file:{CASES / '26-missing-features' / folder}"
    found, below = printed(run("26-missing-features", *ASSAYS, source, results=tmp_path))

    assert found == 0.189 and "30 variants" in below
    counted = {"stop": "1 stop codon rows", "comma": ""}.get(folder, "1 wild type rows")
    assert counted in below


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("indel", "insertions and deletions"),
        ("clin", "label: DMS_bin_score}, kind: classification"),
        ("hgvs", "'p.Y33V' in HGVS's notation; write A12G"),
        ("noseq", "no column 'mutated_sequence'"),
    ],
)
def test_tables_that_are_no_assays(tmp_path: Path, folder: str, words: str) -> None:
    source = f"task.source=file:{CASES / '26-missing-features' / folder}"
    assert words in refused(run("26-missing-features", *ASSAYS, source, results=tmp_path))


@pytest.mark.parametrize("folder", ["23-appledouble/mac", "20-csv-index-column/idx"])
def test_assays_beside_other_files(tmp_path: Path, folder: str) -> None:
    _, below = printed(
        run("23-appledouble", *ASSAYS, f"task.source=file:{CASES / folder}", results=tmp_path)
    )
    assert "not read: 1 hidden files" in below or "not read: columns (no name)" in below


def test_masked_residues(tmp_path: Path) -> None:
    for task in ("mask", "mask_right"):
        found, _ = printed(run("07-mask", f"task={task}", "model=onehot", results=tmp_path))
        assert found == 0.616


def test_the_loop_of_dssp_by_its_names(tmp_path: Path) -> None:
    case = "26-missing-features"
    found = [
        printed(run(case, f"task={task}", "model=onehot", results=tmp_path))[0]
        for task in ("ss_dash", "ss_blank", "ss_L", "ss_P")
    ]
    assert found == [found[0]] * 4
    marked = run(case, "task=ss_missing", "task.missing=[X]", "model=onehot", results=tmp_path)
    assert "unknown answers" in printed(marked)[1]


def test_contacts_of_unresolved_residues(tmp_path: Path) -> None:
    """As a map with -1, and as the list of pairs with a mask: 0.225 by an independent script."""
    case = "08-contact-missing"
    as_map = pq.read_table(CASES / case / "con_map.parquet")
    pairs = pq.read_table(CASES / case / "con_miss.parquet")
    masks = [
        "".join("01"[max(row[:at] + row[at + 1 :]) >= 0] for at, row in enumerate(rows))
        for rows in as_map["label"].to_pylist()
    ]
    pq.write_table(pairs.append_column("mask", pa.array(masks)), tmp_path / "masked.parquet")
    source = f"task.source=file:{tmp_path / 'masked.parquet'}"
    for words in (("task=con_map",), ("task=con_miss", source)):
        done = run(case, *words, "method=contact_head", *ESM2, results=tmp_path / "results")
        found, below = printed(done)
        assert found == 0.225
        assert "591 unresolved residues" in below
