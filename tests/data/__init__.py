"""Tests of `benchmark.data`."""
