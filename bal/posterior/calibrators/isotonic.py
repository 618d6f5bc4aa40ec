"""Isotonic regression, one class against the rest: any map that never turns more confidence into less."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.posterior.calibrators._descent import check, normalise
from bal.types import Array, BadInput

KNOTS = 49  # of the fixed grid on which the fitted map is kept, whatever the data: a knot every half nat
END = 12.0  # log-odds of the outermost knots; beyond them the map has slope 1
TINY = 1e-38


class IsotonicState(NamedTuple):
    """The fitted maps."""

    shift: Array  # [C, KNOTS] float32, log-odds after minus before at every knot


@dataclass(frozen=True)
class Isotonic:
    """`q_c = g_c(p_c)`, g_c non-decreasing, then `log p = log(q_c / Σ_j q_j)`.

    `g_c = argmin Σ_i w_i (g(p_ic) − [y_i = c])² + m n₀ / K Σ_k (g(π_k) − π_k)²`  over non-decreasing g

    The second sum is the prior: `n₀` observations of m pixels, spread over the K knots π_k, which say that nothing
    need change. Plain isotonic regression answers 0 and 1 at its ends, which costs infinitely many nats on the first
    pixel that disagrees. Steps of g are kept at fixed knots in log-odds and interpolated, and `reach` bounds what they
    can do. The order of the classes can change. Fitted on the host by scikit-learn; applied as any other.

    Reference:
        Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates", KDD.

    Raises:
        BadInput: scikit-learn is not installed.
    """

    on: Literal["pooled", "members"] = "pooled"
    """Calibrate the mean of the posterior samples (pooled) or every sample before the mean (members)."""
    reach: float = 4.0
    """Largest change of the log-odds, in nats."""
    prior_observations: float = 4.0
    """n₀, observations that say nothing need change."""
    pixels_per_observation: float = 256.0
    """m, how many labelled pixels are worth one independent observation."""

    def __post_init__(self) -> None:
        check(self, "isotonic", "reach", "prior_observations")
        if find_spec("sklearn") is None:
            raise BadInput("the calibrator isotonic needs scikit-learn: pip install 'bal[isotonic]'")

    def init(self, classes: int) -> IsotonicState:
        """No shift, which changes nothing."""
        return IsotonicState(jnp.zeros((classes, KNOTS), jnp.float32))

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> IsotonicState:
        """[P, C], [P], [P] → the best maps; labels outside 0 … C−1 count for nothing. Not for `jax.jit`.

        [P, S, C], of S members, is fitted as S predictions that share a pixel's weight, not to their mean.
        """
        truth = np.asarray(label)
        share = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
        if logits.ndim == 3:
            truth, share = (np.repeat(a, logits.shape[1]) for a in (truth, share / logits.shape[1]))
            logits = logits.reshape(-1, logits.shape[-1])
        classes = logits.shape[-1]
        valid = (truth >= 0) & (truth < classes) & (share > 0)
        if not valid.any():
            return self.init(classes)
        odds = np.asarray(_log_odds(normalise(jnp.asarray(logits))), np.float64)[valid]  # [P, C]
        each = [self._fit_class(odds[:, c], truth[valid] == c, share[valid]) for c in range(classes)]
        return IsotonicState(jnp.asarray(np.stack(each), jnp.float32))

    def _fit_class(self, odds: np.ndarray, event: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """[P], [P], [P] → [KNOTS]."""
        from sklearn.isotonic import IsotonicRegression

        knots = np.linspace(-END, END, KNOTS)
        before = 1 / (1 + np.exp(-knots))
        prior = np.full(KNOTS, self.pixels_per_observation * self.prior_observations / KNOTS)
        fitted: Any = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
            np.concatenate([np.clip(odds, -END, END), knots]),
            np.concatenate([event.astype(np.float64), before]),
            sample_weight=np.concatenate([weight, prior]),
        )
        after = np.clip(fitted.predict(knots), 1e-12, 1 - 1e-12)
        return np.clip(np.log(after) - np.log1p(-after) - knots, -self.reach, self.reach)

    def log_probs(self, state: IsotonicState, logits: Array) -> Array:
        """[..., C] → normalised log-probabilities, [..., C]."""
        z = normalise(logits)
        odds = _log_odds(z)
        place = (jnp.clip(odds, -END, END) + END) * ((KNOTS - 1) / (2 * END))  # [..., C] in knots
        left = jnp.clip(place.astype(jnp.int32), 0, KNOTS - 2)
        row = jnp.arange(z.shape[-1]).reshape((1,) * (z.ndim - 1) + (-1,))
        low, high = state.shift[row, left], state.shift[row, left + 1]
        after = odds + low + (high - low) * (place - left)  # [..., C]
        return jax.nn.log_softmax(jax.nn.log_sigmoid(after))

    def summary(self, state: IsotonicState) -> Mapping[str, float]:
        """No temperature stands for this map: 1 where it changes nothing, else NaN; and the `largest_shift`."""
        shift = float(jnp.abs(state.shift).max())
        return {"temperature": 1.0 if shift == 0 else math.nan, "largest_shift": shift}


def _log_odds(z: Array) -> Array:
    """[..., C] log-probabilities → log p_c / (1 − p_c), with 1 − p_c summed from the others, without cancellation."""
    classes = z.shape[-1]
    rest = jnp.einsum("...j,jc->...c", jnp.exp(z), 1.0 - jnp.eye(classes), precision="highest")
    return z - jnp.log(jnp.maximum(rest, TINY))
