"""Small real data and models inside the package; `make` has the scripts that made them.

`README.md` describes each Parquet file; `python -m benchmark.pocket.make.build --out DIR` makes
them again. This file imports nothing of ours.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
