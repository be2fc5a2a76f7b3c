"""Which tasks, models and methods there are: one yaml, one name on the command line."""
