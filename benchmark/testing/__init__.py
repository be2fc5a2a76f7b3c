"""Checks of third-party models, tasks and methods; imports backbones and embedding."""
