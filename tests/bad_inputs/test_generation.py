"""Settings and files of generation that cannot be read as they are meant."""

from pathlib import Path

import pytest

from tests.bad_inputs.refusals import Bad, check_refusal

CHAIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
BAD = [
    Bad("task.num=0", "task.num=0 is not allowed", "give 1 or more"),
    Bad("task.num=many", "task.num=many is not allowed", "give 1 or more"),
    Bad("task.max_length=10", "task.max_length=10 is not allowed", "give 30 or more"),
    Bad("task.dimensions=64", "task.dimensions=64 is not allowed", "give 1 to 20, a tenth of"),
    Bad("task.prompts=MKX", "task.prompts=MKX is neither a file nor", "give the path of a FASTA"),
    Bad("task.prompts=[MK,3]", "task.prompts=3 is neither a file nor", "first residues, a list"),
    Bad("task.prompts=short.fasta", "a sequence of 3 residues", "give fewer"),
    Bad("task.prompts=table.csv", "table.csv has no column seq", "rename the column"),
    Bad(f"task.prompts={CHAIN * 10}X", "is neither a file nor", "give the path of a FASTA"),
    Bad("task.reference=nothing.fasta", "nothing.fasta is not a file", "give a FASTA file"),
    Bad("task.reference=table.csv", "neither a FASTA file", "give one of them"),
    Bad("task.reference=few.fasta", "1 different proteins of 30 to 500", "a smaller task.num"),
    Bad("task.source=file:table.csv task.num=1", "has no column seq", "rename the column"),
    Bad("task.judge=pocket_clm", "unknown model 'pocket_clm'", "did you mean pocket_clm_"),
    Bad("task.judge=onehot", "task.judge=onehot is no language model", "choose another model"),
    Bad("model=onehot", "method=natural uses no model", "leave model=... out"),
    Bad("method=linear", "this task scores new chains", "give method=sample"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.words)
def test_bad_generation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Bad
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folder / "few.fasta").write_text(f">a\n{CHAIN}\n")
    (folder / "short.fasta").write_text(">a\nMKT\n")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    given = "" if bad.words.startswith("method=") else "method=natural "

    check_refusal(bad._replace(words=f"task=generation {given}store=off {bad.words}"), folder)
