"""Published scores are shown beside measured ones, and are never ranked."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.core import UserError
from benchmark.report.cells import tabulate
from benchmark.report.leaderboard import write
from benchmark.report.published import read_published
from benchmark.results.storage import save
from tests.conftest import ROOT
from tests.report.test_leaderboard import markdown, record

ENTRY = {
    "task": "solubility", "model": "Big", "method": "linear", "metric": "roc_auc", "value": 0.99,
    "source": "Someone (2025), table 1", "certainty": "verified",
}  # fmt: skip


def published(folder: Path, *entries: Any) -> Any:
    (folder / "published.yaml").write_text(yaml.safe_dump(list(entries)))
    return read_published(folder)


def test_a_published_score_is_marked_and_never_ranked(tmp_path: Path) -> None:
    rows = published(tmp_path, ENTRY, {**ENTRY, "task": "stability", "metric": "rmse", "value": 2})
    cells = tabulate([record(), record("stability"), record(model="b", score=0.4)])
    lines = markdown(cells, rows).splitlines()
    table = [line for line in lines if line.startswith("| ") and "---" not in line]

    assert table[1].startswith("| a | **0.500** [0.400, 0.600] |"), "still the best"
    assert table[-1] == "| Big (published) | 0.99 | 2 (rmse) | – |", "last, without a mean"
    note = "Published, not measured: `solubility`, Big, roc_auc 0.99; "
    assert note + "Someone (2025), table 1 (verified)" in lines
    assert markdown(cells, published(tmp_path, {**ENTRY, "method": "lora"})) == markdown(cells)


def test_a_published_score_is_shown_for_published_data_only(tmp_path: Path) -> None:
    other = record(notes={"source": "hub:x/y", "published_sizes": {"test": 9}})

    assert "ublished" not in markdown(tabulate([other]), published(tmp_path, ENTRY))


@pytest.mark.parametrize("name", ["published.yaml", "quoted.yaml"])
def test_published_scores_are_read_from_beside_the_records(tmp_path: Path, name: str) -> None:
    """By their name of today and by that of version 0.1."""
    published(tmp_path, ENTRY)
    (tmp_path / "published.yaml").rename(tmp_path / name)
    save(record(), {"id": ["a"]}, tmp_path)
    write(tmp_path)

    assert "| Big (published) | 0.99 |" in (tmp_path / "README.md").read_text()
    assert "Big" not in (tmp_path / "leaderboard.csv").read_text()


def test_the_packaged_file_describes_its_form(tmp_path: Path) -> None:
    """Its example, uncommented, is an entry; and nothing is filled that was not verified."""
    text = (ROOT / "conf" / "published.yaml").read_text()
    example = [line[2:] for line in text.splitlines() if line.startswith(("# - ", "#   "))]

    (entry,) = published(tmp_path, *yaml.safe_load("\n".join(example)))
    assert entry.task == "solubility" and entry.certainty == "verified"
    assert all(entry["certainty"] == "verified" for entry in yaml.safe_load(text))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"value": "0.9?"}, "has a value that is not a number"),
        ({"certainty": "sure"}, "allowed are verified, secondary, derived"),
        ({"page": 3}, "needs the keys task, model, method, metric, value, source, certainty"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        published(tmp_path, {**ENTRY, **wrong})
