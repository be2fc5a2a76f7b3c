"""Tests of `benchmark.pocket`."""
