"""Predictive entropy on calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from bal.posterior.moments import Moments
from bal.scoring.acquisitions._nats import plogp
from bal.types import Array


@dataclass(frozen=True)
class Entropy:
    """Predictive entropy of the calibrated predictive distribution: all uncertainty, of either kind.

        H[y | x] = − Σ_c p_c log p_c

    In nats. With the calibrator `identity` this is the raw entropy of the pooled mean.

    Reference:
        Shannon (1948); Settles (2009), "Active Learning Literature Survey", section 3.1.
    """

    needs = ("predictive",)

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score, in nats; the sum over classes is exact."""
        return -plogp(moments.predictive)
