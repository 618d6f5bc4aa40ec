"""Standard deviation over samples, averaged over classes."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class MeanStd:
    """Mean standard deviation of the samples' probabilities.

        1/C Σ_c √( E_θ[p_c²] − E_θ[p_c]² )

    A probability, in [0, 1/2].

    Reference:
        Kampffmeyer, Salberg & Jenssen (2016), "Semantic Segmentation of Small Objects and Modeling of Uncertainty
        in Urban Remote Sensing Images Using Deep Convolutional Neural Networks".
    """

    needs = ("var_p",)

    def __call__(self, moments: Moments) -> Array:
        assert moments.var_p is not None
        return jnp.sqrt(moments.var_p).mean(-1)
