"""What words of the command line compose to, for verbs: Hydra without a run."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

from benchmark.cli.catalogue import GROUPS
from benchmark.core import UserError, unknown
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


def compose_model(name: str, words: Sequence[str]) -> Any:
    """The configuration of another model during a run, with its folders of yamls."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    loader = GlobalHydra.instance().config_loader()
    if name not in (known := loader.get_group_options("model")):
        raise unknown("model", name, known)
    given = [f"model={name}", *words]
    return with_current_names(loader.load_configuration("config", given, RunMode.RUN)).model


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

    refuse_unknown_settings(node)
    return instantiate(node, _convert_="all")


def refuse_unknown_settings(node: Any) -> None:
    """Refuse a key that the node's class does not take, with the nearest one that it takes."""
    from hydra.utils import get_object

    try:
        kind = get_object(str(node.get("_target_")))
        parameters = signature(kind).parameters
    except (ImportError, ValueError, TypeError):  # `instantiate` says why
        return
    wrong = [key for key in map(str, node) if key not in parameters and not key.startswith("_")]
    if wrong and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        near = get_close_matches(wrong[0], parameters)
        hint = f"did you mean {' or '.join(near)}?" if near else "remove it from the yaml"
        raise UserError(f"{kind.__name__} has no setting {wrong[0]!r}; {hint}")


def settings_of(words: Sequence[str], folders: Sequence[Path] = ()) -> list[str]:
    """Every setting other than the choices of these words, as words of the command line."""
    from omegaconf import OmegaConf

    composed: Any = OmegaConf.to_container(compose(words, folders))
    nested = [
        flat(key, value) if isinstance(value, dict) else {key: 0} for key, value in composed.items()
    ]
    return [*GROUPS, *(key for keys in nested for key in keys)]
