"""Backbones: one family a file. `conf/model/*.yaml` names the checkpoints.

Imports core, data and pocket.
"""
