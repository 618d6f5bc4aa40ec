"""A batch whose labels tell the most about the posterior together, not one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

from bal.selection.selectors._basket import Basket, best_first, reading, shortlist
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Array, BadInput, Key

LONGEST, MOST = 10**5, 10**7  # regions and configurations that are held at once
NOISE = 1e-5  # nats; float32 entropies differ by as much for no reason


@dataclass(frozen=True)
class BatchBALD:
    """Greedy purchases of the most information about the posterior sample that earlier ones do not give already.

        a(b) = I(y_b; ω | y_1 … y_{b−1}) = Σ_y p(y) [ H(Σ_s p(s | y) p_s(y_b)) − Σ_s p(s | y) H(p_s(y_b)) ]

    with the sum over the labels y of the earlier purchases. The a(b) add up to the mutual information of the batch and
    the posterior, so this is the paper's score, and none of its terms is negative. The sum is exact as long as there
    are at most `exact` configurations of labels, C^(b−1); beyond, as many are drawn from them by weight (stratified
    resampling), which leaves the estimate unbiased.

    S samples can be told apart by log S nats, and after 8 to 10 purchases they mostly are. So after `most`, or when
    nothing gives more than rounding, the rest of the money follows the plain score; regions without a reading are
    bought by that alone. Scores also make the shortlist.

    Reference:
        Kirsch, van Amersfoort & Gal (2019), "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian
        Active Learning", arXiv:1906.08158, algorithm 1. Sampling configurations is the paper's as well; the conditional
        form and the resampling are this project's own.
    """

    shortlist: int = 200
    """Highest scores among which is chosen."""
    exact: int = 10_000
    """Most configurations of labels that are kept."""
    most: int = 10
    """Purchases after which the plain score takes over."""
    needs = ("joint",)

    def __post_init__(self) -> None:
        if not (1 <= self.shortlist <= LONGEST and 1 <= self.exact <= MOST and self.most >= 0):
            raise BadInput(
                f"batch_bald needs 1 ≤ shortlist ≤ {LONGEST}, 1 ≤ exact ≤ {MOST} and most ≥ 0; got {self.shortlist}, "
                f"{self.exact} and {self.most}"
            )

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        joint, known = reading(about, "joint")
        short = shortlist(basket, np.where(known, scores, np.nan), self.shortlist)
        if short.size:
            padded = np.pad(short, (0, min(self.shortlist, scores.size) - short.size))
            p = jnp.asarray(joint[padded])  # [n, S, C]
            belief = prior(self.exact, p.shape[1])
            while basket.taken.size < self.most and basket.open[short].any():
                gain = np.where(basket.open[short], np.asarray(information(belief, p))[: short.size], -np.inf)
                best = int(gain.argmax())
                if gain[best] < NOISE:
                    break
                if basket.take(int(short[best])):
                    shift = jax.random.uniform(jax.random.fold_in(key, basket.taken.size), (self.exact,))
                    belief = learn(belief, p[best], shift)
        best_first(basket, scores)
        return basket.query()


class Belief(NamedTuple):
    """Q configurations of the labels bought so far, and what each would say about which sample is right."""

    weight: Array  # [Q] p(y), 0 where there is no configuration
    posterior: Array  # [Q, S] p(s | y)


def prior(configurations: int, samples: int) -> Belief:
    """Nothing bought: one configuration, of no labels, and room for Q in all; every sample as likely as the others."""
    weight = jnp.zeros(configurations, jnp.float32).at[0].set(1.0)
    return Belief(weight, jnp.full((configurations, samples), 1 / samples, jnp.float32))


@jax.jit
def information(belief: Belief, p: Array) -> Array:
    """[n] I(y; ω | labels so far), nats, of regions with p [n, S, C]: class probabilities by sample."""
    flat = p.transpose(1, 0, 2).reshape(p.shape[1], -1)  # [S, n·C]
    mixed = jnp.matmul(belief.posterior, flat, precision="highest").reshape(-1, *p[:, 0].shape)  # [Q, n, C]
    by_sample = belief.weight @ belief.posterior  # [S]
    total = -jnp.tensordot(belief.weight, xlogy(mixed, mixed).sum(2), 1)
    return total + jnp.tensordot(xlogy(p, p).sum(2), by_sample, 1)


@jax.jit
def learn(belief: Belief, p: Array, shift: Array) -> Belief:
    """The configurations with one more label.

    All Q · C of them if those with a chance are at most Q, else Q drawn by stratified resampling: one from each of Q
    equal parts of their cumulative weight. The draws are independent, or all would get the same quantile of the label.

    Args:
        belief: before.
        p: [S, C] class probabilities of the region by sample.
        shift: [Q] uniform in [0, 1), where in its part each draw falls.
    """
    size, classes = belief.weight.size, p.shape[1]
    given = jnp.matmul(belief.posterior, p, precision="highest")  # [Q, C] p(label | labels before)
    weight = (belief.weight[:, None] * given).ravel()  # [Q·C]
    kept = jnp.nonzero(weight > 0, size=size, fill_value=0)[0]
    live = (weight > 0).sum()
    cumulative = jnp.cumsum(weight)
    steps = (jnp.arange(size) + shift) / size * cumulative[-1]
    resampled = jnp.minimum(jnp.searchsorted(cumulative, steps, side="right"), weight.size - 1)
    row = jnp.where(live <= size, kept, resampled)
    before, label = row // classes, row % classes
    share = given[before, label]
    posterior = belief.posterior[before] * p.T[label] / jnp.where(share > 0, share, 1.0)[:, None]
    exact = jnp.where(jnp.arange(size) < live, weight[kept], 0.0)
    return Belief(jnp.where(live <= size, exact, 1 / size), posterior)
