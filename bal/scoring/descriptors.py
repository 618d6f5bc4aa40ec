"""What can be read of a region besides its score, all in the pass that scores it; selectors name what they need.

    score       []       the objective's score, by the unit's own reduction
    by_class    [C]      mean over its pixels of what each class adds to the score
    by_predicted [C]     mean of score · p_c; with entropy it is the PE·p_c of ClaSP
    predicted   [C]      share of its pixels whose most likely class is c
    frequency   [C]      mean of p_c
    boundary    []       pixels of boundary between classes that are to be expected (`bal.pool.cost.Effort`)
    error_boundary []    the same around what is predicted wrongly, of the map 1 − p(ŷ)
    embedding   [F]      mean of the features before the output layer, of posterior sample 0
    gradient    [C(F+1)] mean of (p − e_ŷ) ⊗ (features, 1): the gradient at the output layer if the prediction were true
    joint       [S, C]   probabilities of each sample for one pixel of it, drawn in proportion to the score

p is the calibrated prediction, ŷ its most likely class.

References:
    Ash, Zhang, Krishnamurthy, Langford & Agarwal (2020), "Deep Batch Active Learning by Diverse, Uncertain Gradient
    Lower Bounds", arXiv:1906.03671 (gradient). ClaSP PE, arXiv:2601.13677. Kirsch, van Amersfoort & Gal (2019),
    "BatchBALD", arXiv:1906.08158 (joint).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.pool.units.base import Unit
from bal.posterior import samples
from bal.posterior.model import Model
from bal.posterior.moments import Moments, or_nan, predict_moments
from bal.posterior.nets.base import HasFeatures
from bal.scoring.objective import Objective
from bal.types import Array, BadInput


class ScoredBatch(NamedTuple):
    """A batch as a descriptor sees it."""

    model: Model
    x: Array  # [B, H, W, Cin]
    size: Array  # [B, 2]
    score: Array  # [B, H, W]
    p: Array  # [B, H, W, C] calibrated
    by_class: Array  # [B, H, W, C]
    neighbours: tuple[Array, Array]  # [B, H−1, W], [B, H, W−1] 1 where two neighbours are in one region
    mean: Callable[[Array], Array]  # [B, H, W, …] → [B, rows, columns, …], over the valid pixels of each region
    total: Callable[[Array], Array]  # the same, summed


def _gradient(batch: ScoredBatch) -> Array:
    inputs = samples.features(batch.model, batch.x, batch.size)
    inputs = jnp.concatenate([inputs, jnp.ones_like(inputs[..., :1])], -1)  # [B, H, W, F + 1]
    residual = batch.p - jax.nn.one_hot(batch.p.argmax(-1), batch.p.shape[-1])
    product = residual[..., :, None] * inputs[..., None, :]
    return batch.mean(product.reshape(*product.shape[:3], -1))


def _joint(batch: ScoredBatch) -> Array:
    """[B, rows, columns, S, C]: the mean of p_s weighted by the score; unweighted where no pixel's is positive."""
    drawn = samples.prepare(batch.model, batch.x, batch.size)
    weight = jnp.maximum(batch.score, 0.0)
    weight = jnp.where(weight > 0, weight, jnp.finfo(jnp.float32).tiny * 1e6)[..., None]  # [B, H, W, 1]
    whole = batch.total(weight)

    def sample(s: Array) -> Array:
        weighted = batch.total(weight * jnp.exp(drawn.log_probs(s)))
        return weighted / jnp.broadcast_to(whole, weighted.shape)

    return jnp.moveaxis(jax.lax.map(sample, jnp.arange(batch.model.head.samples)), 0, -2)


def _variation(batch: ScoredBatch, maps: Array) -> Array:
    """Total variation of maps [B, H, W, K] within each region: ½ Σ_{neighbours} Σ_k |difference|."""
    down = jnp.where(batch.neighbours[0] > 0, jnp.abs(maps[:, 1:] - maps[:, :-1]).sum(-1) / 2, 0.0)
    across = jnp.where(batch.neighbours[1] > 0, jnp.abs(maps[:, :, 1:] - maps[:, :, :-1]).sum(-1) / 2, 0.0)
    return batch.total(jnp.pad(down, ((0, 0), (0, 1), (0, 0))) + jnp.pad(across, ((0, 0), (0, 0), (0, 1))))


DESCRIPTORS: dict[str, Callable[[ScoredBatch], Array]] = {
    "by_class": lambda batch: batch.mean(batch.by_class),
    "by_predicted": lambda batch: batch.mean(batch.score[..., None] * batch.p),
    "predicted": lambda batch: batch.mean(jax.nn.one_hot(batch.p.argmax(-1), batch.p.shape[-1])),
    "frequency": lambda batch: batch.mean(batch.p),
    "boundary": lambda batch: _variation(batch, batch.p),
    "error_boundary": lambda batch: _variation(batch, 2 * batch.p.max(-1, keepdims=True)),
    "embedding": lambda batch: batch.mean(samples.features(batch.model, batch.x, batch.size)),
    "gradient": _gradient,
    "joint": _joint,
}


def check(names: tuple[str, ...], net: Any) -> None:
    """Raises BadInput for a descriptor that there is not, or that this network cannot give."""
    if unknown := [name for name in names if name not in DESCRIPTORS]:
        raise BadInput(f"nothing called {unknown[0]!r} can be read of a region; choices: {', '.join(DESCRIPTORS)}")
    if {"embedding", "gradient"} & set(names) and not isinstance(net, HasFeatures):
        raise BadInput(f"{type(net).__name__} has no `features`, which the selector needs; see bal.posterior.nets.UNet")


@functools.partial(jax.jit, static_argnames=("unit", "names", "room"))
def read(
    model: Model,
    objective: Objective,
    unit: Unit,
    names: tuple[str, ...],
    room: int,
    x: Array,
    size: Array,
    valid: Array,
    cut: Array | None,
) -> dict[str, Array]:
    """The score and the descriptors of a batch.

    Args:
        model, objective, unit, names: who is asked, what, of which regions, and what else is wanted.
        room: for `unit.reduce`.
        x: [B, H, W, Cin]. size: [B, 2]. valid: [B, H, W], 1 on the image.
        cut: [B, H, W], regions of a unit that looks.

    Returns:
        `score` [B, rows, columns] and each name [B, rows, columns, …], NaN where there is no region; and `odd` [B],
        whether the score or the probabilities of some pixel of an image are no numbers. A score of −inf is one.
    """

    def then(moments: Moments) -> tuple[Array, ...]:
        more = (moments.predictive, objective.per_class(moments)) if names else ()
        return or_nan(moments, objective(moments)), *more

    score, *more = predict_moments(model, x, size, objective.needs, then, objective.targets)
    odd = ((valid > 0) & ~(score < jnp.inf)).any((1, 2))
    found = {"score": unit.reduce(score, valid, cut, room), "odd": odd}
    if not names:
        return found

    def reduced(y: Array, by: Any) -> Array:
        flat = y.reshape(*y.shape[:3], -1)
        each = jax.vmap(lambda v: unit.reduce(v, valid, cut, room, by), -1, -1)(flat)
        return each.reshape(*each.shape[:3], *y.shape[3:])

    number = jnp.asarray(unit.cut((x.shape[1], x.shape[2])))[None] if cut is None else cut
    inside = number[:, 1:] == number[:, :-1], number[:, :, 1:] == number[:, :, :-1]
    on = valid[:, 1:] * valid[:, :-1], valid[:, :, 1:] * valid[:, :, :-1]
    batch = ScoredBatch(
        model, x, size, score, *more,
        neighbours=(jnp.where(inside[0], on[0], 0.0), jnp.where(inside[1], on[1], 0.0)),
        mean=lambda y: reduced(y, "mean"), total=lambda y: reduced(y, "sum"),
    )  # fmt: skip
    return found | {name: DESCRIPTORS[name](batch) for name in names}
