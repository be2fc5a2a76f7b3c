"""Tests; folders are those of `benchmark`, and `tasks`."""
