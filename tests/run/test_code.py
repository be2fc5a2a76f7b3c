"""The digest of a user's code covers every module that it imports, except installed packages."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.utils import get_class

from benchmark.metrics import find
from benchmark.report.suites import merged
from benchmark.run.code_digest import code_digest, declared_version
from tests.command_line import importing_from
from tests.conftest import ROOT, yaml_names

FILES = {
    "model.py": "import json\nimport loose3\nfrom mine3 import top\nfrom .near import one\n"
    "class Model:\n    def run(self):\n        from mine3.deep.lazy import two\n",
    "../loose3.py": "import mine4.deep.far\n",
    "../mine4/__init__.py": "",
    "../mine4/deep/far.py": "FAR = 1\n",
    "top.py": "TOP = 1\n",
    "near.py": "one = 1\n",
    "deep/lazy.py": "import mine3.last\ntwo = 2\n",
    "last.py": "",
    "other.py": "",
}


@pytest.mark.parametrize("changed", FILES)
def test_imports_inside_functions_are_followed(tmp_path: Path, changed: str) -> None:
    for name, text in FILES.items():
        path = tmp_path / "mine3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with importing_from(tmp_path):
        kind = importlib.import_module("mine3.model").Model
        before = code_digest(kind)
        assert code_digest(kind) == before
        (tmp_path / "mine3" / changed).write_text(FILES[changed] + "# changed\n")

        assert (code_digest(kind) == before) == (changed == "other.py")


def test_versions_are_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our classes by number; a user's by its number or content, and by the class it extends."""
    from benchmark.methods.probe.linear import Linear
    from benchmark.metrics import known

    source = "from benchmark.methods.probe.linear import Linear\nclass Mine(Linear):\n    pass\n"
    (tmp_path / "mine5.py").write_text(source)
    (tmp_path / "mine6.py").write_text(source.replace("pass", "VERSION = 7"))
    monkeypatch.syspath_prepend(tmp_path)
    mine, declared = (importlib.import_module(name).Mine for name in ("mine5", "mine6"))

    assert declared_version(Linear) == Linear.VERSION >= 1
    assert declared_version(mine) == f"{code_digest(mine)} on {Linear.VERSION}"
    assert declared_version(declared) == f"7 on {Linear.VERSION}"
    assert all(declared_version(metric) >= 1 for metric in known().values())
    made = f"{code_digest(mine)} on {Linear.VERSION}"
    assert declared_version(Linear, "mine5.make") == made, "made by a user's function"
    assert declared_version(Linear, "mine5.Mine.make") == made, "made by a method"
    assert declared_version(Linear, "benchmark.methods.x.Linear") == Linear.VERSION
    monkeypatch.setattr(Linear, "VERSION", Linear.VERSION + 1)
    assert declared_version(declared) == f"7 on {Linear.VERSION}", "a raised version of the base"


METRICS = """
from dataclasses import replace
from functools import partial
from benchmark.core import ExampleMetric
from benchmark.metrics import find
from formula7 import near

def first(predictions, examples):
    return [1.0] * len(examples)

LIMIT = 0.5
half = ExampleMetric("half", partial(partial(near, LIMIT), LIMIT), True)
accuracy = replace(find("accuracy"), fn=first)
declared = replace(half, version=3)
"""


@pytest.mark.parametrize("changed", ["metrics7", "formula7"])
def test_a_users_metric_is_its_function_and_where_it_is_made(tmp_path: Path, changed: str) -> None:
    """Both for a partial function and for a copy of our metric, unless a version is declared."""
    formula = "def near(a, b, predictions, examples):\n    return [a + b] * len(examples)\n"
    (tmp_path / "metrics7.py").write_text(METRICS)
    (tmp_path / "formula7.py").write_text(formula)
    with importing_from(tmp_path):
        names = [f"metrics7.{name}" for name in ("half", "accuracy", "declared")]
        found = {name: find(name) for name in names}
        before = [declared_version(found[name], name) for name in names]
        plain = replace(found[names[0]], fn=importlib.import_module("metrics7").first)
        assert declared_version(plain, names[0]) == before[0], "functools is not part of it"
        file = tmp_path / f"{changed}.py"
        file.write_text(file.read_text() + "# changed\n")
        after = [declared_version(found[name], name) for name in names]

    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True]
    assert before[2] == 3


def test_every_class_of_ours_declares_a_version() -> None:
    for group in ("model", "method", "task"):
        for name in yaml_names(group):
            kind = get_class(merged([ROOT / "conf"], group, name)["_target_"])
            assert type(vars(kind).get("VERSION")) is int, kind
