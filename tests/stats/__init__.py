"""Tests of `benchmark.stats`."""
