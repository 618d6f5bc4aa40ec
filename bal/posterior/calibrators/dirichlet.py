"""Dirichlet calibration: a linear map of log-probabilities, held near a diagonal one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.calibrators._descent import Map, check, most_probable, normalise, within
from bal.types import Array


class DirichletState(NamedTuple):
    """The fitted matrix and intercept."""

    matrix: Array  # [C, C] float32
    intercept: Array  # [C] float32, nats


@dataclass(frozen=True)
class Dirichlet:
    """`log p = log_softmax(W log p⁰ + b)`, with p⁰ the probabilities before: C² + C parameters.

    If within each class p⁰ followed a Dirichlet distribution this map would be exact. ODIR (off-diagonal and intercept
    regularisation) is the prior `w_cj ~ N(0, off_scale²)` for c ≠ j and `b_c ~ N(0, intercept_scale²)`; ours also has
    `log w_cc ~ N(0, prior_scale²)`, since without it separated labels send the diagonal to infinity. The fit is a
    maximum a posteriori in a fixed number of steps that never raise the objective.

    Reference:
        Kull et al. 2019, "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
        Dirichlet calibration", arXiv:1910.12656.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    reach: float = 3.0
    """Largest |log w_cc|, |w_cj| and |b_c|."""
    prior_scale: float = 1.0
    """Standard deviation of log w_cc around 0 before any label is seen."""
    off_scale: float = 0.3
    """Standard deviation of the entries off the diagonal."""
    intercept_scale: float = 1.0
    """Standard deviation of the intercepts, in nats."""
    pixels_per_observation: float = 256.0
    """How many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""

    def __post_init__(self) -> None:
        check(self, "dirichlet", "reach", "prior_scale", "off_scale", "intercept_scale")

    def init(self, classes: int) -> DirichletState:
        """The unit matrix and no intercept, which change nothing."""
        return DirichletState(jnp.eye(classes, dtype=jnp.float32), jnp.zeros(classes, jnp.float32))

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> DirichletState:
        """[P, C] or [P, S, C], [P], [P] → the most probable state; labels outside 0 … C−1 count for nothing."""
        classes = logits.shape[-1]
        off = jnp.where(jnp.eye(classes, dtype=bool), self.prior_scale, self.off_scale)  # [C, C]
        scale = jnp.concatenate([off.reshape(-1), jnp.full(classes, self.intercept_scale)]).astype(jnp.float32)
        u = most_probable(_map(self.reach), scale, logits, label, weight, self.pixels_per_observation)
        return DirichletState(*_unpack(u, classes, self.reach))

    def log_probs(self, state: DirichletState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]."""
        return jax.nn.log_softmax(_linear(state.matrix, state.intercept, normalise(logits)))

    def summary(self, state: DirichletState) -> Mapping[str, float]:
        """`temperature`, one over the geometric mean of the diagonal, and `off_diagonal`, the largest entry off it."""
        diagonal = jnp.diag(state.matrix)
        off = jnp.abs(state.matrix - jnp.diag(diagonal)).max()
        return {"temperature": float(jnp.exp(-jnp.log(diagonal).mean())), "off_diagonal": float(off)}


def _unpack(u: Array, classes: int, reach: float) -> tuple[Array, Array]:
    """[C² + C] → [C, C] and [C]."""
    bounded = within(u, reach)
    matrix, intercept = bounded[: classes**2].reshape(classes, classes), bounded[classes**2 :]
    return jnp.where(jnp.eye(classes, dtype=bool), jnp.exp(matrix), matrix), intercept


def _linear(matrix: Array, intercept: Array, z: Array) -> Array:
    """[C, C], [C], [..., C] → [..., C]; sums of products in full precision on every device."""
    mapped = jnp.einsum("cj,...j->...c", matrix, z, precision="highest")
    return mapped + intercept.reshape((1,) * (z.ndim - 1) + (-1,))


@cache
def _map(reach: float) -> Map:
    return lambda u, z: _linear(*_unpack(u, z.shape[-1], reach), z)
