"""Sources, tables, splits, resampling units, digests and homology; imports core, files, pocket."""
