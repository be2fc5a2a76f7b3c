"""Methods: one way of learning a file or folder. `conf/method/*.yaml` holds their settings.

Imports embedding, backbones and core, and of a task no more than its `Readout`.
"""
