"""Tests of `benchmark.embedding`."""
