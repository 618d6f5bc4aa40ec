"""One minus the probability of the predicted class."""

from __future__ import annotations

from dataclasses import dataclass

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class LeastConfidence:
    """Least confidence of the calibrated predictive distribution.

        1 − max_c p_c

    A probability, in [0, 1 − 1/C].

    Reference:
        Lewis & Gale (1994), "A Sequential Algorithm for Training Text Classifiers".
    """

    needs = ("predictive",)

    def __call__(self, moments: Moments) -> Array:
        return 1.0 - moments.predictive.max(-1)
