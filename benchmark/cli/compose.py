"""What words of the command line compose to, for verbs: Hydra without a run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.cli.catalogue import GROUPS
from benchmark.results.identity import flat
from benchmark.results.migrations import renamed


def compose(words: Sequence[str], folders: Sequence[Path] = ()) -> Any:
    """The configuration of a run with these words; `folders` are its --config-dir."""
    import hydra
    from hydra import initialize_config_module

    own = ",".join(f"file://{folder.absolute()}" for folder in folders)
    with initialize_config_module("conf", version_base="1.3"):
        cfg = hydra.compose("config", overrides=[*words, f"hydra.searchpath=[{own}]"])
    return with_current_names(cfg)


def with_current_names(cfg: Any) -> Any:
    """The configuration with names of earlier versions replaced, and a note for each of them."""
    from omegaconf import OmegaConf, open_dict

    found: Any = OmegaConf.to_container(cfg)
    for (group, name), value in renamed(found).items():
        print(f"note: {group}.{name}={cfg[group][name]} is called {value} now", file=sys.stderr)
        with open_dict(cfg):
            cfg[group][name] = value
    return cfg


def words_of(hydra: Any) -> list[str]:
    """The words of a run, as they were given; their interpolations belong to the run's settings."""
    from omegaconf import OmegaConf

    words: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return [str(word) for word in words]


def build(node: Any) -> Any:
    """Make the object that a node's `_target_` names."""
    from hydra.utils import instantiate

    return instantiate(node, _convert_="all")


def settings_of(words: Sequence[str], folders: Sequence[Path] = ()) -> list[str]:
    """Every setting that there is beside these words' choices, as words of the command line."""
    from omegaconf import OmegaConf

    composed: Any = OmegaConf.to_container(compose(words, folders))
    nested = [
        flat(key, value) if isinstance(value, dict) else {key: 0} for key, value in composed.items()
    ]
    return [*GROUPS, *(key for keys in nested for key in keys)]
