"""Tests of `benchmark.report`."""
