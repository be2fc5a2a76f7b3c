"""Downstream evaluation of protein language models, from task to leaderboard.

Units, everywhere: Å; residues counted from 0; natural logarithm; NaN (or -1 for classes) = unknown.

The packages, from the top; each imports of those below it alone (`pyproject.toml`, import-linter):

    cli         the command line: a run or a verb
    testing     checks of third-party models          pocket.make  what made `pocket`
    report      tables of Records
    run         one run, from its parts to its Record
    methods     how a task is learned
    backbones   protein language models
    stats       intervals, strata, seeds              embedding    vectors, kept on disk
    results     Records on disk                       metrics      scores
    data        tables to examples, digests, relatives
    core        the nouns of all others
    pocket      small real data and models            distributed, progress, files

`tasks` imports core, data and metrics; conf names tasks, backbones and methods by `_target_`.
"""
