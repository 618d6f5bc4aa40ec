"""How many classes a conformal prediction set holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np

from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.scoring.acquisitions._nats import plogp
from bal.sources.base import Source
from bal.types import Array, BadInput, Key, RegionPrediction

TIE = 0.01  # what the entropy may add: less than one class, and little in the mean of a region


@dataclass(frozen=True)
class ConformalSetSize:
    """Classes that the audited labels do not rule out, besides one.

        q_c = the ⌈(n_c + 1)(1 − α)⌉-th smallest of 1 − p_c over the n_c audited pixels of class c
        Γ(x) = { c : 1 − p_c ≤ q_c }
        score = max(|Γ(x)|, 1) − 1 + H[p] / (100 log C)

    In classes, from 0 to C − 1. Sizes tie often, so a hundredth of the entropy, as a share of the largest there is,
    orders pixels with sets of one size and never turns the order of two sizes. Where the thresholds are tight a pixel
    torn between classes conforms to none of them; its set is completed by the most likely class, which covers no less,
    so the score then falls back to the entropy. With fewer than 1/α − 1 pixels of a class nothing can be ruled out and
    q_c = 1: without any audit every set holds every class, and again the entropy decides.

    What is guaranteed: were the audited pixels of a class and a new pixel of it exchangeable, and the model fitted
    without them, then P(y ∈ Γ(x) | y = c) ≥ 1 − α (for `coverage="marginal"`, P(y ∈ Γ(x)) ≥ 1 − α). What is not: whole
    regions are drawn, and the pixels of one resemble each other, so n pixels are worth far fewer, and coverage varies
    more between audits than n suggests; the calibrator is fitted on the same labels; and nothing is promised for one
    image, one region, or the pixels that a score picks out. A region has no one prediction set, so it cannot itself be
    the unit here; one pixel a region would be valid (Dunn, Wasserman & Ramdas 2022), and leave a dozen of them. As a
    score the sets need no guarantee.

    Reference:
        Vovk, Gammerman & Shafer (2005), "Algorithmic Learning in a Random World" (one threshold a class: Mondrian);
        Sadinle, Lei & Wasserman (2019), "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels";
        Angelopoulos & Bates (2021), "A Gentle Introduction to Conformal Prediction", arXiv:2107.07511.
    """

    alpha: float = 0.1
    """α, the share of pixels whose class the set may miss."""
    coverage: Literal["class", "marginal"] = "class"
    """A threshold for each class, from the pixels of that class (class), or one for all from all pixels (marginal),
    which the background decides."""
    needs = ("predictive",)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise BadInput(f"conformal_set_size.alpha is {self.alpha}; expected 0 < α < 1")
        if self.coverage not in ("class", "marginal"):
            raise BadInput(f"conformal_set_size.coverage is {self.coverage!r}; expected 'class' or 'marginal'")

    def __call__(self, moments: Moments, state: Array) -> Array:
        p = moments.predictive
        size = (1.0 - p <= state.reshape((1,) * (p.ndim - 1) + (-1,))).sum(-1)
        entropy = -plogp(p).sum(-1) / math.log(p.shape[-1])
        return jnp.maximum(size - 1, 0).astype(jnp.float32) + TIE * entropy

    def learn(
        self, key: Key, model: Model, source: Source, ids: Sequence[str], seen: Sequence[RegionPrediction]
    ) -> Array:
        """[C]: the thresholds q_c, 1 where a class cannot be ruled out.

        Args:
            key, model, ids: not looked at.
            source: whose classes they are.
            seen: label [P] and predictive [P, C] of each audited region; may be empty.
        """
        classes = len(source.classes)
        label = np.concatenate([np.zeros(0, np.int32), *(s.label for s in seen)])
        p = np.concatenate([np.zeros((0, classes), np.float32), *(s.predictive for s in seen)])
        strange = np.float32(1) - p[np.arange(len(label)), label]  # [P]
        if self.coverage == "marginal":
            return jnp.full(classes, self.threshold(strange), jnp.float32)
        return jnp.array([self.threshold(strange[label == c]) for c in range(classes)], jnp.float32)

    def threshold(self, strange: np.ndarray) -> float:
        """The ⌈(n + 1)(1 − α)⌉-th smallest of n numbers from 0 to 1; 1 where n is smaller than that."""
        rank = math.ceil((len(strange) + 1) * (1 - self.alpha))
        return float(np.partition(strange, rank - 1)[rank - 1]) if rank <= len(strange) else 1.0
