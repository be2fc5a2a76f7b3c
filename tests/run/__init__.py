"""Tests of `benchmark.run`."""
