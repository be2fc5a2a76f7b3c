"""Inputs that are refused: one line, its cause, what to do, exit status 2, nothing written."""
