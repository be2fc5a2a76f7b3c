"""Values as people type them reach the settings unchanged."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cli.quoting import quoted
from benchmark.core import UserError
from tests.command_line import run_cli
from tests.conftest import SHARED


def read(word: str, several: bool = False) -> Any:
    """What Hydra reads in a word after quoting; the values of a multirun as a list."""
    parse = OverridesParser.create().parse_override
    override = parse(quoted([word], several)[0])
    if override.is_sweep_override():
        return [parse(f"x={text}").value() for text in override.sweep_string_iterator()]
    return override.value()


@pytest.mark.parametrize(
    "text",
    [
        *("~/ck", "ck/lr=1e-4", "ck/run(1)", "ck/run (1)", "ck/run [a]", "ck/epoch=3-step=1000"),
        *("模型é", "1e-4", "007", "it's", 'a "b" c', "a#b;c!d<e>", "C:\\x\\", "a\\'b", "10%", "@x"),
    ],
)
def test_texts_are_read_as_they_are(text: str) -> None:
    for key in ("model.path", "name", "results", "task.source"):
        assert read(f"{key}={text}") == text
        assert read(f"+{key}={text},b=1", several=True) == [text, "b=1"]


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1))
def test_any_text_without_a_meaning_of_its_own_is_read_as_it_is(text: str) -> None:
    special = text[0] in "[{'\"" or "," in text or "${" in text or text in ("null", "true", "false")
    if not special:
        assert read(f"model.path={text}") == text


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("model.path='a,b'", "a,b"),
        ("model.path=${oc.env:HOME}", "${oc.env:HOME}"),
        ("results=null", None),
        ("method.penalties=[1,2]", [1, 2]),
        ("task.columns={label: y, sequence: s}", {"label": "y", "sequence": "s"}),
        ("method.r=8", 8),
        ("method.lr=1e-4", 1e-4),
        ("rerun=true", True),
        ("task.columns.label=ΔG (kcal/mol)", "ΔG (kcal/mol)"),
    ],
)
def test_other_values_keep_their_meaning(word: str, value: object) -> None:
    assert read(word) == value


def test_values_of_a_multirun_stay_apart() -> None:
    assert read("model.path=a,'b,c'", several=True) == ["a", "b,c"]
    assert read("method.r=4,8", several=True) == [4, 8]
    assert read("model.path=choice(a,b)", several=True) == ["a", "b"]
    words = ["-m", "task=a,b", "+suite=x", "~limit"]
    assert quoted(words, several=True) == words


def test_ambiguous_values_are_refused() -> None:
    for word in ("model.path=a,b", "model.path=[a]", "method.penalties=[a=b]"):
        with pytest.raises(UserError):
            quoted([word])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["epoch=3-step=1000", "run (1)", "~x [2]"])
def test_a_checkpoint_in_a_folder_with_signs(name: str, tmp_path: Path) -> None:
    """The perplexity that the case states; names and results in letters of any script."""
    case = SHARED / "cases" / "21-equals-in-path"
    shutil.copytree(case / "base", tmp_path / "x" / name)
    done = run_cli(
        *("task=pseudo_perplexity", f"task.source=file:{case / 'p16.fasta'}", "task.positions=8"),
        *("model=huggingface", f"model.path=x/{name}", "results=結果", "name=模型=é"),
        cwd=tmp_path,
    )

    assert "perplexity 15.885 [" in done.stdout, done.stderr
    assert list(tmp_path.glob("結果/pseudo_perplexity/模型=é/zero_shot/*/seed0.json"))
