"""Expected entropy of the samples: the aleatoric part."""

from __future__ import annotations

from dataclasses import dataclass

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class ExpectedEntropy:
    """Expected entropy over the posterior: the noise that no further label removes.

        E_θ H[y | x, θ] = − Σ_c E_θ[p_c log p_c]

    In nats. Predictive entropy of the samples' mean is this plus BALD.

    Reference:
        Kendall & Gal (2017), "What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?"
    """

    needs = ("mean_plogp",)

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score, in nats; the sum over classes is exact."""
        assert moments.mean_plogp is not None
        return -moments.mean_plogp
