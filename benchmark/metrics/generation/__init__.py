"""Metrics of sets of generated sequences: one family per file.

A prediction is a `Measured` sequence (`measured.py`), and the label of its example a natural
protein: the natural proteins of a test set are as many as its sequences. Metrics without a
direction are read against the rows of natural proteins. Sequences without residues have no value.
"""
