"""Trivial baselines: no training on proteins, or residue counts only.

Imports core, data and its sister modules of `benchmark.backbones`.
"""
