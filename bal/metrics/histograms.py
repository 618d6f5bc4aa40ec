"""What needs the order of pixels, read from counts that add up: AUROC, AURC, and ECE in bins of equal mass.

The pixels of a streamed test set are never all there to be sorted, so each is counted in a fine bin, the same one in
every image, and pixels of one bin count as tied.

- A *score* s ≥ 0 is binned by its fourth root, 1024 equal bins up to 16 nats. Easy pixels differ near 0 by orders of
  magnitude and hard ones near ln C by hundredths; a bin is 10 % wide at 10⁻⁴ nats and 1 % at 0.7.
- A *probability* is binned in 1024 equal bins, each with its sums of p and of events, so that only the edges between
  the bins of equal mass are rounded.

The difference to `detection.auroc`, `detection.aurc` and `equal_mass_ece` of the pixels themselves is below 10⁻³ for
entropies, margins, mutual informations and probabilities like those of a network (tested). A score that spreads over
a few per cent of its size is resolved worse, and one that is negative anywhere has no AUROC here and no AURC.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from scipy.special import digamma

from bal.types import Array

SCORE_BINS = 1024  # L, bins of a score
TOP = 16.0  # the score at which they end; higher ones are in the last
MASS_BINS = 1024  # M, bins of a probability
PARTS = 15  # K, bins of equal mass


def score_bin(score: Array) -> Array:
    """The bin of every score, which never falls as it rises: [...] → [...] int32, L for what is negative or NaN."""
    root = jnp.sqrt(jnp.sqrt(jnp.maximum(score, 0.0) / TOP))
    return jnp.where(score >= 0, jnp.clip(SCORE_BINS * root, 0, SCORE_BINS - 1).astype(jnp.int32), SCORE_BINS)


def auroc(count: np.ndarray) -> np.ndarray:
    """`detection.auroc` of a binned score.

    Args:
        count: [..., 2, L] pixels that are no errors, and errors, by bin; lowest score first.

    Returns:
        [...] 0 … 1, 0.5 = chance; NaN when there is no error or nothing else.
    """
    right, wrong = _halves(count)
    lower = np.cumsum(right, -1) - right
    pairs = right.sum(-1) * wrong.sum(-1)
    return ratio(np.sum(wrong * (lower + right / 2), -1), pairs)


def aurc(count: np.ndarray) -> np.ndarray:
    """`detection.aurc` of a binned score, the errors of a bin spread evenly over its ranks.

    A bin of m pixels with e errors, after n pixels with E errors, adds
    `Σ_{k = n+1 … n+m} (E + (k − n) e/m) / k = e + (E − n e/m) (H(n+m) − H(n))`, H the harmonic numbers.

    Args:
        count: [..., 2, L] pixels that are no errors, and errors, by bin; lowest score first.

    Returns:
        [...] 0 … 1, lower is better; NaN without pixels.
    """
    right, wrong = _halves(count)
    both = right + wrong
    seen, found = np.cumsum(both, -1), np.cumsum(wrong, -1)
    before = seen - both
    slope = wrong / np.maximum(both, 1)
    area = wrong + (found - wrong - before * slope) * (digamma(seen + 1) - digamma(before + 1))
    return ratio(area.sum(-1), seen[..., -1])


def mass_ece(count: np.ndarray, p_sum: np.ndarray, events: np.ndarray, parts: int = PARTS) -> np.ndarray:
    """ECE in bins of equally many pixels, cut from finer bins: `Σ_k |Σ_{bin k} p − Σ_{bin k} e| / N`.

    Bins of equal width leave most bins nearly empty where most p are near 0; these resolve where the pixels are. A fine
    bin at an edge is shared out, its p and its events evenly, since its pixels are in no order.

    Args:
        count, p_sum, events: [..., M] pixels, sum of p and number of events of each fine bin, lowest p first.
        parts: K.

    Returns:
        [...]; NaN without pixels.

    Reference:
        Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis for natural language processing
        models", arXiv:1508.05154.
    """
    *lead, fine = count.shape
    seen, gap = (
        np.pad(np.cumsum(x.reshape(-1, fine), -1), ((0, 0), (1, 0))) for x in (count, np.asarray(p_sum - events))
    )  # [..., M + 1] each
    edges = np.arange(parts + 1) / parts
    at = np.array([np.interp(edges * s[-1], s, g) for s, g in zip(seen, gap, strict=True)])  # [..., K + 1]
    return ratio(np.abs(np.diff(at)).sum(-1), seen[:, -1]).reshape(lead)


def equal_mass_ece(p: np.ndarray, event: np.ndarray, parts: int = PARTS) -> float:
    """`mass_ece` of the pixels themselves, [P] each."""
    if not len(p):
        return float("nan")
    distinct, at, count = np.unique(p, return_inverse=True, return_counts=True)
    return float(mass_ece(count, count * distinct.astype(np.float64), np.bincount(at, event), parts))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise division in float64, NaN where the denominator is 0."""
    below = np.asarray(denominator, np.float64)
    return np.asarray(numerator, np.float64) / np.where(below > 0, below, np.nan)


def _halves(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[..., 2, L] → [..., L] twice."""
    wide = np.asarray(count, np.float64)
    return wide[..., 0, :], wide[..., 1, :]
