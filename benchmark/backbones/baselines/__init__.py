"""What a language model has to be better than: no learning from proteins, or counts alone.

Imports core, data and its sister modules of `benchmark.backbones`.
"""
