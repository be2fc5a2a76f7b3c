"""Downstream evaluation of protein language models, from task to leaderboard.

Units, everywhere: Å; residues counted from 0; natural logarithm; NaN (or -1 for classes) = unknown.

The packages, from the top; each imports only those below it (`pyproject.toml`, import-linter):

    cli         the command line: runs and other commands
    testing     conformance tests of backbones        pocket.make  scripts that made `pocket`
    report      tables of Records
    run         one run, from its settings to its Record
    methods     probes, fine-tuning, contacts, zero-shot scoring
    backbones   protein language models and baselines
    stats       intervals, seeds, strata              embedding    batching, features, store
    results     Records on disk                       metrics      scores
    data        tables, splits, resampling units, homology
    core        the types that all packages share
    pocket      small data sets and checkpoints       distributed, progress, files

`tasks` imports core, data and metrics; conf names tasks, backbones and methods by `_target_`.
`README.md` in this folder explains the design and how to extend it.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("plm-benchmark")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
