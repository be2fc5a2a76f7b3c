"""Tables of Records; imports run, stats, results, data and core."""
