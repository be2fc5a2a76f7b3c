"""What a verb is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Request(NamedTuple):
    """The words after a verb."""

    options: Mapping[str, Any]
    words: Sequence[str]
    """As they came, for `benchmark.cli.compose`; without config_dir."""
    folders: Sequence[Path]
    """The user's own folder of yaml files, if there is one."""
