"""Kinds of question, one file each; `conf/task/*.yaml` are the tasks themselves.

A kind is a frozen dataclass whose fields are its yaml's keys (no defaults: the yaml gives every
value), with `readout` (the form of an answer) and `parse` (a table's cell to a label).
"""
