"""Small real data and models inside the package; `make` has the scripts that made them.

`README.md` describes each Parquet file; `python -m benchmark.pocket.make.build --out DIR` makes
them again. This file imports nothing of ours.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
MOVED = ("build", "card", "corpus", "recipe", "sources", "train")
"""Modules that were here before version 0.2 and are in `make` now."""


def refuse_moved(words: Sequence[str]) -> None:
    """Exit with 2 on `python -m` of a moved module; Python imports this package first."""
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    package, _, name = module.rpartition(".")
    if package == __name__ and name in MOVED:
        print(f"{module} has moved; use {package}.make.{name}", file=sys.stderr)
        sys.exit(2)


refuse_moved(sys.orig_argv)
