"""Small real data and models inside the package; `make` has the scripts that made them.

`README.md` has a card for each Parquet file; `python -m benchmark.pocket.make.build --out DIR`
remakes them. This file imports nothing of ours.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
