"""How predictions are scored: one family of metrics per file.

A metric is `fn(predictions, labels, weights) -> (R,)` (`benchmark.core.Metric`). All of them:

- never score an unknown answer (NaN, or -1 for classes and labels), and refuse a NaN prediction;
- give NaN for a resample in which the score is undefined;
- keep their sign;
- score a resample as if each example were there as often as its weight says.

`find(name)` gives a metric; a file in this folder is all that it takes to add one; it imports core
alone. A dotted name, `mypackage.module.metric`, is one from elsewhere.
"""

from importlib import import_module
from pkgutil import iter_modules

from benchmark.core import Metric, UserError


def find(name: str) -> Metric:
    """Give the metric of this name."""
    module, _, attribute = name.rpartition(".")
    if module:
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UserError(f"metric {name!r} cannot be imported: {error}") from None
        if not isinstance(found, Metric):
            raise UserError(f"{name!r} is no metric; decorate the function with @metric")
        return found
    here = known()
    if name not in here:
        raise UserError(f"no metric {name!r}; there are {', '.join(sorted(here))}")
    return here[name]


def known() -> dict[str, Metric]:
    """Give every metric in this folder by its name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return {m.name: m for module in modules for m in vars(module).values() if type(m) is Metric}
