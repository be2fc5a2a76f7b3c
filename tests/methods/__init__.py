"""Tests of `benchmark.methods`."""
