"""Vectors of chains, made in batches and kept on disk; imports core."""
