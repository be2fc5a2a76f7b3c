"""Downstream evaluation of protein language models, from task to leaderboard.

Units, everywhere: Å; residues counted from 0; natural logarithm; NaN (or -1 for classes) = unknown.

Imports point one way (`tests/test_architecture.py` holds it):

    conf .. (names, by _target_) ..> tasks, benchmark.backbones, benchmark.methods
    tasks     -> core, data, sources, metrics
    methods   -> core, features, backbones, batching, progress, ranks
    features  -> embed -> core, batching, ranks
    backbones -> core, data
    metrics   -> core
    data -> sources, units -> core
    evaluate  -> core
    leaderboard -> seeds, results -> core
    store     -> database, core
    check     -> backbones, core
    strata    -> evaluate, results
    run       -> evaluate, data, metrics, results, store, strata, seeds, ranks, code
    audit     -> strata, data, metrics, mmseqs
    pocket    -> backbones, cost, data, leaderboard, mmseqs; scripts that nothing imports
    cli, verbs -> run, audit, store, check, leaderboard, catalogue, compose
"""
