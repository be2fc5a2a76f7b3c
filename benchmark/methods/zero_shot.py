"""Zero-shot scores of chains and variants from a language model's own probabilities.

Of chains, the likelihood of their residues (`benchmark.methods.likelihood`); of variants, the
effect of their mutations (higher is better):

Meier et al. 2021, "Language models enable zero-shot prediction of the effects of mutations on
protein function"; Nijkamp et al. 2023 for causal models.

- masked_marginal: log p(mutant) - log p(wild type), summed over the mutated positions, from the
  wild type with that position masked; one forward pass for each mutated position.
- wild_type_marginal: the same with nothing masked; one pass for each wild type.
- pseudo_log_likelihood: log p(residue), summed over the variant's residues, each masked in turn;
  one pass for each residue of each variant.
- causal_log_likelihood: mean log p(residue) of the variant, as the model's authors score it; one
  pass for each variant.

With several mutations each is masked alone, as in the code of Meier et al. and in ProteinGym; the
paper's formula masks them together. With one mutation the two are the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmark.core.answers import RESIDUE_INDEX, RESIDUES, Array, Chains, Readout, Value
from benchmark.core.backbone import Backbone
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.embedding.features import check_lengths
from benchmark.methods import likelihood
from benchmark.methods.likelihood import map_chains


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Method):
    """Predictions by the language model itself; nothing is fitted.

    score: of variants, a name of `SCORES`, or auto: the first for which the backbone is able.
    """

    VERSION = 1
    score: str
    frozen = True
    answers_likelihood = True

    def __post_init__(self) -> None:
        if self.score not in ("auto", *SCORES):
            allowed = ", ".join(("auto", *SCORES))
            raise UserError(f"method.score={self.score} is not known; allowed are {allowed}")

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Check backbone and task; train and valid are not used."""
        backbone, readout = context.backbone, context.readout
        if readout.kind == "likelihood":
            if self.score != "auto":
                raise UserError(
                    f"method.score={self.score} scores variants, and this task scores residues; "
                    "leave it out"
                )
            kind = likelihood.kind_of(backbone, readout.context)
            predict = partial(likelihood.residue_log_probs, backbone, readout)
            return Predictor(predict, {"log_probs": kind})
        name = self.first_able(backbone)
        if (readout.level, readout.kind) != ("variant", "regression"):
            raise UserError(
                "method=zero_shot scores variants or the likelihood of residues; give "
                "task=variant_effect, perplexity or pseudo_perplexity"
            )

        def predict_variants(inputs: Sequence[Chains]) -> Iterator[Value]:
            for chains in inputs:
                check_substitutions(chains, name)
            check_lengths(backbone, [chain for chains in inputs for chain in chains])
            yield from (np.asarray(value) for value in SCORES[name](backbone, inputs))

        return Predictor(predict_variants, {"score": name})

    def first_able(self, backbone: Backbone) -> str:
        """The name of the score to use."""
        for name in SCORES if self.score == "auto" else (self.score,):
            causal = name == "causal_log_likelihood"
            if ("causal_log_probs" if causal else "masked_log_probs") in backbone.abilities:
                return name
        kinds = {"auto": "masked or causal", "causal_log_likelihood": "causal"}
        raise UserError(
            f"method=zero_shot with score={self.score} needs {kinds.get(self.score, 'masked')} "
            "log-probabilities, which a language model's head predicts; the backbone "
            f"{type(backbone).__name__} has none"
        )


def check_substitutions(chains: Chains, score: str) -> None:
    """Refuse what a score is not defined for: changed lengths, and letters other than the 20."""
    variant, wild_type = chains
    if len(variant) != len(wild_type) and score.endswith("marginal"):
        raise UserError(
            f"a variant has {len(variant)} residues and its wild type {len(wild_type)}, and "
            f"method.score={score} is defined for substitutions only; use pseudo_log_likelihood"
        )
    letters = set(variant) ^ set(wild_type)
    if len(variant) == len(wild_type):
        letters = {chain[at] for at in mutated(chains) for chain in chains}
    if other := letters - set(RESIDUES):
        raise UserError(
            f"a variant changes the letter {min(other)}, and scores are defined for the 20 amino "
            "acids only; leave this variant out"
        )


def mutated(chains: Chains) -> list[int]:
    """Positions at which variant and wild type differ, 0-based."""
    return [at for at, (new, old) in enumerate(zip(*chains, strict=True)) if new != old]


def masked_marginal(backbone: Backbone, inputs: Sequence[Chains]) -> Iterator[np.float64]:
    """Each mutated position of a wild type is masked once, however many variants share it."""
    sites = list(dict.fromkeys((chains[1], at) for chains in inputs for at in mutated(chains)))
    masked = [likelihood.mask(wild_type, at) for wild_type, at in sites]
    found = map_chains(partial(likelihood.masked_rows, backbone), masked, backbone)
    return marginals(inputs, dict(zip(sites, found, strict=True)))


def wild_type_marginal(backbone: Backbone, inputs: Sequence[Chains]) -> Iterator[np.float64]:
    """Each wild type is read once."""
    sites = defaultdict[str, set[int]](set)
    for chains in inputs:
        sites[chains[1]].update(mutated(chains))
    tables = map_chains(backbone.masked_log_probs, list(sites), backbone)
    rows = {
        (chain, at): table[at].copy()
        for chain, table in zip(sites, tables, strict=True)
        for at in sites[chain]
    }
    return marginals(inputs, rows)


def marginals(
    inputs: Sequence[Chains], rows: Mapping[tuple[str, int], Array]
) -> Iterator[np.float64]:
    """Sum log p(mutant) - log p(wild type), from rows (20,) by wild type and position."""
    for chains in inputs:
        total = np.float64(0)
        for at in mutated(chains):
            new, old = (RESIDUE_INDEX[chain[at]] for chain in chains)
            row = rows[chains[1], at].astype(np.float64)
            total += row[new] - row[old]
        yield total


def pseudo_log_likelihood(backbone: Backbone, inputs: Sequence[Chains]) -> Iterator[np.float64]:
    """Each residue of each variant is masked once; letters other than the 20 are not scored."""
    every = Readout("residue", "likelihood", context="both").scored_positions
    score = partial(likelihood.masked_scores, backbone, every)
    return by_variant(lambda batch: [logs.sum() for logs in score(batch)], backbone, inputs)


def causal_log_likelihood(backbone: Backbone, inputs: Sequence[Chains]) -> Iterator[np.float64]:
    """Each variant is read once; by ProGen2 in both directions."""
    return by_variant(lambda batch: list(backbone.log_likelihoods(batch)), backbone, inputs)


def by_variant(
    score: Callable[[Sequence[str]], list[np.float64]],
    backbone: Backbone,
    inputs: Sequence[Chains],
) -> Iterator[np.float64]:
    """The score of each variant without its wild type; equal variants are read once."""
    unique = list(dict.fromkeys(variant for variant, _ in inputs))
    values = map_chains(score, unique, backbone)
    found = dict(zip(unique, values, strict=True))
    return (found[variant] for variant, _ in inputs)


SCORES: dict[str, Callable[[Backbone, Sequence[Chains]], Iterator[np.float64]]] = {
    score.__name__: score
    for score in (masked_marginal, wild_type_marginal, pseudo_log_likelihood, causal_log_likelihood)
}
