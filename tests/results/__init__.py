"""Tests of `benchmark.results`."""
