"""Share of the samples that disagree with the most voted class."""

from __future__ import annotations

from dataclasses import dataclass

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class VariationRatio:
    """Variation ratio: the share of the samples whose most likely class is not the modal one.

        1 − max_c 1/S Σ_s 1[argmax p_s = c]

    In [0, 1 − 1/C].

    Reference:
        Freeman (1965), "Elementary Applied Statistics"; Gal, Islam & Ghahramani (2017), "Deep Bayesian Active
        Learning with Image Data".
    """

    needs = ("votes",)

    def __call__(self, moments: Moments) -> Array:
        assert moments.votes is not None
        return 1.0 - moments.votes.max(-1)
