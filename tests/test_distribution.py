"""The built wheel and sdist: their files, and the program that is installed from the wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT, require_program, yaml_names

pytestmark = pytest.mark.slow
PACKAGES = ("benchmark", "tasks", "conf")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed, without this checkout on its import path; its output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of a copy of the files in git."""
    require_program("git")
    folder = tmp_path_factory.mktemp("distribution")
    for name in (*committed(*PACKAGES, "tests"), "README.md", "pyproject.toml", "constraints.txt"):
        path = folder / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=folder / "checkout")
    return folder


def committed(*folders: str) -> set[str]:
    """Files in git or about to be added, as paths from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    return {name for name in run(*command, cwd=ROOT).splitlines() if (ROOT / name).is_file()}


def test_the_wheel_holds_modules_and_data_and_no_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in names:
            assert archive.read(name) == (ROOT / name).read_bytes()

    assert names == committed(*PACKAGES)


def test_the_sdist_holds_the_tests_as_well(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}

    assert names >= committed(*PACKAGES, "tests") | {"pyproject.toml", "constraints.txt"}
    assert not {name for name in names if name.startswith(("results/", ".ci/"))}


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The program folder of an environment with the wheel and the libraries of this one."""
    place = built / "venv"
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=built)
    (packages,) = place.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries) + "\n")
    return python.parent


def test_the_installed_program_lists_and_runs(
    installed: Path, tmp_path: Path, toy_conf: Path
) -> None:
    """The console script and `python -m`, bare and with a user's own folder of yamls."""
    where = run(
        installed / "python", "-c", "import benchmark; print(benchmark.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    listed = run(installed / "plm-benchmark", "list", cwd=tmp_path)
    assert all(name in listed for name in (*yaml_names("task"), *yaml_names("model")))
    own = ["--config-dir", str(toy_conf)]
    assert "toy" in run(installed / "python", "-m", "benchmark", "list", *own, cwd=tmp_path)
    words = [*own, "task=toy", "model=kmer", "device=cpu"]
    assert "roc_auc" in run(installed / "plm-benchmark", *words, cwd=tmp_path)
    assert list(tmp_path.glob("results/toy/kmer/linear/*/seed0.json"))
    small = ["task=pocket_metal", "model=onehot", "limit=12"]  # data that ships in the wheel
    assert "pocket_metal" in run(installed / "plm-benchmark", *small, cwd=tmp_path)


def test_users_can_check_types_against_the_installed_packages(
    installed: Path, tmp_path: Path
) -> None:
    """Without py.typed mypy refuses the imports."""
    require_program("mypy")
    (tmp_path / "mine.py").write_text(
        "from benchmark.core import Readout\nfrom tasks.protein import Protein\n"
        "level: str = Readout('protein', 'regression').level\n"
        "def load(task: Protein) -> int:\n    return len(task.load().train)\n"
    )
    (tmp_path / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\n")
    words = ["--strict", "--python-executable", installed / "python", "mine.py"]
    assert "Success" in run(sys.executable, "-m", "mypy", *words, cwd=tmp_path)
