"""Tests of `benchmark.core`."""
