"""Records and predictions on disk; imports data, core and files."""
