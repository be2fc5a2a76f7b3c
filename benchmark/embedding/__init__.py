"""Embeddings: batching, extraction, features, and the store on disk. Imports core, data."""
