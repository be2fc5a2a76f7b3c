"""Kinds of tasks, one file each; `conf/task/*.yaml` are the tasks themselves.

A kind is a frozen dataclass whose fields are the keys of its yaml (no defaults: the yaml has every
value), with `readout` (the form of an answer) and `parse` (a table's cell to a label).
"""
