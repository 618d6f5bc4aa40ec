"""A temperature for every pixel, from how undecided its prediction is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.calibrators._descent import Map, check, most_probable, normalise, within
from bal.types import Array


class LocalTemperatureState(NamedTuple):
    """The fitted map from entropy to log T."""

    sure: Array  # [] where the entropy is 0
    unsure: Array  # [] where it is log C
    bend: Array  # [] added half way


@dataclass(frozen=True)
class LocalTemperature:
    """`log p = log_softmax(z / T(h))`, h = entropy(softmax z) / log C in 0 … 1; the order of the classes stays.

    `log T(h) = r tanh((u₀ (1 − h) + u₁ h + u₂ 4 h (1 − h)) / r)`, r the `reach` and `u_j ~ N(0, prior_scale²)`

    Three numbers say how much to believe a pixel that looks sure, one that looks undecided, and what is in between,
    where edges and thin lines are. They are fitted by maximum a posteriori. Nothing else of the pixel is seen.

    References:
        Ding et al. 2021, "Local temperature scaling for probability calibration", arXiv:2008.05105, for segmentation.
        There a convolutional network predicts T from the image and the logits around a pixel, thousands of weights
        fitted to whole labelled images; a dozen audited tiles cannot carry that, so here T is a smooth function of the
        pixel's own prediction, as in Tomani et al. 2022, "Parameterized temperature scaling", arXiv:2102.12182. It
        cannot learn that one corner of an image is worse than another.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    reach: float = 3.0
    """Largest |log T|: 3 keeps every T between 0.05 and 20."""
    prior_scale: float = 1.0
    """Standard deviation of each of the three numbers around 0 before any label is seen."""
    pixels_per_observation: float = 256.0
    """How many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""

    def __post_init__(self) -> None:
        check(self, "local_temperature", "reach", "prior_scale")

    def init(self, classes: int) -> LocalTemperatureState:
        """T = 1 everywhere, which changes nothing."""
        zero = jnp.zeros((), jnp.float32)
        return LocalTemperatureState(zero, zero, zero)

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> LocalTemperatureState:
        """[P, C] or [P, S, C], [P], [P] → the most probable state; labels outside 0 … C−1 count for nothing."""
        scale = jnp.full(3, self.prior_scale, jnp.float32)
        u = most_probable(_map(self.reach), scale, logits, label, weight, self.pixels_per_observation)
        return LocalTemperatureState(*u)

    def log_probs(self, state: LocalTemperatureState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]."""
        return jax.nn.log_softmax(_map(self.reach)(jnp.stack(state), normalise(logits)))

    def summary(self, state: LocalTemperatureState) -> Mapping[str, float]:
        """T at half the largest entropy as `temperature`, at none and at all of it as `…_sure` and `…_unsure`."""
        at = {"temperature": 0.5, "temperature_sure": 0.0, "temperature_unsure": 1.0}
        u = jnp.stack(state)
        return {name: float(jnp.exp(_log_temperature(u, jnp.float32(h), self.reach))) for name, h in at.items()}


def _log_temperature(u: Array, h: Array, reach: float) -> Array:
    """[3], [...] → [...]."""
    return within(u[0] * (1 - h) + u[1] * h + u[2] * 4 * h * (1 - h), reach)


@cache
def _map(reach: float) -> Map:
    def apply(u: Array, z: Array) -> Array:
        h = -jnp.sum(jnp.exp(z) * z, -1) / math.log(max(z.shape[-1], 2))  # [...]
        return z * jnp.exp(-_log_temperature(u, jnp.clip(h, 0.0, 1.0), reach))[..., None]

    return apply
