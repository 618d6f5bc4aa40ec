"""The highest scores that the budget can pay."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bal.ranking import highest
from bal.types import Key, Query


def affordable(costs: np.ndarray, budget: float) -> np.ndarray:
    """Goes down a ranking and buys whatever still fits, until nothing does.

    Equal to the loop `for m in ranking: if spent + cost[m] ≤ budget: buy m`, sum by sum in float64, in as many
    vectorised passes as there are places where something no longer fits: each pass buys the longest affordable run
    and drops what is too dear by then.

    Args:
        costs: [M] positive and finite, best first.
        budget: in the unit of `costs`.

    Returns:
        Ascending positions in the ranking; their costs, added up in that order, are at most the budget.
    """
    costs, spent, runs = costs.astype(np.float64), 0.0, []
    open_ = np.flatnonzero(costs <= budget)
    while open_.size:
        running = np.cumsum(np.concatenate([[spent], costs[open_]]))[1:]
        length = int(np.searchsorted(running, budget, side="right"))  # at least 1: all that is open fits by itself
        runs.append(open_[:length])
        spent, open_ = running[length - 1], open_[length:]
        open_ = open_[spent + costs[open_] <= budget]
    return np.concatenate([np.zeros(0, np.int64), *runs])


@dataclass(frozen=True)
class TopK:
    """The highest scores first, as long as the budget pays; ties go to the earlier candidate.

    Where costs differ, a region that no longer fits is passed over for the next one that does. The ranking is one
    jitted `top_k` over a shortlist, as long as the budget could buy and rounded up so that few lengths are compiled;
    the money is counted on the host, in float64, where sums are exact.
    """

    def __call__(
        self,
        key: Key,
        scores: np.ndarray,
        costs: np.ndarray,
        eligible: np.ndarray,
        budget: float,
        features: np.ndarray | None = None,
    ) -> Query:
        eligible = eligible & np.isfinite(costs) & (costs > 0)
        cheapest = float(costs[eligible].min(initial=np.inf))
        room = int(max(0.0, min(eligible.sum(), budget / cheapest)))  # K
        length, bought = 1 << room.bit_length(), np.zeros(0, np.int64)
        while room:
            length = min(length, scores.size)
            ranked, index = (np.asarray(a) for a in highest(jnp.asarray(scores), jnp.asarray(eligible), length))
            ranking = index[: np.count_nonzero(ranked > -np.inf)]
            bought = ranking[affordable(costs[ranking], float(budget))]
            left = budget - costs[bought].sum(dtype=np.float64)
            if ranking.size < length or length == scores.size or left < cheapest:
                break
            length *= 4  # what was left on the shortlist is too dear, but a cheaper region may follow
        pad = (0, max(0, room - bought.size))
        return Query(
            index=jnp.asarray(np.pad(bought, pad, constant_values=-1), jnp.int32),
            score=jnp.asarray(np.pad(scores[bought].astype(np.float32), pad, constant_values=-np.inf)),
            cost=jnp.asarray(np.pad(costs[bought].astype(np.float32), pad)),
            valid=jnp.asarray(np.pad(np.ones(bought.size, bool), pad)),
        )
