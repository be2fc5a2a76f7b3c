"""One run, from its parts to its Record: what identifies it, what it leaves, how it is told."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

from benchmark import metrics, results
from benchmark.catalogue import flat
from benchmark.code import declared_version, own_digest
from benchmark.core import Backbone, Method, Metric, Splits, Task, UserError
from benchmark.data import CHAIN_BREAK, digest_splits
from benchmark.embed import EMBEDDING_VERSION
from benchmark.evaluate import EVALUATION_VERSION, Outcome, clock, evaluate, limited
from benchmark.ranks import exchange, world
from benchmark.results import APART, Record
from benchmark.seeds import estimate
from benchmark.store import CHECKED_WITH, Store
from benchmark.strata import Audit, read_audit, stratify

LIBRARIES = ("torch", "transformers", "esm")
"""Packages whose version may move an embedding: after a change stored ones are compared."""


@dataclass(frozen=True)
class Run:
    """A run that is ready to go. `names` are those of task, model and method, and the key."""

    config: Mapping[str, Any]
    names: Mapping[str, str]
    task: Task
    splits: Splits
    backbone: Backbone
    method: Method
    scorers: tuple[Metric, ...]
    identity: Mapping[str, Any]
    """The parts of the key, by name."""
    audit: Audit | None
    """What the results folder knows of this data."""

    @classmethod
    def prepare(
        cls,
        *,
        config: Mapping[str, Any],
        choices: Mapping[str, str],
        name: str,
        task: Task,
        method: Method,
        make_backbone: Callable[[], Backbone],
        store: Store | None,
    ) -> "Run":
        """Read the data, then open the backbone, and tell this run from all others."""
        require(task, Task, "task")
        require(method, Method, "method")
        scorers = tuple(metrics.find(name) for name in task.metrics)
        splits = limited(task.load(), config["limit"])
        data = digest_splits(splits)
        backbone = make_backbone()
        require(backbone, Backbone, "model")
        versions = {
            "task": declared_version(type(task)),
            "model": declared_version(type(backbone)),
            "method": declared_version(type(method)),
            "metrics": {scorer.name: declared_version(scorer) for scorer in scorers},
            "evaluation": EVALUATION_VERSION,
            "embedding": EMBEDDING_VERSION,
        }
        identity = {
            "task": results.deciding("task", config["task"]),
            "model": results.deciding("model", config["model"]),
            "method": results.deciding("method", config["method"]),
            "dtype": backbone.dtype,
            "limit": config["limit"],
            "data": data,
            "weights": backbone.digest,
            "versions": versions,
        }
        names = {
            "task": choices["task"],
            "model": config["name"] or name,
            "method": choices["method"],
            "key": results.make_key(identity),
        }
        if store and method.frozen and backbone.stored:
            keep_vectors(backbone, store, identity["model"], names["model"])
        audit = read_audit(Path(config["results"]), data)
        return cls(config, names, task, splits, backbone, method, scorers, identity, audit)

    def with_seed(self, seed: int) -> "Run":
        """The same run by another seed; data and backbone are shared."""
        return replace(self, config={**self.config, "seed": seed})

    @property
    def path(self) -> Path:
        """Where its Record lies, below the results folder."""
        return Path(*self.names.values(), f"seed{self.config['seed']}.json")

    def evaluate(self) -> Outcome:
        """Learn, predict, score."""
        seed = self.config["seed"]
        before = self.spent()
        outcome = evaluate(
            *(self.task, self.splits, self.backbone, self.method, self.scorers, seed),
            folder=Path(self.config["results"], self.path).with_suffix(""),
        )
        kept = {name: test.predictions for name, test in outcome.tests.items()}
        with clock(outcome.seconds, "score"):
            strata = stratify(self.scorers, self.splits, kept, self.audit, seed)
        spent = {name: total - before.get(name, 0) for name, total in self.spent().items()}
        return outcome._replace(strata=strata, cost=total_cost(spent, outcome.choices))

    def spent(self) -> dict[str, int]:
        """Running totals of what the backbone has done, and of what it did not have to do."""
        totals = dict(self.backbone.spent())
        if self.backbone.store:
            shelves = self.backbone.store.values()
            totals["chains_from_store"] = sum(shelf.found for shelf in shelves)
            totals["chains_embedded"] = sum(shelf.embedded for shelf in shelves)
        return totals

    def record(self, outcome: Outcome, seconds: Mapping[str, float]) -> Record:
        """What the run leaves to be known."""
        tests, splits, backbone = outcome.tests, self.splits, self.backbone
        settings = flat("model", self.identity["model"]) | flat("method", self.identity["method"])
        facts = {
            "digest": backbone.digest,
            "dtype": backbone.dtype,
            "batch_tokens": backbone.batch_tokens,
            "linker": backbone.linker if self.task.readout.chains == "joined" else None,
            **backbone.facts(),
        }
        sizes = {name: len(examples) for name, examples in splits.tests.items()}
        sizes |= {name: sum(sizes[test] for test in mean) for name, mean in splits.means.items()}
        return Record(
            task=self.names["task"],
            model=self.names["model"],
            method=self.names["method"],
            key=self.names["key"],
            area=self.task.area,
            version=self.task.version,
            seed=self.config["seed"],
            limit=self.config["limit"],
            primary=self.scorers[0].name,
            higher_is_better={scorer.name: scorer.higher_is_better for scorer in self.scorers},
            scores={name: test.scores for name, test in tests.items()},
            intervals={name: test.intervals for name, test in tests.items()},
            examples={"train": len(splits.train), "valid": len(splits.valid), **sizes},
            scored={name: test.scored for name, test in tests.items()},
            units={name: test.units for name, test in tests.items()},
            strata=outcome.strata,
            cost=outcome.cost,
            notes={**splits.notes} | ({"audit": self.audit.facts} if self.audit else {}),
            data=self.identity["data"],
            config=self.config,
            settings={k: v for k, v in settings.items() if not k.endswith("._target_")}
            | {"dtype": backbone.dtype},
            identity=self.identity,
            choices=dict(outcome.choices),
            backbone=facts,
            seconds={phase: round(value, 3) for phase, value in seconds.items()},
            environment={**results.environment(), "code": own_digest()},
            created=results.now(),
        )

    def predictions(self, outcome: Outcome) -> Mapping[str, list[Any]]:
        """The table of predictions: a row for each test example."""
        rows: dict[str, list[Any]] = {}
        for name, examples in self.splits.tests.items():
            for example, kept in zip(examples, outcome.tests[name].predictions, strict=True):
                seq = CHAIN_BREAK.join(example.chains)
                cells = {"test": name, "id": example.id, "group": example.group, "seq": seq}
                for column, value in (cells | dict(self.task.rows(example, kept))).items():
                    rows.setdefault(column, []).append(value)
        return rows


def total_cost(spent: Mapping[str, int], choices: Mapping[str, Any]) -> dict[str, int]:
    """What a run cost in all processes, for its Record.

    choices: of the method; `trained_parameters` is told there, or by the test sets' own fits.
    """
    mine = {**spent, **results.peak_memory()}
    shares = exchange([mine]) if world() > 1 else [[mine]]
    cost: dict[str, int] = {}
    for (share,) in shares:
        for name, amount in share.items():
            have = cost.get(name, 0)
            cost[name] = max(have, amount) if name.startswith("peak") else have + amount
    fits = [choices, *(found for found in choices.values() if isinstance(found, Mapping))]
    if trained := [fit["trained_parameters"] for fit in fits if "trained_parameters" in fit]:
        cost["trained_parameters"] = max(trained)
    return cost


def keep_vectors(backbone: Backbone, store: Store, model: Mapping[str, Any], name: str) -> None:
    """Give the backbone its place in the store, by all that decides its vectors but the sequence.

    model: its settings that decide a score.
    """
    decides = {
        "digest": backbone.digest,
        "dtype": backbone.dtype,
        "versions": [declared_version(type(backbone)), EMBEDDING_VERSION],
    }
    libraries = {name: results.package_version(name) for name in LIBRARIES}
    about = {
        **model,
        "model": name,
        "dtype": backbone.dtype,
        CHECKED_WITH: {**libraries, "code": own_digest()},
    }
    rows = {key: value for key, value in model.items() if key != "pooling"}
    backbone.store = {
        "protein": store.shelf("protein", {**decides, "settings": model}, about),
        "residue": store.shelf("residue", {**decides, "settings": rows}, about),
    }


def require(thing: object, kind: type, group: str) -> None:
    """Refuse a yaml whose `_target_` is not what its folder holds."""
    if not isinstance(thing, kind):
        raise UserError(
            f"{group}= makes a {type(thing).__name__}, not a benchmark.core.{kind.__name__}; "
            "correct _target_ in its yaml"
        )


def summary(records: Sequence[Record]) -> str:
    """A run of one or more seeds in a line: score, interval, what one must know to trust it."""
    record, found = records[-1], estimate(*results.primary(records))
    test = next(iter(record.scores))
    units = record.units[test]
    text = f"{record.task} · {record.model} · {record.method}: {record.primary} "
    text += "undefined" if isnan(found.score) else str(found)
    if found.interval:
        text += f" (95 %, {units:,} units)"
    elif not isnan(found.score):
        text += f" ({units} units: too few for an interval)"
    lines = [text]
    if cost := told_cost(records):
        lines.append(cost)
    if record.limit is not None:
        lines.append(f"limit={record.limit}: a quick try, kept out of the leaderboard")
    sizes = record.notes.get("sizes", {})
    if published := record.notes.get("published_sizes"):
        have = ", ".join(f"{name} {sizes.get(name, 0):,} of {n:,}" for name, n in published.items())
        lines.append(f"not the published sizes: {have}")
    for name, count in record.notes.get("also_in_train", {}).items():
        lines.append(f"{name}: {count:,} of {sizes[name]:,} examples are in train, too")
    shared = Counter[str]()
    for counts in record.notes.get("chains_in_train", {}).values():
        shared.update(counts)
    if shared:
        told = ", ".join(f"{chains} in {count:,}" for chains, count in sorted(shared.items()))
        lines.append(f"chains of a test example that are in train, too: {told} examples")
    if apart := record.strata.get(test, {}).get(APART):
        value = apart["scores"].get(record.primary)
        told = "undefined" if value is None else f"{value:.3f}"
        lines.append(f"{test} {APART}: {record.primary} {told}, {apart['examples']:,} examples")
    for split, changes in record.notes.get("changes", {}).items():
        altered = {k: v for k, v in changes.items() if k != "rows"}
        if altered:
            told = ", ".join(
                f"{value:,} {name.replace('_', ' ')}" for name, value in altered.items()
            )
            lines.append(f"{split}: of {changes['rows']:,} rows {told}")
    return "\n".join(lines)


def told_cost(records: Sequence[Record]) -> str:
    """What all seeds together took of a backbone whose work is counted; of memory the most."""
    costs = [record.cost for record in records]
    if not any("forward_flops" in cost for cost in costs):
        return ""

    def over_seeds(name: str) -> list[int]:
        return [cost.get(name, 0) for cost in costs]

    forward, backward = sum(over_seeds("forward_flops")), sum(over_seeds("backward_flops"))
    parts = [f"{forward:.1e} FLOPs forward" if forward else "no forward pass"]
    if backward:
        parts.append(f"{backward:.1e} backward")
    if kept := sum(over_seeds("chains_from_store")):
        parts.append(f"{kept:,} chains from the store")
    if memory := max(over_seeds("peak_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB")
    if memory := max(over_seeds("peak_gpu_bytes")):
        parts.append(f"{memory / 1e9:.1f} GB on the GPU")
    return ", ".join(parts)
