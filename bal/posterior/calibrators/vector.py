"""Vector scaling: every class has its own scale and its own offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.calibrators._descent import Map, check, most_probable, normalise, within
from bal.types import Array


class VectorState(NamedTuple):
    """The fitted scales and offsets."""

    log_scale: Array  # [C] float32
    offset: Array  # [C] float32, nats


@dataclass(frozen=True)
class Vector:
    """`log p = log_softmax(a ⊙ z + b)`, with z the log-probabilities before: 2 C parameters.

    Fitted by maximum a posteriori with `log a_c ~ N(0, prior_scale²)` and `b_c ~ N(0, offset_scale²)`. The offsets can
    repair a class that is predicted too often or too rarely, as after training with class weights, which no
    temperature can; predicted classes can change with them.

    Reference:
        Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2. There a scales raw
        logits; log-probabilities make the result the same for logits that differ by a constant.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    reach: float = 3.0
    """Largest |log a| and, in nats, the largest |b|."""
    prior_scale: float = 1.0
    """Standard deviation of log a around 0 before any label is seen."""
    offset_scale: float = 1.0
    """Standard deviation of b around 0 before any label is seen, in nats."""
    pixels_per_observation: float = 256.0
    """How many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""

    def __post_init__(self) -> None:
        check(self, "vector", "reach", "prior_scale", "offset_scale")

    def init(self, classes: int) -> VectorState:
        """Scales of 1 and offsets of 0, which change nothing."""
        return VectorState(jnp.zeros(classes, jnp.float32), jnp.zeros(classes, jnp.float32))

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> VectorState:
        """[P, C] or [P, S, C], [P], [P] → the most probable state; labels outside 0 … C−1 count for nothing."""
        classes = logits.shape[-1]
        scale = jnp.repeat(jnp.array([self.prior_scale, self.offset_scale], jnp.float32), classes)
        u = most_probable(_map(self.reach), scale, logits, label, weight, self.pixels_per_observation)
        return VectorState(*_halves(u, self.reach))

    def log_probs(self, state: VectorState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]."""
        return jax.nn.log_softmax(_affine(state.log_scale, state.offset, normalise(logits)))

    def summary(self, state: VectorState) -> Mapping[str, float]:
        """`temperature`, one over the geometric mean of the scales, then `scale_k` and `offset_k` of each class."""
        scales = {f"scale_{k}": float(jnp.exp(a)) for k, a in enumerate(state.log_scale)}
        offsets = {f"offset_{k}": float(b) for k, b in enumerate(state.offset)}
        return {"temperature": float(jnp.exp(-state.log_scale.mean())), **scales, **offsets}


def _halves(u: Array, reach: float) -> tuple[Array, Array]:
    """[2 C] → log scales [C] and offsets [C]."""
    log_scale, offset = jnp.split(within(u, reach), 2)
    return log_scale, offset


def _affine(log_scale: Array, offset: Array, z: Array) -> Array:
    """[C], [C], [..., C] → [..., C]."""
    shape = (1,) * (z.ndim - 1) + (-1,)
    return jnp.exp(log_scale).reshape(shape) * z + offset.reshape(shape)


@cache
def _map(reach: float) -> Map:
    return lambda u, z: _affine(*_halves(u, reach), z)
