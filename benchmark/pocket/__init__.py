"""Small real data inside the package, and the scripts that make it of public packages.

`README.md` has a card for each Parquet file; `python -m benchmark.pocket.build --out DIR` remakes
them.
"""
