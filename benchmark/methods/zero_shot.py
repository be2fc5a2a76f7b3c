"""What a language model's own probabilities say of a chain or a variant; nothing is learned.

Of chains it answers how likely their residues are (`benchmark.methods.likelihood`); of variants,
what their mutations do:

Meier et al. 2021, "Language models enable zero-shot prediction of the effects of mutations on
protein function"; Nijkamp et al. 2023 for causal models. Higher is better.

- masked_marginal: log p(mutant) - log p(wild type), summed over the mutated positions, where the
  wild type is read with that position masked; a forward pass for each mutated position of it.
- wild_type_marginal: the same with nothing masked; a pass for each wild type.
- pseudo_log_likelihood: log p(residue), summed over the variant's residues, each masked in turn;
  a pass for each residue of each variant.
- causal_log_likelihood: mean log p(residue) of the variant, as the model's authors score it; a
  pass for each variant.

Of several mutations each is masked alone, as the code that Meier et al. released and ProteinGym do;
the paper's formula masks them together. Of one mutation the two are the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    RESIDUES,
    Array,
    Backbone,
    CausalLogProbs,
    Chains,
    Example,
    MaskedLogProbs,
    Method,
    Predictor,
    Readout,
    UserError,
    Value,
)
from benchmark.embedding.features import check_lengths
from benchmark.methods.likelihood import (
    COLUMN,
    each_hidden,
    hidden_rows,
    hide,
    read,
    require,
    residue_log_probs,
)


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Method):
    """Answers with what the backbone expects.

    score: of variants, a name of `SCORES`, or auto: the first of them that the backbone can give.
    """

    VERSION = 1
    score: str
    frozen = True
    answers_likelihood = True

    def __post_init__(self) -> None:
        if self.score not in ("auto", *SCORES):
            raise UserError(
                f"method.score={self.score} is not known; allowed are auto, {', '.join(SCORES)}"
            )

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Check that backbone and question fit; train and valid are not looked at."""
        if readout.kind == "likelihood":
            if self.score != "auto":
                raise UserError(
                    f"method.score={self.score} is of variants; this task asks of residues"
                )
            kind = require(backbone, readout.context).kind
            return Predictor(partial(residue_log_probs, backbone, readout), {"log_probs": kind})
        able: dict[str, bool] = dict.fromkeys(SCORES, isinstance(backbone, MaskedLogProbs))
        able["causal_log_likelihood"] = isinstance(backbone, CausalLogProbs)
        asked = SCORES if self.score == "auto" else {self.score: SCORES[self.score]}
        name = next((name for name in asked if able[name]), None)
        if name is None:
            others = {"auto": "masked or causal", "causal_log_likelihood": "causal"}
            kind = others.get(self.score, "masked")
            raise UserError(
                f"method=zero_shot with score={self.score} needs {kind} log-probabilities, which a "
                f"language model's head gives; the backbone {type(backbone).__name__} has none"
            )
        if (readout.level, readout.kind) != ("variant", "regression"):
            raise UserError(
                "method=zero_shot answers how good a variant is, or how likely residues are; give "
                "task=variant_effect, perplexity or pseudo_perplexity"
            )
        score = SCORES[name]

        def predict(questions: Sequence[Chains]) -> Iterator[Value]:
            for chains in questions:
                check_substitutions(chains, name)
            check_lengths(backbone, [chain for chains in questions for chain in chains])
            yield from (np.asarray(value) for value in score(backbone, questions))

        return Predictor(predict, {"score": name})


def check_substitutions(chains: Chains, score: str) -> None:
    """Refuse what a score is not defined for: changed lengths, and residues beyond the 20."""
    variant, wild_type = chains
    if len(variant) != len(wild_type) and score.endswith("marginal"):
        raise UserError(
            f"a variant has {len(variant)} residues and its wild type {len(wild_type)}, and "
            f"method.score={score} reads substitutions alone; use pseudo_log_likelihood"
        )
    letters = set(variant) ^ set(wild_type)
    if len(variant) == len(wild_type):
        letters = {chain[at] for at in mutated(chains) for chain in chains}
    if other := letters - set(RESIDUES):
        raise UserError(
            f"a variant changes the letter {min(other)}, and a language model's score is of the 20 "
            "residues; leave this variant out"
        )


def mutated(chains: Chains) -> list[int]:
    """Positions at which variant and wild type differ, counted from 0."""
    return [at for at, (new, old) in enumerate(zip(*chains, strict=True)) if new != old]


def masked_marginal(backbone: Any, questions: Sequence[Chains]) -> Iterator[np.float64]:
    """Each mutated position of a wild type is masked once, however many variants share it."""
    sites = list(dict.fromkeys((chains[1], at) for chains in questions for at in mutated(chains)))
    masked = [hide(wild_type, at) for wild_type, at in sites]
    found = read(partial(hidden_rows, backbone), masked, backbone)
    return marginals(questions, dict(zip(sites, found, strict=True)))


def wild_type_marginal(backbone: Any, questions: Sequence[Chains]) -> Iterator[np.float64]:
    """Each wild type is read once; of its log-probabilities those at mutated positions are kept."""
    sites = defaultdict[str, set[int]](set)
    for chains in questions:
        sites[chains[1]].update(mutated(chains))
    tables = read(backbone.masked_log_probs, list(sites), backbone)
    rows = {
        (chain, at): table[at].copy()
        for chain, table in zip(sites, tables, strict=True)
        for at in sites[chain]
    }
    return marginals(questions, rows)


def marginals(
    questions: Sequence[Chains], rows: Mapping[tuple[str, int], Array]
) -> Iterator[np.float64]:
    """Sum log p(mutant) - log p(wild type), from rows (20,) by wild type and position."""
    for chains in questions:
        total = np.float64(0)
        for at in mutated(chains):
            new, old = (COLUMN[chain[at]] for chain in chains)
            row = rows[chains[1], at].astype(np.float64)
            total += row[new] - row[old]
        yield total


def pseudo_log_likelihood(backbone: Any, questions: Sequence[Chains]) -> Iterator[np.float64]:
    """Each residue of each variant is masked once; letters beyond the 20 are read, not scored."""
    every = Readout("residue", "likelihood", context="both").scored_positions

    def total(variants: Sequence[str]) -> NDArray[np.float64]:
        return np.array([logs.sum() for logs in each_hidden(backbone, every, variants)])

    return by_variant(total, backbone, questions)


def causal_log_likelihood(backbone: Any, questions: Sequence[Chains]) -> Iterator[np.float64]:
    """Each variant is read once; by ProGen2 in both directions."""
    return by_variant(backbone.log_likelihoods, backbone, questions)


def by_variant(
    how: Callable[[Sequence[str]], NDArray[np.float64]],
    backbone: Backbone,
    questions: Sequence[Chains],
) -> Iterator[np.float64]:
    """What `how` makes of each variant, whatever its wild type; equal ones are read once."""
    unique = list(dict.fromkeys(variant for variant, _ in questions))
    found = dict(zip(unique, read(lambda batch: list(how(batch)), unique, backbone), strict=True))
    return (found[variant] for variant, _ in questions)


SCORES: dict[str, Callable[[Any, Sequence[Chains]], Iterator[np.float64]]] = {
    score.__name__: score
    for score in (
        masked_marginal,
        wild_type_marginal,
        pseudo_log_likelihood,
        causal_log_likelihood,
    )
}
