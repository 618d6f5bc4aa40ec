"""A temperature for every predicted class: paper may be believed more, or less, than ink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.calibrators._descent import Map, check, most_probable, normalise, within
from bal.types import Array


class ClassTemperatureState(NamedTuple):
    """The fitted temperatures."""

    log_temperature: Array  # [C] float32, by predicted class


@dataclass(frozen=True)
class ClassTemperature:
    """`log p = log_softmax(z / T_k)` with k = argmax_c z_c, the class predicted for the pixel; no order changes.

    One temperature is fitted mostly to background, which is most of the pixels. Here pixels predicted to be of class
    k have their own, fitted by maximum a posteriori with `log T_k ~ N(0, prior_scale²)`: the classes do not meet, so a
    class that nobody predicted keeps T = 1. Probabilities jump where the predicted class changes.

    Reference:
        Frenkel and Goldberger 2021, "Network calibration by class-based temperature scaling", EUSIPCO.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    reach: float = 3.0
    """Largest |log T|: 3 keeps every T between 0.05 and 20."""
    prior_scale: float = 1.0
    """Standard deviation of log T around 0 before any label is seen."""
    pixels_per_observation: float = 256.0
    """How many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""

    def __post_init__(self) -> None:
        check(self, "class_temperature", "reach", "prior_scale")

    def init(self, classes: int) -> ClassTemperatureState:
        """T = 1 for all, which changes nothing."""
        return ClassTemperatureState(jnp.zeros(classes, jnp.float32))

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> ClassTemperatureState:
        """[P, C] or [P, S, C], [P], [P] → the most probable temperatures; labels outside 0 … C−1 count for nothing."""
        scale = jnp.full(logits.shape[-1], self.prior_scale, jnp.float32)
        u = most_probable(_map(self.reach), scale, logits, label, weight, self.pixels_per_observation)
        return ClassTemperatureState(within(u, self.reach))

    def log_probs(self, state: ClassTemperatureState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]."""
        return jax.nn.log_softmax(_divide(state.log_temperature, normalise(logits)))

    def summary(self, state: ClassTemperatureState) -> Mapping[str, float]:
        """`temperature`, the geometric mean over the classes, and `temperature_k` of each."""
        each = {f"temperature_{k}": float(jnp.exp(t)) for k, t in enumerate(state.log_temperature)}
        return {"temperature": float(jnp.exp(state.log_temperature.mean())), **each}


def _divide(log_temperature: Array, z: Array) -> Array:
    """[C], [..., C] → [..., C]."""
    return z * jnp.exp(-log_temperature[jnp.argmax(z, -1)])[..., None]


@cache
def _map(reach: float) -> Map:
    return lambda u, z: _divide(within(u, reach), z)
