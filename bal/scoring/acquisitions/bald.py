"""Mutual information between the label of a pixel and the weights of the network."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from bal.posterior.moments import Moments
from bal.scoring.acquisitions._nats import plogp
from bal.types import Array


@dataclass(frozen=True)
class BALD:
    """Mutual information: what the samples disagree about, not what they agree is noisy.

        I[y; θ | x] = H[E_θ p] − E_θ H[p] = Σ_c ( E_θ[p_c log p_c] − E_θ[p_c] log E_θ[p_c] )

    Every term of the sum is non-negative (Jensen), so class routing is exact. In nats.

    Reference:
        Houlsby et al. (2011), "Bayesian Active Learning for Classification and Preference Learning"; Gal, Islam &
        Ghahramani (2017), "Deep Bayesian Active Learning with Image Data".
    """

    needs = ("mean_p", "mean_plogp")

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score, in nats; the sum over classes is exact."""
        assert moments.mean_plogp is not None
        return jnp.maximum(moments.mean_plogp - plogp(moments.mean_p), 0.0)
