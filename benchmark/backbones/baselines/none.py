"""No model: what a method that uses none runs with."""

from benchmark.core import Backbone


class NoModel(Backbone):
    """A backbone without any ability."""

    VERSION = 1
    stored = False

    @property
    def digest(self) -> str:
        """There are no weights."""
        return "none"
