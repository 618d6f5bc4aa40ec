"""One region from each cluster of the most informative."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from bal.selection.selectors._basket import Basket, best_first, reading, shortlist
from bal.selection.selectors._distances import drawn, nearer
from bal.selection.selectors._draw import share_of_top
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Array, BadInput, Key

MULTIPLE = 64  # shortlists and clusters are padded to this, so that few shapes are compiled


@dataclass(frozen=True)
class KMeans:
    """Clusters the highest scores by their features, and buys the region nearest to the centre of each cluster.

        min Σ_m s_m ‖x_m − c(m)‖²   over K centres, among the `prefilter` · K highest scores

    K is the number of regions that `top_k` would buy. Centres start by k-means++, weighted by the score like everything
    here; scores that are not positive weigh a millionth of the highest. Clusters are bought in the order of their
    regions' scores, and what is left of the money goes to the highest scores, regions without features among them.

    Reference:
        Zhdanov (2019), "Diverse mini-batch Active Learning", arXiv:1901.05954, algorithm 1 with weights. The start:
        Arthur & Vassilvitskii (2007), "k-means++: The Advantages of Careful Seeding".
    """

    prefilter: int = 10
    """Regions to cluster for each one to buy; the paper's β."""
    iterations: int = 20
    """Steps of Lloyd's algorithm."""
    needs = ("embedding",)

    def __post_init__(self) -> None:
        if self.prefilter < 1 or not 0 <= self.iterations <= 10**6:
            raise BadInput(
                f"k_means needs prefilter ≥ 1, 0 ≤ iterations ≤ 1000000; got {self.prefilter}, {self.iterations}"
            )

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        x, known = reading(about, "embedding")
        count = best_first(Basket(scores, offer), scores).size  # K
        short = shortlist(basket, np.where(known, scores, np.nan), self.prefilter * count)
        if short.size:
            weight = share_of_top(scores, basket.open)[short]
            names = np.arange(scores.size) if offer.id is None else np.asarray(offer.id)
            centre_of, distance = self._clusters(key, x[short], weight, names[short], min(count, short.size))
            by_cluster = np.lexsort((distance, centre_of))
            _, first = np.unique(centre_of[by_cluster], return_index=True)
            basket.fill(short[np.sort(by_cluster[first])])
        best_first(basket, scores)
        return basket.query()

    def _clusters(
        self, key: Key, x: np.ndarray, weight: np.ndarray, names: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """[n] the cluster of each of [n, F] weighted points with n ≥ K names, and [n] its squared distance."""
        pad = -len(x) % MULTIPLE
        centred = x - np.average(x, axis=0, weights=weight).astype(np.float32)[None]
        x, weight = np.pad(centred, ((0, pad), (0, 0))), np.pad(weight, (0, pad))  # [n + pad, F], [n + pad]
        seeds = seed(key, x, weight, np.pad(names, (0, pad)), count)
        centres = np.pad(x[seeds], ((0, -seeds.size % MULTIPLE), (0, 0)))  # [K + pad, F]
        live = np.arange(len(centres)) < seeds.size
        found = lloyd(jnp.asarray(x), jnp.asarray(weight, jnp.float32), jnp.asarray(centres), live, self.iterations)
        centre_of, distance = (np.asarray(a)[: names.size] for a in found)
        return centre_of, distance


def seed(key: Key, x: np.ndarray, weight: np.ndarray, names: np.ndarray, count: int) -> np.ndarray:
    """[≤ K] rows of x [n, F] to start at, drawn by weight times squared distance; fewer where rows are equal."""
    place, offer = jnp.asarray(x), Offer(weight, weight > 0, 0.0, id=names)
    nearest, seeds = jnp.full(len(x), jnp.inf, jnp.float32), []
    for k in range(count):
        distance = np.asarray(nearest)
        pull = weight * np.where(np.isinf(distance), 1.0, distance)
        if not (pull > 0).any():
            break
        seeds.append(drawn(jax.random.fold_in(key, k), offer, pull, np.flatnonzero(pull > 0)))
        nearest = nearer(nearest, place, jnp.array(seeds[-1:]), 1)
    return np.array(seeds, np.int64)


@functools.partial(jax.jit, static_argnames="iterations")
def lloyd(x: Array, weight: Array, centres: Array, live: Array, iterations: int) -> tuple[Array, Array]:
    """Weighted k-means from given centres; a cluster without weight keeps its centre.

    Args:
        x: [n, F].
        weight: [n].
        centres: [K, F].
        live: [K] bool, which of them there are.
        iterations: how often centres are moved.

    Returns:
        [n] int32 the nearest centre at last, and [n] its squared distance.
    """

    def assign(centres: Array) -> Array:
        product = jnp.matmul(x, centres.T, precision="highest")  # [n, K]
        distance = (centres**2).sum(1)[None] - 2 * product  # less ‖x‖², which does not choose
        return jnp.where(live[None], distance, jnp.inf).argmin(1)

    def move(_: Array, centres: Array) -> Array:
        member = jax.nn.one_hot(assign(centres), len(centres)) * weight[:, None]  # [n, K]
        mass = member.sum(0)[:, None]  # [K, 1]
        mean = jnp.matmul(member.T, x, precision="highest") / jnp.where(mass > 0, mass, 1.0)
        return jnp.where(mass > 0, mean, centres)

    centres = jax.lax.fori_loop(0, iterations, move, centres)
    nearest = assign(centres)
    return nearest, ((x - centres[nearest]) ** 2).sum(1)
