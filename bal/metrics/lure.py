"""Risk and IoU of a model on the pool from labels that were bought on purpose: weights that undo the choice.

A plain mean over purchased regions is biased twice. The purchase looks for what is hard, so the mean is too high; and
once a model has been trained on the labels, it is too low. The weights here repair the first and nothing else; the
second is avoided by judging a purchase with the model that asked for it, before any training on its answers.

The population is what was still unlabelled when the purchase was made, N regions. Its M regions were picked one after
the other; the m-th, i_m, was drawn with the probability q_m = q(i_m | those before), positive for every region left.
With the loss ℓ of each,

    v_m = 1 + (N − M)/(N − m) · ( 1/((N − m + 1) q_m) − 1 )
    R_LURE = 1/M Σ_m v_m ℓ(i_m),     E[R_LURE] = 1/N Σ_i ℓ(i)

A uniform draw has q_m = 1/(N − m + 1) and every v_m is 1. A deterministic selector has no such probabilities. What it
picked is known and stands for itself alone; regions drawn *after* it stand for all that was left then. So with j the
last pick without a probability (0 if there is none),

    R = 1/N ( Σ_{m ≤ j} ℓ(i_m) + (N − j) R_LURE(i_{j+1}, …, i_M) )

which is unbiased as well. It is undefined when nothing was drawn after the deterministic picks, and withheld when fewer
than 4 regions were: unbiased it would be, and as good as a guess.

References:
    Farquhar, Gal & Rainforth (2021), "On Statistical Bias In Active Learning: How and When To Fix It",
    arXiv:2101.11665, equation for R_LURE. The part that is known: Cochran (1977), "Sampling Techniques", chapter 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bal.types import BadInput, jaccard

LEAST = 4  # draws that may stand for a pool


def lure_weights(q: np.ndarray, pool_size: int) -> np.ndarray:
    """The weights v_m of R_LURE; their mean over m times the loss is an unbiased estimate.

    Args:
        q: [M] probability of each pick given those before it, in (0, 1], in the order of picking.
        pool_size: N ≥ M, the regions that could have been picked first.

    Returns:
        [M] float64; all 1 for uniform draws, and when the whole pool was picked.

    Raises:
        BadInput: more picks than regions, or a q outside (0, 1].
    """
    q, picks = np.asarray(q, np.float64), len(q)
    if picks > pool_size:
        raise BadInput(f"{picks} picks from a pool of {pool_size}")
    if not ((q > 0) & (q <= 1)).all():
        raise BadInput("a probability of a pick is not in (0, 1]")
    left = pool_size - np.arange(picks)  # N − m + 1
    rest = np.where(left > 1, (pool_size - picks) / np.maximum(left - 1, 1), 0.0)  # (N − M)/(N − m); 0 if N = M
    return 1 + rest * (1 / (left * q) - 1)


def population_weights(q: np.ndarray, pool_size: int) -> np.ndarray:
    """How many regions of the population each pick stands for: Σ_m w_m x(i_m) estimates Σ_i x(i).

    Args:
        q: [M] as in `lure_weights`, NaN where a pick was not drawn with a known probability.
        pool_size: N.

    Returns:
        [M] float64: 1 up to the last NaN, (N − j) v_m / (M − j) after it; all NaN where fewer than LEAST regions were
        drawn, unless nothing is left to stand for.
    """
    q = np.asarray(q, np.float64)
    unknown = np.flatnonzero(np.isnan(q))
    known = int(unknown[-1]) + 1 if unknown.size else 0  # j
    drawn = len(q) - known
    if drawn < min(LEAST, pool_size - known) or not len(q):
        return np.full(len(q), np.nan)
    weights = np.ones(len(q))
    if drawn:
        weights[known:] = (pool_size - known) / drawn * lure_weights(q[known:], pool_size - known)
    return weights


def estimates(
    nll: Sequence[float], confusion: Sequence[np.ndarray], weight: np.ndarray, classes: Sequence[str], name: str
) -> dict[str, float]:
    """Risk and IoU of a population from some of its regions.

    Both are ratios of weighted sums, risk by pixels and intersection by union: sums are unbiased, and so is the risk
    where all regions have as many labelled pixels; a ratio of two estimates is only consistent.

    Args:
        nll: [K] sum over a region's labelled pixels of −log p of the true class, nats.
        confusion: [K, C, C] its labelled pixels by true class, then predicted class.
        weight: [K] what each region stands for; NaN where nothing can be said.
        classes: C names.
        name: of the estimate.

    Returns:
        `risk_<name>`, nats a pixel, and `iou_<name>_<class>`; NaN where undefined or withheld.
    """
    counts = np.reshape(np.asarray(confusion, np.float64), (len(weight), len(classes), len(classes)))
    table = np.tensordot(weight, counts, 1)  # [C, C]
    pixels = float(table.sum())
    risk = float(np.dot(weight, nll)) / pixels if pixels > 0 else float("nan")
    return {f"risk_{name}": risk} | {f"iou_{name}_{c}": float(r) for c, r in zip(classes, jaccard(table), strict=True)}
