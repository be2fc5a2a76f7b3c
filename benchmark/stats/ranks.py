"""Ranks of models, and how far other test proteins or other tasks would move them.

The two intervals answer different questions: one draws the resampling units of each task and keeps
the tasks, the other draws tasks and keeps their scores.
"""

import numpy as np

from benchmark.core import Array
from benchmark.stats.bootstrap import SPREAD

FEWEST_TASKS = 5
"""With fewer tasks there is no interval over tasks."""
TASK_DRAWS = 2000
TASK_SEED = 0


def ranks(scores: Array) -> Array:
    """Ranks from 1, the best, along the first axis, (models, ...); higher scores are better.

    Equal scores share the mean of their ranks.
    """
    better = (scores[None] > scores[:, None]).sum(axis=1)
    equal = (scores[None] == scores[:, None]).sum(axis=1)
    return np.asarray(better + (equal + 1) / 2)


def unit_intervals(scores: Array, draws: Array) -> Array | None:
    """The 95 % interval of each model's rank over resampling units, (models, 2).

    scores: (models,), higher is better; draws: (models, R), in the same resamples for all models,
    undefined ones as NaN. They vary less than a bootstrap does, and are spread accordingly. None:
    no resample defines all scores.
    """
    spread = scores[:, None] + SPREAD * (draws - scores[:, None])
    defined = spread[:, np.isfinite(spread).all(axis=0)]
    return bounds(ranks(defined)) if defined.size else None


def task_intervals(scores: Array) -> Array | None:
    """The 95 % interval of the rank of each model's mean score over tasks, (models, 2).

    scores: (models, tasks), higher is better. None: there are too few tasks.
    """
    tasks = scores.shape[1]
    if tasks < FEWEST_TASKS:
        return None
    counts = np.random.default_rng(TASK_SEED).multinomial(tasks, [1 / tasks] * tasks, TASK_DRAWS)
    return bounds(ranks(scores @ counts.T))


def bounds(drawn: Array) -> Array:
    """The ranks between which 95 % of the drawn ones, (models, R), lie: (models, 2)."""
    low = np.quantile(drawn, 0.025, axis=1, method="lower")
    return np.stack([low, np.quantile(drawn, 0.975, axis=1, method="higher")], axis=1)


def share_of_wins(scores: Array) -> Array:
    """The share of all (other model, task) pairs that each model wins, (models,); a tie is half.

    scores: (models, tasks), higher is better.
    """
    models = len(scores)
    return np.asarray((models - ranks(scores)).mean(axis=1) / max(models - 1, 1))
