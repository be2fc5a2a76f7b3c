"""Data files and settings of tasks that cannot be read as they are meant."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.core import UserError
from tests.bad_inputs.refusals import Bad, check_refusal
from tests.data.test_tables import protein

HEAD = "seq,label,split\n"
ROWS = "ACDE,1,train\nCDEF,2,train\nAAAA,3,valid\nWWWW,4,test\n"
GOOD = HEAD + ROWS
CHAIN = "ACDEFGHIKL"
SPLITS = ("train", "train", "valid", "test")
WILD = "MKTAYIAKQR"

TASKS = {
    "reg": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]",
    "cls": "tasks.protein.Protein\nkind: classification\nsize: 2\nmetrics: [accuracy]",
    "multi": "tasks.protein.Protein\nkind: multilabel\nsize: 2\nmetrics: [roc_auc_macro]\n"
    "columns: {label: [a, b]}",
    "ss": "tasks.residue.SecondaryStructure\nkind: classification\nsize: 8\nstates: GHIBESTC\n"
    "metrics: [q8]",
    "res": "tasks.residue.Residue\nkind: regression\nsize: 1\nstates: null\nmetrics: [spearman]",
    "con": "tasks.contact.Contact\nmin_separation: 7\nmetrics: [p_at_l5]",
    "typo_column": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "columns: {groups: cluster}",
    "typo_unit": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "unit: {name: x, substitution: 1}",
    "typo_allow": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "allow: {truncate: 1}",
    "typo_sizes": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "sizes: {trian: 2}",
    "two_labels": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "columns: {label: [a, b]}",
    "number_column": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "columns: {label: 7}",
    "mask_of_proteins": "tasks.protein.Protein\nkind: regression\nsize: 1\nmetrics: [spearman]\n"
    "columns: {mask: label}",
}


def rows(*cells: str, head: str = "seq,label,split") -> str:
    """A CSV of four rows, in the usual splits, with these cells before the split."""
    lines = [f"{CHAIN},{cell},{split}" for cell, split in zip(cells, SPLITS, strict=True)]
    return "\n".join([head, *lines])


def fasta(*headers: str) -> str:
    return "\n".join(f">{header}\n{CHAIN}" for header in headers)


FILES: dict[str, str | bytes] = {
    "good.csv": GOOD,
    "empty.csv": "",
    "blank.csv": " \n\n",
    "header.csv": HEAD,
    "utf16.csv": GOOD.encode("utf-16"),
    "utf16_no_mark.csv": GOOD.encode("utf-16-le"),
    "utf32.csv": GOOD.encode("utf-32"),
    "latin1.csv": GOOD.replace("label", "label (°C)").encode("latin-1"),
    "semicolon.csv": GOOD.replace(",", ";"),
    "tabs.csv": GOOD.replace(",", "\t"),
    "commas.tsv": GOOD,
    "twice.csv": "seq,label,label,split\nACDE,1,2,train\n",
    "longer.csv": HEAD + ROWS.replace("\n", ",\n"),
    "shorter.csv": HEAD + "ACDE,1\n" + ROWS,
    "r_names.csv": HEAD + "".join(f"{i},{row}\n" for i, row in enumerate(ROWS.split())),
    "no_split.csv": "seq,label\nACDE,1\n",
    "split_left_empty.csv": GOOD + "ACDE,1,\n",
    "split_name.csv": GOOD + "ACDE,1,holdout\n",
    "flag.csv": "seq,label,set,validation\nACDE,1,train,maybe\n",
    "flag_in_test.csv": "seq,label,set,validation\nACDE,1,train,\nACDE,1,test,True\n",
    "two_sets.csv": "seq,label,set,SET\nACDE,1,train,test\n",
    "mixed.csv": rows("Golgi", "1", "Golgi", "1"),
    "new_class.csv": rows("Golgi", "Nucleus", "Golgi", "Cytosol"),
    "three_classes.csv": rows("a", "b", "a", "b").replace("split\n", f"split\n{CHAIN},c,train\n"),
    "not_a_number.csv": rows("1", "two", "3", "4"),
    "infinite.csv": rows("1", "inf", "3", "4"),
    "several.csv": rows("1;2", "1", "2", "3"),
    "stop.csv": HEAD + "AC*DE,1,train\n" + ROWS,
    "tokens.csv": HEAD + "MdEvKpQ#,1,train\n" + ROWS,
    "no_sequence.csv": HEAD + ",1,train\n" + ROWS,
    "gap.csv": HEAD + "AC-DE,1,train\n" + ROWS,
    "chains.csv": HEAD + "ACD|CDE,1,train\n" + ROWS,
    "state.csv": rows(*["HHHHXHHHHH"] * 4),
    "states_short.csv": rows(*["HHHH"] * 4),
    "mask_short.csv": rows(*["HHHHHHHHHH,11"] * 4, head="seq,label,mask,split"),
    "mask_letters.csv": rows(*["HHHHHHHHHH,yyyyyyyyyy"] * 4, head="seq,label,mask,split"),
    "values_short.csv": rows(*["0.5;0.3"] * 4),
    "folds.csv": "seq,label,f\nACDE,1,0\nCDEF,1,1\nAAAA,1,\n",
    "text_first.fasta": "a comment\n" + fasta("P1 TARGET=1 SET=train"),
    "no_header.fasta": CHAIN,
    "key_twice.fasta": fasta("P1 TARGET=1 TARGET=2 SET=train"),
    "words.fasta": fasta("P1 TARGET=1 SET=train of mine"),
    "partner_lost.fasta": fasta("P1 INTERACTOR=P9 TARGET=1 SET=train"),
    "pairs_differ.fasta": ">A INTERACTOR=B TARGET=1 SET=train\nACD\n"
    ">B INTERACTOR=A TARGET=0 SET=train\nACE\n",
    "greek.fasta": fasta("P1 µ-chain TARGET=1 SET=train").encode("latin-1"),
    "not_gzip.csv.gz": GOOD,
    "cut.csv.gz": gzip.compress(GOOD.encode())[:-12],
    "huge.fasta.gz": gzip.compress(b">P1\n" + b"A" * 70_000_000),
    "broken.parquet": "PAR1 no",
    "table.xlsx": "PK",
    "vectors.pt": "PK",
    "nothing/README.md": "no table",
    "both/train.csv": GOOD,
    "both/train.tsv": GOOD.replace(",", "\t"),
    "hub/me/cut/data/train-00000-of-00002.parquet": "PAR1",
    "ve/indel/A.csv": f"mutant,mutated_sequence,DMS_score\n{WILD[1:]},{WILD[1:]},1\n"
    f"A{WILD},A{WILD},1\n",
    "ve/clinical/A.csv": f"mutant,mutated_sequence,DMS_bin_score\nM1A,A{WILD[1:]},Benign\n",
    "ve/hgvs/A.csv": f"mutant,mutated_sequence,DMS_score\np.Met1Ala,A{WILD[1:]},1\n",
    "ve/no_sequence/A.csv": "mutant,DMS_score\nM1A,1\n",
    "ve/stops/A.csv": f"mutant,mutated_sequence,DMS_score\nM1A,A{WILD[1:]},1\nM1*,*{WILD[1:]},1\n",
    "ve/wild/A.csv": f"mutant,mutated_sequence,DMS_score\nWT,{WILD},1\nM1A,AA{WILD[2:]},1\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bad files, with a task of each kind in conf/. No test writes here."""
    root = tmp_path_factory.mktemp("bad_data")
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (root / "conf" / "task").mkdir(parents=True)
    (root / "results").mkdir()  # made before a task is read
    for name, text in TASKS.items():
        (root / "conf" / "task" / f"{name}.yaml").write_text(
            "defaults: [/source@_here_: table, _self_]\nsource: file:good.csv\n"
            f"area: function\nversion: 1\n_target_: {text}\n"
        )
    for name, label in LABELS.items():
        table = {"seq": [CHAIN] * 4, "label": [label] * 4, "split": SPLITS}
        pq.write_table(pa.table(table), root / f"{name}.parquet")
    zeros = pa.table({"seq": pa.array(np.zeros(20_000_000, np.int64))})
    pq.write_table(zeros, root / "zeros.parquet", use_dictionary=False, compression="zstd")
    return root


def contact_map(**cells: float) -> list[list[float]]:
    """A map of CHAIN without contacts, but for cells such as c09=1: row 0, column 9."""
    values = np.zeros((10, 10))
    for name, value in cells.items():
        values[int(name[1]), int(name[2])] = value
    return [[float(value) for value in row] for row in values]


LABELS: dict[str, Any] = {
    "uneven": contact_map(c09=1),
    "distances": contact_map(c09=5.2, c90=5.2),
    "outside": [[0, 10]],
    "triples": [[0, 8, 9]],
}

BAD = [
    Bad("task=reg task.source=file:absent.csv", "is not there", "neither a folder nor a file"),
    Bad("task=reg task.source=here.csv", "source 'here.csv' is not known", "starts with hub:"),
    Bad("task=reg task.source=5", "source '5' is not known", "starts with hub:, package: or"),
    Bad("task=reg task.source=file:empty.csv", "is empty", "needs a header and rows"),
    Bad("task=reg task.source=file:header.csv", "has no rows", "needs at least one"),
    Bad("task=reg task.source=file:utf16.csv", "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
    Bad("task=reg task.source=file:latin1.csv", "line 1 has the byte 0xb0", "-f LATIN1 -t UTF-8"),
    Bad("task=reg task.source=file:semicolon.csv", "separated by semicolons", "have commas"),
    Bad(
        "task=reg task.source=file:longer.csv", "line 2 has 4 cells and the header 3", "at the end"
    ),
    Bad("task=reg task.source=file:split_left_empty.csv", "line 6", "allowed are train, valid"),
    Bad("task=reg task.source=file:flag.csv", "'maybe' in the column 'validation'", "true and"),
    Bad("task=reg task.source=file:flag_in_test.csv", "line 3 of flag_in_test.csv", "only rows of"),
    Bad("task=reg task.source=file:two_sets.csv task.columns.split=Set", "no column 'Set'", "name"),
    Bad("task=cls task.source=file:mixed.csv", "numbers (1) and words ('Golgi')", "not both"),
    Bad("task=cls task.source=file:new_class.csv", "class 'Cytosol'", "cannot be learned"),
    Bad("task=cls task.source=file:three_classes.csv", "3 classes (a, b, c)", "give task.size=3"),
    Bad("task=reg task.source=file:not_a_number.csv", "line 3", "label 'two' is not a number"),
    Bad("task=reg task.source=file:stop.csv", "letter '*'", "may only be the last"),
    Bad("task=reg task.source=file:tokens.csv", "SaProt's structure tokens", "residues alone"),
    Bad("task=reg task.source=file:no_sequence.csv", "line 2", "no sequence; every row needs one"),
    Bad("task=ss task.source=file:state.csv", "state 'X'", "task.missing=['X']"),
    Bad("task=ss task.source=file:state.csv task.missing=X", "task.missing=X", "list of words"),
    Bad("task=ss task.states=HHIBESTC", "states='HHIBESTC'", "8 different letters"),
    Bad("task=ss task.missing=[C]", "'C' is in task.states and in task.missing", "leave it in one"),
    Bad("task=ss task.source=file:states_short.csv", "line 2", "4 labels for a chain of 10"),
    Bad("task=ss task.source=file:mask_short.csv", "mask of 2 entries", "give 0 (left out) or 1"),
    Bad("task=ss task.source=file:mask_letters.csv", "'yyyyyyyyyy'", "string or list of 0 and 1"),
    Bad("task=res task.source=file:values_short.csv", "2 labels", "for a chain of 10 residues"),
    Bad("task=reg task.columns.fold=f task.source=file:folds.csv", "line 4", "every row needs one"),
    Bad("task=con task.source=file:uneven.parquet", "not symmetric at [0, 9]", "row 1 of uneven"),
    Bad("task=con task.source=file:distances.parquet", "the value 5.2", "allowed are 0, 1, and -1"),
    Bad("task=con task.source=file:outside.parquet", "contact [0, 10]", "counted from 0"),
    Bad("task=con task.source=file:triples.parquet", "1 x 3 entries", "a map of 10 x 10"),
    Bad("task=reg task.source=file:text_first.fasta", "'a comment' before the first '>'", "begins"),
    Bad("task=reg task.source=file:key_twice.fasta", "gives TARGET twice", "leave one"),
    Bad("task=reg task.source=file:partner_lost.fasta", "INTERACTOR=P9", "needs one record"),
    Bad(
        "task=reg task.source=file:pairs_differ.fasta", "B with A and A with B differ", "give both"
    ),
    Bad("task=reg task.source=file:cut.csv.gz", "is broken or not csv", "ended before"),
    Bad("task=reg task.source=file:huge.fasta.gz", "expands to more than 67 MB", "unpack it"),
    Bad("task=reg task.source=file:zeros.parquet", "expands to more than 67 MB", "free disk"),
    Bad("task=reg task.source=file:broken.parquet", "is broken or not parquet", "broken.parquet"),
    Bad("task=reg task.source=file:vectors.pt", "embeddings of fair-esm", "reads sequences"),
    Bad("task=reg task.source=file:nothing", "holds no table", "put .csv, .tsv"),
    Bad("task=reg task.source=file:both", "in two formats", "leave one of them"),
    Bad("task=reg task.source=hub:me/cut mirror=hub", "1 of 2 files of train", "download it"),
    Bad("task=typo_column", "unknown key of task.columns 'groups'", "did you mean group?"),
    Bad("task=typo_unit", "unknown key of task.unit 'substitution'", "did you mean substitutions?"),
    Bad("task=typo_allow", "unknown key of task.allow 'truncate'", "did you mean truncated?"),
    Bad("task=typo_sizes", "unknown key of task.sizes 'trian'", "did you mean train?"),
    Bad("task=two_labels", "names 2 columns", "kind=regression reads a single column"),
    Bad("task=multi", "has no column 'a'", "name the right one"),
    Bad("task=number_column", "task.columns.label=7", "give the name of a column"),
    Bad("task=mask_of_proteins", "task.columns.mask", "per residue, not per protein"),
    Bad("task=reg task.max_length=0", "task.max_length=0", "give 1 or more, or null"),
    Bad("task=variant_effect task.max_length=x", "task.max_length=x", "give 1 or more, or null"),
    Bad("task=variant_effect task.source=null", "source None is not", "give task.source=file:"),
    Bad(
        "task=variant_effect task.source=file:ve/indel", "insertions and deletions", "Protein reads"
    ),
    Bad(
        "task=variant_effect task.source=file:ve/clinical", "DMS_bin_score", "kind: classification"
    ),
    Bad("task=variant_effect task.source=file:ve/hgvs", "'p.Met1Ala' in HGVS's", "write A12G"),
    Bad(
        "task=variant_effect task.source=file:ve/no_sequence", "no column 'mutated_seq", "write the"
    ),
    Bad("task=variant_effect task.source=file:ve/stops", "1 of 2 rows have a stop", "remove those"),
    Bad(
        "task=variant_effect task.source=file:ve/wild",
        "line 3 of A.csv",
        "wild type of the rows before",
    ),
]


NOT_READ = [
    ("blank.csv", "is empty; it needs a header and rows"),
    ("utf16_no_mark.csv", "binary or UTF-16; save it as UTF-8"),
    ("utf32.csv", "is UTF-32; save it as UTF-8"),
    ("tabs.csv", "separated by tabs, not commas"),
    ("shorter.csv", "line 2 has 2 cells and the header 3; quote cells"),
    ("greek.fasta", "line 1 has the byte 0xb5"),
    ("no_header.fasta", "before the first '>'"),
    ("chains.csv", "rows of 1 and of 2 chains; every row needs the same"),
    ("infinite.csv", "line 3 of infinite.csv: a label is infinite"),
    ("several.csv", "line 2 of several.csv: label has the shape .2,.; give one value"),
    ("gap.csv", "letter '-' in the sequence; allowed are"),
    ("split_name.csv", "a split 'holdout'; allowed are train"),
    ("not_gzip.csv.gz", "broken or not csv: Not a gzipped file"),
    ("table.xlsx", "is a .xlsx; a table is a .csv, .tsv"),
    ("no_split.csv", "no column 'split', which names"),
    ("commas.tsv", "separated by commas, not tabs"),
    ("words.fasta", "a split 'train of mine'"),
    ("twice.csv", "has 2 columns 'label'; rename"),
    ("r_names.csv", "line 2 has 4 cells .* name the column of row names"),
]
"""More files, and what the error says."""


@pytest.mark.slow  # each row composes a configuration: 20 s in all
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.words)
def test_bad_data_are_refused(folder: Path, bad: Bad) -> None:
    words = f"--config-dir conf model=onehot {bad.words}"
    check_refusal(bad._replace(words=words), folder)


@pytest.mark.parametrize(("file", "message"), NOT_READ)
def test_files_that_cannot_be_read(folder: Path, file: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        protein(f"file:{folder / file}", "regression", 1).load()
