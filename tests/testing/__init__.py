"""Tests of `benchmark.testing`."""
