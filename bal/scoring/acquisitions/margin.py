"""One minus the gap between the two most likely classes."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class Margin:
    """Smallest margin of the calibrated predictive distribution, turned so that higher means query.

        1 − (p_(1) − p_(2))

    In [0, 1].

    Reference:
        Scheffer, Decomain & Wrobel (2001), "Active Hidden Markov Models for Information Extraction".
    """

    needs = ("predictive",)

    def __call__(self, moments: Moments) -> Array:
        best = jax.lax.top_k(moments.predictive, 2)[0]  # [..., 2]
        return 1.0 - (best[..., 0] - best[..., 1])
