"""Benchmarks of speed: `pytest tests/performance`."""
