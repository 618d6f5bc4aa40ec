"""Standard deviation over samples, averaged over classes."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from bal.types import Array, Moments


@dataclass(frozen=True)
class MeanStd:
    """Mean standard deviation of the samples' probabilities.

        1/C Σ_c √( E_θ[p_c²] − E_θ[p_c]² )

    A probability, in [0, 1/2].

    Reference:
        Kampffmeyer, Salberg & Jenssen (2016), "Semantic Segmentation of Small Objects and Modeling of Uncertainty
        in Urban Remote Sensing Images Using Deep Convolutional Neural Networks".
    """

    @property
    def needs(self) -> tuple[str, ...]:
        return ("mean_p", "mean_p2")

    def __call__(self, moments: Moments) -> Array:
        assert moments.mean_p2 is not None
        variance = jnp.maximum(moments.mean_p2 - moments.mean_p**2, 0.0)
        return jnp.sqrt(variance).mean(-1)
