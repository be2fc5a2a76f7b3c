"""Scripts that make what is in `benchmark.pocket`; nothing imports them.

They may import everything but cli.
"""
