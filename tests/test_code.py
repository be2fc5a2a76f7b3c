"""A change of code is seen, wherever it is imported; that of installed packages is not ours."""

import importlib
import sys
from pathlib import Path

import pytest

from benchmark import code
from benchmark.code import code_digest

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
def test_code_is_followed_into_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    for name, text in FILES.items():
        path = tmp_path / "mine3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith(("mine3", "mine4", "loose3"))]:
        monkeypatch.delitem(sys.modules, name)
    code.is_local.cache_clear()
    kind = importlib.import_module("mine3.model").Model
    before = code_digest(kind)
    assert code_digest(kind) == before
    (tmp_path / "mine3" / changed).write_text(FILES[changed] + "# changed\n")

    assert (code_digest(kind) == before) == (changed == "other.py")


def test_a_backbones_own_network_is_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.backbones.proteinglm import ProteinGLM

    read: list[str] = []
    find = code.source_file
    monkeypatch.setattr(code, "source_file", lambda name: (read.append(name), find(name))[1])
    code_digest(ProteinGLM)

    assert "benchmark.backbones.proteinglm_module" in read
