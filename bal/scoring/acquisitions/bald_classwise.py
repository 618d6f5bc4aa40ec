"""Mutual information between "is it this class?" and the weights, for every class but the background."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from bal.posterior.moments import Moments
from bal.scoring.acquisitions._nats import plogp
from bal.types import Array


@dataclass(frozen=True)
class BALDClasswise:
    """Mutual information of each foreground class against all others, summed over those classes.

        Σ_{c ≥ 1} I[1{y = c}; θ | x],   I[1{y = c}; θ | x] = h(E_θ p_c) − E_θ h(p_c)
        h(p) = − p log p − (1 − p) log(1 − p)

    In nats; each term is non-negative (Jensen), at most ln 2 and at most BALD. With two classes it is BALD. Both halves
    of h are needed: the terms of BALD's own sum, E_θ[p_c log p_c] − E_θ[p_c] log E_θ[p_c], are no information about
    anything, and half of it where two samples say 0.1 and 0.9. Nor is p_c I[y; θ | x], which credits a class with what
    the samples dispute about two others. Of C − 1 foreground classes that exclude each other one fact may be counted
    more than once, so the sum can exceed BALD.

    Reference:
        Houlsby et al. (2011), "Bayesian Active Learning for Classification and Preference Learning", for the binary
        information. Its sum over one-against-rest questions is this project's own.
    """

    needs = ("mean_p", "mean_plogp", "mean_qlogq")

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score, in nats, 0 for the background; the sum over classes is exact."""
        assert moments.mean_plogp is not None
        assert moments.mean_qlogq is not None
        p = moments.mean_p
        told = moments.mean_plogp + moments.mean_qlogq - plogp(p) - plogp(jnp.maximum(1.0 - p, 0.0))
        return jnp.maximum(told, 0.0).at[..., 0].set(0.0)
