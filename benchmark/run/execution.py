"""One run, from its parts to its Record and its table of predictions."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import metrics
from benchmark.core import Backbone, EmbeddingCache, Level, Method, Metric, Splits, Task, UserError
from benchmark.data.cell_values import CHAIN_BREAK
from benchmark.data.digests import digest_splits, make_key
from benchmark.data.homology import Audit, ensure_audit, read_audit
from benchmark.distributed import rank
from benchmark.embedding.extraction import EMBEDDING_VERSION
from benchmark.embedding.store import CHECKED_WITH, Store
from benchmark.methods.judge import LanguageModelJudge
from benchmark.results.identity import deciding, deciding_versions, flat
from benchmark.results.predictions import value_columns
from benchmark.results.record import Record
from benchmark.run.code_digest import declared_version, own_digest
from benchmark.run.environment import environment, now, package_version
from benchmark.run.evaluation import Outcome, check_signatures, clock, evaluate, subset
from benchmark.run.lazy import open_backbone
from benchmark.run.usage import total_usage
from benchmark.stats.bootstrap import EVALUATION_VERSION
from benchmark.stats.strata import stratify

LIBRARIES = ("torch", "transformers", "esm")
"""Packages that may change an embedding; stored vectors are checked after a version changes."""


class JudgeModel(NamedTuple):
    """The model that a task names as its judge."""

    name: str
    config: Mapping[str, Any]
    make: Callable[[], Backbone]


@dataclass(frozen=True)
class Run:
    """A run that is prepared."""

    config: Mapping[str, Any]
    names: Mapping[str, Any]
    """Names of task, model and method, and the key, in the order of folders."""
    task: Task
    splits: Splits
    backbone: Backbone
    method: Method
    scorers: tuple[Metric, ...]
    identity: Mapping[str, Any]
    """The parts of the key, by name."""
    audit: Audit | None
    """The audit of this data, if there is one in the results folder or the task asks for it."""
    caches: Mapping[Level, EmbeddingCache]
    judge: LanguageModelJudge | None = None

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
        judge: JudgeModel | None = None,
    ) -> "Run":
        """Read the data, build the backbone, and compute what identifies the run."""
        require(task, Task, "task")
        require(method, Method, "method")
        check_signatures(task, method)
        scorers = tuple(metrics.find(name) for name in task.metrics)
        splits = subset(task.load(), config["limit"])
        data = digest_splits(splits)
        memory = store.digests if store and method.frozen else None
        backbone = open_backbone(config["model"], make_backbone, memory)
        require(backbone, Backbone, "model")
        parts = {"task": task, "model": backbone, "method": method}
        identity = {
            **{group: deciding(group, config[group]) for group in parts},
            "dtype": backbone.dtype,
            "limit": config["limit"],
            "data": data,
            "weights": backbone.digest,
            "versions": {
                **{
                    group: declared_version(type(part), config[group].get("_target_", ""))
                    for group, part in parts.items()
                },
                "metrics": deciding_versions(
                    {
                        scorer.name: declared_version(scorer, metric)
                        for scorer, metric in zip(scorers, task.metrics, strict=True)
                    }
                ),
                "evaluation": EVALUATION_VERSION,
                "embedding": EMBEDDING_VERSION,
            },
        }
        judging = open_judge(judge, store) if judge else None
        if judge and judging:
            longest = max(getattr(part, "max_length", 0) for part in (task, method))
            most = judging.backbone.max_length
            if most is not None and longest > most:
                raise UserError(
                    f"task.judge={judge.name} reads {most:,} residues, and chains have up to "
                    f"{longest:,}; give method.max_length={most}, task.max_length={most}, or "
                    "another judge"
                )
            target = judge.config.get("_target_", "")
            identity["judge"] = {
                **{"settings": deciding("model", judge.config), "dtype": judging.backbone.dtype},
                "weights": judging.backbone.digest,
                "version": declared_version(type(judging.backbone), target),
            }
        names = {"task": choices["task"], "model": config["name"] or name}
        names |= {"method": choices["method"], "key": make_key(identity)}
        caches: Mapping[Level, EmbeddingCache] = {}
        if store and method.frozen and backbone.stored:
            caches = open_caches(backbone, store, identity["model"], names["model"])
        results, audit = Path(config["results"]), None
        if splits.against and not rank():  # the first process alone scores
            audit, _ = ensure_audit(results, splits, data)
        elif not splits.against:
            audit = read_audit(results, data)
        found = splits, backbone, method, scorers, identity, audit, caches, judging
        return cls(config, names, task, *found)

    def with_seed(self, seed: int) -> "Run":
        """The same run with another seed, data and backbone shared."""
        return replace(self, config={**self.config, "seed": seed})

    @property
    def path(self) -> Path:
        """The file of its Record below the results folder."""
        return Path(*self.names.values(), f"seed{self.config['seed']}.json")

    def evaluate(self) -> Outcome:
        """Fit, predict and score, also by stratum, and measure the usage."""
        seed, before = self.config["seed"], self.usage()
        outcome = evaluate(
            *(self.task, self.splits, self.backbone, self.method, self.scorers, seed),
            folder=Path(self.config["results"], self.path).with_suffix(""),
            caches=self.caches,
            judge=self.judge,
        )
        found = {name: test.predictions for name, test in outcome.tests.items()}
        strata: Mapping[str, Any] = {}
        if not rank():
            with clock(outcome.seconds, "score"):
                task = self.task.readout, self.splits, found, self.audit, seed, self.task.stratum
                strata = stratify(self.scorers, *task)
        if judge := self.judge:
            own = judge.backbone.digest == self.backbone.digest
            known = {"model": judge.name, "digest": judge.backbone.digest, "self_judged": own}
            outcome = outcome._replace(choices={**outcome.choices, "judge": known})
        used = {name: total - before.get(name, 0) for name, total in self.usage().items()}
        return outcome._replace(strata=strata, usage=total_usage(used, outcome.choices))

    def usage(self) -> dict[str, int]:
        """Running totals of the backbone, and of the judge with `judge_` before their names."""
        totals = totals_of(self.backbone, self.caches)
        if judge := self.judge:
            own = totals_of(judge.backbone, judge.caches)
            totals |= {f"judge_{name}": total for name, total in own.items()}
        return totals

    def record(self, outcome: Outcome, seconds: Mapping[str, float]) -> Record:
        """The Record of a finished run."""
        tests, splits, backbone = outcome.tests, self.splits, self.backbone
        settings = flat("model", self.identity["model"]) | flat("method", self.identity["method"])
        settings |= {"dtype": backbone.dtype}
        facts = {
            "digest": backbone.digest,
            "dtype": backbone.dtype,
            "batch_tokens": backbone.batch_tokens,
            "linker": backbone.linker if self.task.readout.chains == "joined" else None,
            **backbone.facts(),
        }
        card = {"gpu": facts.pop("gpu")} if "gpu" in facts else {}
        sizes = {name: len(examples) for name, examples in splits.tests.items()}
        sizes |= {m: sum(sizes[test] for test in sets) for m, sets in splits.aggregates.items()}
        return Record(
            **self.names,
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
            scales={scorer.name: scorer.scale for scorer in self.scorers},
            set_sizes={name: dict(t.set_sizes) for name, t in tests.items() if t.set_sizes},
            aggregates={name: dict(weights) for name, weights in splits.aggregates.items()},
            strata=outcome.strata,
            usage=outcome.usage,
            data_report=splits.report.facts(),
            audit=dict(self.audit.facts) if self.audit else {},
            data=self.identity["data"],
            config=self.config,
            settings={k: v for k, v in settings.items() if not k.endswith("._target_")},
            identity=self.identity,
            choices=dict(outcome.choices),
            backbone=facts,
            seconds={phase: round(value, 3) for phase, value in seconds.items()},
            environment={**environment(), **card, "code": own_digest()},
            created=now(),
        )

    def predictions(self, outcome: Outcome) -> Mapping[str, list[Any]]:
        """Columns of the table of predictions, one row per test example; `name` if any has one."""
        columns = defaultdict[str, list[Any]](list)
        is_named = any(example.name for test in self.splits.tests.values() for example in test)
        for test, examples in self.splits.tests.items():
            for example, prediction in zip(examples, outcome.tests[test].predictions, strict=True):
                cells = {"test": test, "id": example.id}
                cells |= {"name": example.name} if is_named else {}
                cells |= {"group": example.group, "seq": CHAIN_BREAK.join(example.chains)}
                for column, value in (cells | dict(self.task.rows(example, prediction))).items():
                    columns[column].append(value)
        return columns | value_columns([outcome.tests[name].values for name in self.splits.tests])


def totals_of(backbone: Backbone, caches: Mapping[Level, EmbeddingCache]) -> dict[str, int]:
    """Running totals of a backbone's operations, and of chains from the store or embedded."""
    totals = dict(backbone.usage())
    if caches:
        totals["chains_from_store"] = sum(cache.found for cache in caches.values())
        totals["chains_embedded"] = sum(cache.embedded for cache in caches.values())
    return totals


def open_judge(judge: JudgeModel, store: Store | None) -> LanguageModelJudge:
    """The judge with its stored embeddings."""
    backbone = open_backbone(judge.config, judge.make, store.digests if store else None)
    settings, stored = deciding("model", judge.config), store and backbone.stored
    caches = open_caches(backbone, store, settings, judge.name) if store and stored else {}
    judging = LanguageModelJudge(judge.name, backbone, caches)
    _ = judging.readout  # refuses a model without a head
    return judging


def open_caches(
    backbone: Backbone, store: Store, model: Mapping[str, Any], name: str
) -> dict[Level, EmbeddingCache]:
    """Open a backbone's caches in the store; model: its settings that affect a score."""
    version = declared_version(type(backbone), model.get("_target_", ""))
    parts = {
        "digest": backbone.digest,
        "dtype": backbone.dtype,
        "versions": [version, EMBEDDING_VERSION],
    }
    checked = {**{name: package_version(name) for name in LIBRARIES}, "code": own_digest()}
    about = {**model, "model": name, "dtype": backbone.dtype, CHECKED_WITH: checked}
    residue = {key: value for key, value in model.items() if key != "pooling"}
    return {
        "protein": store.cache("protein", {**parts, "settings": model}, about),
        "residue": store.cache("residue", {**parts, "settings": residue}, about),
    }


def require(thing: object, kind: type, group: str) -> None:
    """Refuse a part whose `_target_` is of another kind."""
    if not isinstance(thing, kind):
        raise UserError(
            f"{group}= makes a {type(thing).__name__}, not a benchmark.core.{kind.__name__}; "
            "correct _target_ in its yaml"
        )
