"""Tests of `benchmark.backbones`."""
