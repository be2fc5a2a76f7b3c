"""The command line; it may import everything else, and nothing imports it."""
