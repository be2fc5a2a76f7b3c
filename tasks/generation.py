"""Generation: new sequences, compared with natural proteins."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmark.core import (
    RESIDUES,
    Array,
    Clock,
    DataReport,
    Example,
    Judge,
    Readout,
    Sampled,
    Splits,
    Task,
    UserError,
    Value,
)
from benchmark.data import mmseqs
from benchmark.data.digests import digest
from benchmark.data.homology import PARAMETERS
from benchmark.data.reference import Reference, open_reference
from benchmark.data.sources import read_source
from benchmark.metrics.generation.measured import Measured, sequences

CLUSTERS = "--min-seq-id 0.5 -c 0.8 --single-step-clustering 1"
"""MMseqs2's options: 50 % identity over 80 % of both chains; one step suffices for small sets."""
BINS = {"1-100": 100, "101-200": 200, "201-300": 300, "301-500": 500}
"""Stratum -> largest length of its sequences, in residues."""
COMPONENTS = 64
"""Principal components of embeddings, if there are ten sequences for each."""
SEED = 0
"""Which natural proteins are drawn: always the same."""


@dataclass(frozen=True, kw_only=True)
class Generation(Task):
    """Each test example is a prompt; its label is a natural protein to compare with.

    reference: natural proteins, `package:NAME` or the path of a FASTA file or a database of
        MMseqs2. The nearest protein of each sequence is searched in all of it; `num` proteins of at
        most `max_length` residues, drawn at random, are the labels and the train split.
    source: held-out natural proteins; `num` of them are the valid split, which `method=natural`
        and `method=shuffled` answer from.
    num: number of sequences.
    prompts: first residues of the sequences; a list of them, which are used in turn; the path of a
        FASTA file, whose first `prompt_length` residues are used in turn; or null.
    max_length: of natural proteins, in residues.
    judge: name of the model that scores the sequences; null: none.
    dimensions: principal components of the judge's embeddings; null: 64, or a tenth of `num`.
    """

    VERSION = 1
    reference: str
    source: str
    num: int
    prompts: str | Sequence[str] | None
    prompt_length: int
    max_length: int
    judge: str | None
    dimensions: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"num": 1, "prompt_length": 1, "max_length": PARAMETERS["shortest"]}
        for name, lowest in least.items():
            value = getattr(self, name)
            if type(value) is not int or value < lowest:
                raise UserError(f"task.{name}={value} is not allowed; give {lowest:g} or more")
        most = self.num // 10
        if self.dimensions is not None and (
            type(self.dimensions) is not int or not 1 <= self.dimensions <= most
        ):
            raise UserError(
                f"task.dimensions={self.dimensions} is not allowed; give 1 to {most}, a tenth of "
                f"task.num={self.num}, or null"
            )

    @property
    def readout(self) -> Readout:
        """A new chain."""
        return Readout("protein", "sequence")

    @cached_property
    def database(self) -> Reference:
        """The natural proteins that are searched."""
        return open_reference(self.reference)

    def load(self) -> Splits:
        """Draw natural proteins, and make the prompts."""
        drawn = self.database.draw(self.num, self.max_length, SEED)
        if len(drawn) < self.num:
            raise UserError(
                f"task.reference={self.reference} has {len(drawn):,} different proteins of 30 to "
                f"{self.max_length} of the 20 residues, and task.num={self.num:,} are needed; give "
                "a larger one, or a smaller task.num"
            )
        prompts = self.read_prompts()
        given = [prompts[at % len(prompts)] for at in range(self.num)]
        held_out, left_out = self.held_out()
        if surplus := len(prompts[self.num :]):
            left_out = {**left_out, "prompts beyond task.num": surplus}
        splits = examples(drawn, drawn), examples(held_out, held_out)
        tests = {"test": examples(given, drawn)}
        report = DataReport(
            source=self.source,
            unit="sequence",
            sizes={"train": self.num, "valid": len(held_out), "test": self.num},
            left_out=left_out,
        )
        return Splits(*splits, tests, report, further={"reference": self.database.digest})

    def held_out(self) -> tuple[list[str], Mapping[str, int]]:
        """At most `num` held-out proteins, drawn at random, and what was left out."""
        every = list(dict.fromkeys(sequences_of("source", self.source)))
        order = np.random.default_rng(SEED).permutation(len(every)).tolist()
        count, found = Counter[str](), list[str]()
        for chain in (every[at] for at in order):
            if not PARAMETERS["shortest"] <= len(chain) <= self.max_length:
                count[f"held-out proteins not of 30 to {self.max_length} residues"] += 1
            elif set(chain) - set(RESIDUES):
                count["held-out proteins with other letters"] += 1
            else:
                found.append(chain)
        return found[: self.num], dict(count)

    def read_prompts(self) -> list[str]:
        """The prompts, in order; [""] without any."""
        given = self.prompts
        if isinstance(given, str) and is_file(file := given.removeprefix("file:")):
            whole = sequences_of("prompts", f"file:{file}")
            if short := [chain for chain in whole if len(chain) <= self.prompt_length]:
                raise UserError(
                    f"task.prompts={given} has a sequence of {len(short[0])} residues, and "
                    f"task.prompt_length={self.prompt_length} of each are given; give fewer"
                )
            found = [chain[: self.prompt_length] for chain in whole]
        else:
            found = [given] if isinstance(given, str) else list(given or [""])
        if wrong := [p for p in found if not isinstance(p, str) or set(p) - set(RESIDUES)]:
            raise UserError(
                f"task.prompts={wrong[0]} is neither a file nor made of the 20 residues; give the "
                "path of a FASTA file, first residues, a list of them, or null"
            )
        return found

    def compact(self, prediction: Value, example: Example) -> Value:
        """The sequence with the mean log-likelihood of what follows the prompt."""
        made = Sampled(*cast(Sampled, prediction))
        scored = len(made.chain) - len(example.chains[0]) + made.ended
        mean = made.log_likelihood / scored if scored > 0 else nan
        return Measured(made.chain, mean, scored, made.ended)

    def measure(
        self,
        predictions: Sequence[Value],
        examples: Sequence[Example],
        judge: Judge | None,
        clock: Clock,
    ) -> Sequence[Value]:
        """Add nearest proteins and clusters by MMseqs2, and what the judge finds."""
        made = sequences(predictions)
        rows = [row for row, one in enumerate(made) if one.chain]
        if not rows:
            return made
        chains = [made[row].chain for row in rows]
        found: dict[str, Sequence[Any] | Array] = {}
        with clock("nearest"):
            hits = self.database.nearest(chains)
            long = [len(chain) >= PARAMETERS["shortest"] for chain in chains]
            none = [0.0 if fits else nan for fits in long]
            found["nearest"] = [hit.name if hit else "" for hit in hits]
            found["identity"] = [
                hit.identity if hit else no for hit, no in zip(hits, none, strict=True)
            ]
            found["coverage"] = [hit.coverage if hit else nan for hit in hits]
        with clock("clusters"):
            found["cluster"] = mmseqs.cluster(chains, CLUSTERS).tolist()
        if judge:
            with clock("judge"):
                means, counts = judge.likelihoods(chains)
                found |= {"judge": means.tolist(), "judged": counts.tolist()}
            with clock("embeddings"):
                vectors = judge.embeddings(chains)
                natural = judge.embeddings([str(examples[row].label) for row in rows])
            if vectors is not None and natural is not None:
                axes = components(natural, self.dimensions or min(COMPONENTS, self.num // 10))
                centre = natural.mean(0)
                found["embedding"] = (vectors - centre) @ axes
                found["natural"] = (natural - centre) @ axes
            with clock("structure"):
                shares = judge.structure(chains)
                found |= {} if shares is None else {"structure": shares}
        for at, row in enumerate(rows):
            made[row] = made[row]._replace(**{name: part[at] for name, part in found.items()})
        return made

    def stratum(self, prediction: Value, example: Example) -> str:
        """The bin of the sequence's length."""
        length = len(cast(Measured, prediction).chain)
        return next((name for name, most in BINS.items() if 0 < length <= most), "")

    def rows(self, example: Example, compact: Value) -> Mapping[str, Any]:
        """The natural protein, the sequence and its measurements."""
        own = cast(Measured, compact)._asdict()
        return {"label": str(example.label), "sequence": own.pop("chain"), **own}

    def from_row(self, row: Mapping[str, Any]) -> Value:
        """The measured sequence."""
        fields = {name: row[name] for name in Measured._fields[1:]}
        return Measured(row["sequence"], **fields)


def is_file(text: str) -> bool:
    """Whether it is the path of a file; residues may be too long for a path."""
    try:
        return Path(text).expanduser().is_file()
    except OSError:
        return False


def sequences_of(setting: str, source: str) -> list[str]:
    """The column `seq` of a source."""
    parts = list(read_source(source, None, None).parts.values())
    if any("seq" not in part.table.column_names for part in parts):
        raise UserError(f"task.{setting}={source} has no column seq; rename the column")
    return [chain for part in parts for chain in part.table["seq"].to_pylist()]


def examples(chains: Sequence[str], labels: Sequence[str]) -> list[Example]:
    """Examples, each a resampling unit of its own."""
    seen, made = Counter[str](), list[Example]()
    for chain, label in zip(chains, labels, strict=True):
        name = f"{digest(chain)}-{seen[chain]}"
        seen[chain] += 1
        made.append(Example((chain,), np.asarray(label), name, name))
    return made


def components(vectors: Array, number: int) -> Array:
    """The first principal axes of vectors (n, d), as columns (d, number); fewer if there are."""
    centred = vectors.astype(np.float64) - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[: max(1, number)].T
    signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.asarray(axes * signs)
