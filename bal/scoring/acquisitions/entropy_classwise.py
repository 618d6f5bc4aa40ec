"""Predictive entropy where a class is likely, for every class but the background."""

from __future__ import annotations

from dataclasses import dataclass

from bal.posterior.moments import Moments
from bal.scoring.acquisitions._nats import plogp
from bal.types import Array


@dataclass(frozen=True)
class EntropyClasswise:
    """Predictive entropy times the probability of a foreground class, summed over those classes.

        Σ_{c ≥ 1} p_c H[y | x] = (1 − p_0) H[y | x]

    In nats. Doubt about where the background ends counts; doubt that hardly believes in a foreground does not. The
    term of one class is what a purchase for that class is ranked by; the background, class 0, has none.

    Reference:
        Lüth et al. (2026), "Finally Outshining the Random Baseline: A Simple and Effective Solution for Active Learning
        in 3D Biomedical Imaging", arXiv:2601.13677 (ClaSP PE), without its strata and its noise, which
        are a selector's.
    """

    needs = ("predictive",)

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score, in nats, 0 for the background; the sum over classes is exact."""
        p = moments.predictive
        return (p * -plogp(p).sum(-1, keepdims=True)).at[..., 0].set(0.0)
