"""The highest scores that the budget can pay."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from bal.types import Array, Key, Query


@functools.partial(jax.jit, static_argnames=("shortlist", "k"))
def best_within(scores: Array, costs: Array, eligible: Array, budget: Array, shortlist: int, k: int) -> Query:
    """Goes down the ranking and buys whatever still fits, until nothing does.

    Equal to the greedy loop `for m in ranking: if cost[m] ≤ left: buy m`, in as many vectorised passes as there are
    places where something no longer fits: each pass buys the longest affordable run and drops what is too dear now.

    Args:
        scores, costs, eligible: [M]. NaN and infinite scores and costs are never bought.
        budget: scalar, in the unit of `costs`.
        shortlist: how far down the ranking to look.
        k: room for purchases, static.

    Returns:
        Query of length k, the highest score first, `valid` False where nothing more fitted.
    """
    eligible = eligible & jnp.isfinite(scores) & jnp.isfinite(costs) & (costs > 0)
    ranked, index = jax.lax.top_k(jnp.where(eligible, scores, -jnp.inf), shortlist)  # [shortlist]
    cost = costs[index]

    def affordable_run(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        open_, bought, left = state
        open_ = open_ & (cost <= left)
        running = jnp.cumsum(jnp.where(open_, cost, 0.0))
        run = open_ & (running <= left)
        return open_ & ~run, bought | run, left - jnp.where(run, cost, 0.0).sum()

    def more(state: tuple[Array, Array, Array]) -> Array:
        open_, _, left = state
        return (open_ & (cost <= left)).any()

    start = (eligible[index], jnp.zeros(shortlist, bool), budget)
    _, bought, _ = jax.lax.while_loop(more, affordable_run, start)
    rank = jnp.nonzero(bought, size=k, fill_value=shortlist)[0]  # [K]
    valid = rank < shortlist
    rank = jnp.minimum(rank, shortlist - 1)
    return Query(
        index=jnp.where(valid, index[rank], -1).astype(jnp.int32),
        score=jnp.where(valid, ranked[rank], -jnp.inf),
        cost=jnp.where(valid, cost[rank], 0.0),
        valid=valid,
    )


@dataclass(frozen=True)
class TopK:
    """The highest scores first, as long as the budget pays; ties go to the earlier candidate.

    Where costs differ, a region that no longer fits is passed over for the next one that does.
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
        paid = costs[eligible & np.isfinite(costs) & (costs > 0)]
        k = min(paid.size, int(budget / paid.min())) if paid.size else 0
        if not k:
            return Query(jnp.zeros(0, jnp.int32), jnp.zeros(0), jnp.zeros(0), jnp.zeros(0, bool))
        shortlist = k if paid.min() == paid.max() else scores.size
        query = best_within(
            jnp.asarray(scores, jnp.float32),
            jnp.asarray(costs, jnp.float32),
            jnp.asarray(eligible),
            jnp.float32(budget),
            shortlist,
            k,
        )
        # Sums above are float32: what rounding let through is taken back, so that the budget is never exceeded.
        spent = np.cumsum(np.asarray(query.cost, np.float64))
        return query._replace(valid=query.valid & jnp.asarray(spent <= budget))
