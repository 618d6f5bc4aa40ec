"""What fitted calibrators share: a most probable parameter vector that cannot diverge, and checks of settings.

A map f_u from log-probabilities to better logits has n parameters u, all 0 where it changes nothing, and is fitted by

    u = argmin_u  (1/m) Σ_i w_i · −log softmax(f_u(z_i))_{y_i}  +  Σ_j u_j² / 2σ_j²

m is the number of labelled pixels that are worth one observation (`bal.posterior.calibrators.temperature` says why). Of
members that are calibrated each by themselves, the likelihood is that of their mean, mean_s softmax(f_u(z_is)), since
that is what is read in the end: members that are made honest one by one are under-confident together (Rahaman and
Thiery 2021, "Uncertainty quantification and deep ensembles", arXiv:2007.08792).

Nothing can diverge: the prior keeps u finite on any labels, `within` keeps what u stands for inside stated bounds, and
a step is taken only if the objective does not rise, so that the result is never worse than no calibration on the labels
given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from bal.types import Array, BadInput

STEPS = 40  # of Levenberg and Marquardt; ten are enough unless labels contradict the logits
CHUNK = 1024  # pixels whose Jacobian [P, C, n] is held at once
FLOOR = -104.0  # log of the smallest float32: what stands for the log of a probability that rounded to 0
LOWEST = -1e37  # stands for −∞, so that a pixel with nothing but −∞ is undecided and not NaN
Map = Callable[[Array, Array], Array]  # u [n], log-probabilities [..., C] → logits [..., C]


def normalise(logits: Array) -> Array:
    """[..., C] logits → log-probabilities, none below FLOOR: a constant added to all logits changes nothing."""
    return jnp.maximum(jax.nn.log_softmax(jnp.maximum(logits.astype(jnp.float32), LOWEST)), FLOOR)


def within(u: Array, bound: float) -> Array:
    """`b tanh(u / b)`: about u near 0, never beyond ± b, smooth."""
    return bound * jnp.tanh(u / bound)


def check(calibrator: Any, name: str, *positive: str) -> None:
    """Raises BadInput unless `on` and the fields named are what they must be."""
    if calibrator.on not in ("pooled", "members"):
        raise BadInput(f"{name}.on is {calibrator.on!r}; expected 'pooled' or 'members'")
    for field in (*positive, "pixels_per_observation"):
        value = getattr(calibrator, field)
        if not 0 < value < math.inf:
            raise BadInput(f"{name}.{field} is {value}; expected a positive number")


@partial(jax.jit, static_argnames="apply")
def most_probable(
    apply: Map, scale: Array, logits: Array, label: Array, weight: Array | None, pixels_per_observation: float
) -> Array:
    """The u of the equation above, by damped Gauss–Newton steps from u = 0.

    `(JᵀHJ + Σ⁻¹ + λD) δ = −g` with J = df/du, H = diag p − p pᵀ and D the diagonal of the rest of the matrix, which
    is positive definite whatever the labels; λ shrinks after a step that lowers the objective and grows after one
    that would not and is not taken. Compiled once a map and shape.

    Args:
        apply: f, the same function object every time, or it is compiled again.
        scale: [n] σ, the prior's standard deviations.
        logits: [P, C], or [P, S, C] of S members. label: [P] class ids; anything outside 0 … C−1 counts for nothing.
        weight: [P] zero or more, or None for 1 each.
        pixels_per_observation: m.

    Returns:
        u [n]; exactly 0 when no labelled pixel has a positive weight.

    References:
        Levenberg 1944; Marquardt 1963. Schraudolph 2002, "Fast curvature matrix-vector products for second-order
        gradient descent": the generalised Gauss–Newton matrix of a softmax.
    """
    z, label, weight = _chunks(logits, label, weight)
    apply = apply if logits.ndim == 2 else partial(_mean, apply)
    total = jnp.maximum(weight.sum() / pixels_per_observation, 1.0)
    weight = weight / (pixels_per_observation * total)  # the objective is divided by this: values near 1
    precision = 1.0 / (jnp.square(scale) * total)  # [n]

    def objective(u: Array) -> Array:
        def add(chunk: tuple[Array, Array, Array]) -> Array:
            z, label, weight = chunk
            logp = jax.nn.log_softmax(apply(u, z))  # [P, C]
            return -jnp.sum(weight * jnp.take_along_axis(logp, label[:, None], -1)[:, 0])

        return jax.lax.map(add, (z, label, weight)).sum() + 0.5 * jnp.sum(precision * u * u)

    def system(u: Array) -> tuple[Array, Array]:
        def add(sums: tuple[Array, Array], chunk: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
            z, label, weight = chunk
            p = jax.nn.softmax(apply(u, z))  # [P, C]
            jacobian = jax.jacfwd(apply)(u, z)  # [P, C, n]
            residual = (p - jax.nn.one_hot(label, p.shape[-1])) * weight[:, None]  # [P, C]
            centred = jacobian - jnp.einsum("pc,pcn->pn", p, jacobian)[:, None]  # [P, C, n]
            gradient = jnp.einsum("pc,pcn->n", residual, jacobian)
            half = jnp.sqrt(p * weight[:, None])[..., None] * centred  # [P, C, n]
            return (sums[0] + gradient, sums[1] + jnp.einsum("pcm,pcn->mn", half, half)), None

        n = u.shape[0]
        start = jnp.zeros(n), jnp.zeros((n, n))
        (gradient, curvature), _ = jax.lax.scan(add, start, (z, label, weight))
        return gradient + precision * u, curvature + jnp.diag(precision)

    def step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, value, damping = carry
        gradient, curvature = system(u)
        damped = curvature + damping * jnp.diag(jnp.diag(curvature))
        trial = u - jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(damped), gradient)
        new = objective(trial)
        good = new <= value  # False for NaN
        damping = jnp.clip(damping * jnp.where(good, 0.2, 5.0), 1e-6, 1e6)
        return jnp.where(good, trial, u), jnp.where(good, new, value), damping

    start = jnp.zeros_like(scale)
    u, _, _ = jax.lax.fori_loop(0, STEPS, step, (start, objective(start), jnp.float32(1e-3)))
    return jnp.where(weight.sum() > 0, u, start)


def _mean(apply: Map, u: Array, z: Array) -> Array:
    """[n], [P, S, C] → [P, C] log of the members' mean probabilities."""
    return jax.nn.logsumexp(jax.nn.log_softmax(apply(u, z)), 1) - math.log(z.shape[1])


def _chunks(logits: Array, label: Array, weight: Array | None) -> tuple[Array, Array, Array]:
    """[N, P, …] log-probabilities, [N, P] labels and [N, P] weights; 0 in place of what must not count."""
    pixels, classes = logits.shape[0], logits.shape[-1]
    given = jnp.ones(pixels, jnp.float32) if weight is None else jnp.asarray(weight, jnp.float32)
    valid = (label >= 0) & (label < classes) & (given > 0)  # [P]
    size = min(CHUNK, pixels)
    pad = -pixels % size
    z = jnp.where(valid.reshape(-1, *[1] * (logits.ndim - 1)), normalise(logits), 0.0)
    return (
        jnp.pad(z, ((0, pad), *[(0, 0)] * (logits.ndim - 1))).reshape(-1, size, *logits.shape[1:]),
        jnp.pad(jnp.where(valid, label, 0), (0, pad)).reshape(-1, size),
        jnp.pad(jnp.where(valid, given, 0.0), (0, pad)).reshape(-1, size),
    )
