"""Temperature scaling: one number that makes every prediction softer or sharper and changes none of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.calibrators._descent import FLOOR, Map, check, most_probable
from bal.types import Array, BadInput

STEPS = 30  # halvings of the log T interval: 6 / 2³⁰ is below what float32 resolves


class TemperatureState(NamedTuple):
    """The fitted temperature."""

    temperature: Array  # [] float32


@dataclass(frozen=True)
class Temperature:
    """`log p = log_softmax(logits / T)`, T fitted by maximum a posteriori.

    `T = argmin_T  (1/m) Σ_i w_i · −log softmax(z_i / T)_{y_i}  +  (log T)² / 2σ²`

    with σ the `prior_scale` and m the `pixels_per_observation`. Neighbouring pixels are labelled by one
    stroke and predicted from one receptive field, so n pixels are worth fewer than n independent
    observations. Dividing the log-likelihood by m (a power likelihood) leaves the best-fitting T where it is
    and only lets fewer labels say less against the prior. 256 takes a
    tile of 16×16 for one observation. It was chosen on fits that no table shows (four seeds, three sources,
    several draws of 20 audited tiles from each): with 256 and with 1024 the mean negative log-likelihood and the mean
    foreground calibration error of test images fell on all three sources, with 256 the likelihood more; with 64
    both rose on dsb2018.

    Without the prior, T diverges on perfectly separated labels (towards 0) and on labels that contradict
    confident predictions (towards ∞); with it, and with bounds, neither can happen.

    References:
        Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599. Rahaman and Thiery
        2021, "Uncertainty quantification and deep ensembles", arXiv:2007.08792: averaging members that were
        calibrated one by one gives an under-confident mean.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    lowest: float = 0.05
    """Smallest temperature allowed, below 1."""
    highest: float = 20.0
    """Largest temperature allowed, above 1."""
    prior_scale: float = 1.0
    """Standard deviation of log T around 0 before any label is seen: 1 expects T in 0.14 … 7."""
    pixels_per_observation: float = 256.0
    """How many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""

    def __post_init__(self) -> None:
        check(self, "temperature", "prior_scale")
        if not 0 < self.lowest < 1 < self.highest < math.inf:
            raise BadInput(
                f"temperature.lowest is {self.lowest} and .highest {self.highest}; expected lowest < 1 < highest"
            )

    def init(self, classes: int) -> TemperatureState:
        """T = 1, which changes nothing."""
        return TemperatureState(jnp.ones((), jnp.float32))

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> TemperatureState:
        """The most probable temperature. Compiled once a shape; pad P with IGNORE to keep the shape.

        Args:
            logits: [P, C] logits, or log-probabilities of a pooled prediction; or [P, S, C] of S members, whose mean
                is then to be likely once each has been divided by T.
            label: [P] class ids. IGNORE, and anything else outside 0 … C−1, counts for nothing.
            weight: [P] zero or more, how many pixels each stands for (1 / the share kept); None for 1.

        Returns:
            T in [lowest, highest]; exactly 1 when no labelled pixel has a positive weight.
        """
        if weight is None:
            weight = jnp.ones(label.shape, jnp.float32)
        if logits.ndim == 3:  # the mean of members is not convex in 1/T
            low, high, scale = math.log(self.lowest), math.log(self.highest), jnp.full(1, self.prior_scale)
            (u,) = most_probable(_map(low, high), scale, logits, label, weight, self.pixels_per_observation)
            return TemperatureState(jnp.exp(jnp.clip(u, low, high)))
        strength = self.pixels_per_observation / self.prior_scale**2
        return TemperatureState(_most_probable(logits, label, weight, self.lowest, self.highest, strength))

    def log_probs(self, state: TemperatureState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]; the order of the classes never changes."""
        return jax.nn.log_softmax(logits / state.temperature)

    def summary(self, state: TemperatureState) -> Mapping[str, float]:
        """T; above 1 the network was over-confident."""
        return {"temperature": float(state.temperature)}


@cache
def _map(low: float, high: float) -> Map:
    return lambda u, z: z * jnp.exp(-jnp.clip(u[0], low, high))


@jax.jit
def _most_probable(logits: Array, label: Array, weight: Array, low: float, high: float, strength: float) -> Array:
    """Bisection on the derivative by u = log(1/T), `Σ_i w_i e^u (E_p[z_i] − z_{i,y_i}) + u · m/σ²`.

    The negative log-likelihood is convex in 1/T, so its derivative changes sign once, and the prior's changes
    sign at T = 1. Outside the interval between 1 and the maximum-likelihood T both have the same sign: every
    stationary point lies inside it, and bisection, which needs nothing but the sign, cannot leave it.
    Newton's method would take a fifth of the passes over the pixels but needs a safeguard wherever the
    curvature vanishes, as it does on separated labels. When the network is over-confident (T > 1) both
    derivatives increase in between and the point is unique.
    """
    classes = logits.shape[-1]
    valid = (label >= 0) & (label < classes) & (weight > 0)  # [P]
    weight = jnp.where(valid, weight, 0.0)  # [P]
    z = logits.astype(jnp.float32).T  # [C, P]
    z = z - jnp.maximum(z.max(0, keepdims=True), jnp.finfo(jnp.float32).min)  # finite where all are −∞
    z = jnp.where(valid[None], jnp.where(jnp.isneginf(z), FLOOR, z), 0.0)
    z_true = jnp.sum(jnp.where(label[None] == jnp.arange(classes)[:, None], z, 0.0), 0)  # [P]

    def slope(u: Array) -> Array:
        expected = jnp.sum(z * jax.nn.softmax(z * jnp.exp(u), axis=0), 0)  # [P]
        return jnp.exp(u) * jnp.sum(weight * (expected - z_true)) + strength * u

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = ends
        middle = 0.5 * (left + right)
        rising = slope(middle) > 0
        return jnp.where(rising, left, middle), jnp.where(rising, middle, right)

    ends = -jnp.log(jnp.asarray(high, jnp.float32)), -jnp.log(jnp.asarray(low, jnp.float32))
    left, right = jax.lax.fori_loop(0, STEPS, halve, ends)
    temperature = jnp.clip(jnp.exp(-0.5 * (left + right)), low, high)
    return jnp.where(jnp.any(valid), temperature, 1.0)
