"""How predictions are scored: one family of metrics per file.

The forms of a metric are in `benchmark.core.metric`. All metrics of this package:

- never score an unknown answer (NaN, or -1 for classes and labels), and refuse a NaN prediction;
- return NaN for a resample in which the score is undefined;
- keep their sign;
- score a resample as if each example occurred as often as its weight says.

Add a metric as a file in this folder, which imports only core, or name it by its dotted name,
`mypackage.module.metric`, which `find` imports.
"""

from importlib import import_module
from inspect import isfunction, signature
from pkgutil import walk_packages

from benchmark.core import Metric, UserError
from benchmark.core.metric import FORMS, old_form


def find(name: str) -> Metric:
    """Return the metric of this name, or of this dotted name."""
    module, _, attribute = name.rpartition(".")
    if not module:
        if found := known().get(name):
            return found
        raise UserError(f"no metric {name!r}; there are {', '.join(sorted(known()))}")
    try:
        found = getattr(import_module(module), attribute)
    except UserError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise UserError(
            f"metric {name!r} cannot be imported ({type(error).__name__}: {error}); correct the "
            "name or the module"
        ) from None
    if isinstance(found, Metric):
        return found
    if isfunction(found) and "labels" in signature(found).parameters:
        raise old_form(name)
    raise UserError(f"{name!r} is a {type(found).__name__}, not a metric; {FORMS}")


def known() -> dict[str, Metric]:
    """Return every metric in this folder and those below it by its name."""
    modules = [import_module(m.name) for m in walk_packages(__path__, f"{__name__}.")]
    return {m.name: m for module in modules for m in vars(module).values() if isinstance(m, Metric)}
