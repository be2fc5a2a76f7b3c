"""Tests of `benchmark.metrics`."""
