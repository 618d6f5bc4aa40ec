"""Runs compared in pairs: areas under learning curves, costs to reach a level, and what may be said of them.

Two runs of one seed see the same images and begin with the same labels; their difference is one observation. A claim
rests on the exact signed-rank test of those differences, corrected for all comparisons that were made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import PermutationMethod, rankdata, wilcoxon

from bal.types import BadInput

DRAWS = 10_000  # of the bootstrap
ALPHA = 0.05
DIGITS = 12  # after the point, to which a difference counts: rounding errors make and break no ties
MANY = 13  # pairs with ties up to which every choice of signs is tried; above, 2¹³ − 1 of them are drawn


class Reach(NamedTuple):
    """What a level cost."""

    cost: float  # at the first crossing; where there is none, the last cost of the curve
    reached: bool  # False: the level costs more than `cost`, and nobody knows how much


class Paired(NamedTuple):
    """n paired differences, first minus second."""

    pairs: int  # n, pairs in which both are known
    mean: float
    low: float  # of a 95 % bootstrap interval of the mean; NaN for fewer than two pairs
    high: float
    rank_sum: float  # W⁺ − W⁻: positive where the first tends to be larger
    p: float  # exact, two-sided; 1 where all differences are zero, NaN where there are none
    least: float  # the smallest p that so many differences, zeros left out, can give


Verdict = Literal["better", "worse", "not shown"]


def common_range(costs: Sequence[np.ndarray]) -> tuple[float, float]:
    """The costs that every curve covers.

    Raises:
        BadInput: there are none.
    """
    low, high = max(float(np.min(c)) for c in costs), min(float(np.max(c)) for c in costs)
    if not low < high:
        raise BadInput(f"the curves have no range of costs in common: the last begins at {low:g}, one ends at {high:g}")
    return low, high


def area(cost: np.ndarray, value: np.ndarray, low: float, high: float) -> float:
    """The mean height of a learning curve on [low, high].

        A = 1/(high − low) ∫ v(c) dc        v linear between its points: the trapezoid rule

    Args:
        cost: [R] ascending.
        value: [R].
        low, high: within the costs of the curve.

    Returns:
        A, in the unit of `value`; NaN if a value that it needs is.

    Raises:
        BadInput: the costs do not ascend, or do not cover [low, high].
    """
    cost, value = _curve(cost, value)
    if not cost[0] <= low < high <= cost[-1]:
        raise BadInput(f"expected a range within {cost[0]:g} to {cost[-1]:g}, got {low:g} to {high:g}")
    x = np.unique(np.concatenate([[low], cost[(cost > low) & (cost < high)], [high]]))
    return float(np.trapezoid(np.interp(x, cost, value), x) / (high - low))


def cost_to_reach(cost: np.ndarray, value: np.ndarray, level: float) -> Reach:
    """The cost at which a learning curve first reaches a level, linear between its points.

    A curve that begins at or above the level has reached it for its first cost at most. One that never does is
    censored: its `cost` is all that was spent, which is what restricted means are made of (Royston & Parmar 2013,
    "Restricted mean survival time"): the cost that was needed, or all of it.

    Args:
        cost: [R] ascending.
        value: [R]; a point that is NaN is left out.
        level: to reach.

    Raises:
        BadInput: the costs do not ascend.
    """
    cost, value = _curve(cost, value)
    known = np.isfinite(value)
    x, y = cost[known], value[known]
    above = np.flatnonzero(y >= level)
    if not above.size:
        return Reach(float(cost[-1]), False)
    k = above[0]
    if k == 0:
        return Reach(float(x[0]), True)
    share = (level - y[k - 1]) / (y[k] - y[k - 1])
    return Reach(float(x[k - 1] + share * (x[k] - x[k - 1])), True)


def paired(first: Sequence[float], second: Sequence[float], draws: int = DRAWS, seed: int = 0) -> Paired:
    """Compares two runs of each seed.

    The interval is of the mean of n differences drawn with replacement, from its 2.5 % to its 97.5 % quantile. It is
    too short for few pairs: of normal differences it covers the mean 84 times in a hundred for 5 pairs, 91 for 10. So
    it is a picture, and the test is Wilcoxon's, exact: where nothing differs, a difference and its opposite are equally
    likely, and so are all 2ⁿ choices of signs of the ranks. Zeros are left out, and ties share their mean rank.

    Args:
        first, second: [n], a pair at each place; a pair with a NaN is left out.
        draws, seed: of the bootstrap.

    Reference:
        Wilcoxon (1945), "Individual Comparisons by Ranking Methods". Efron & Tibshirani (1993), "An Introduction to the
        Bootstrap", chapter 13.
    """
    both = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    d = np.round(both[np.isfinite(both)], DIGITS)
    mean = float(d.mean()) if d.size else math.nan
    low = high = math.nan
    if d.size > 1:
        picks = np.random.default_rng(seed).integers(d.size, size=(draws, d.size))
        low, high = (float(q) for q in np.quantile(d[picks].mean(1), (0.025, 0.975)))
    moved = d[d != 0]
    rank_sum = float((rankdata(abs(moved)) * np.sign(moved)).sum())
    return Paired(d.size, mean, low, high, rank_sum, signed_rank(d), least_p(moved.size))


def signed_rank(differences: np.ndarray) -> float:
    """Wilcoxon's two-sided p of [n] differences: exact, up to 13 of them for ties too (see `paired`)."""
    moved = differences[differences != 0]
    if not moved.size:
        return 1.0 if differences.size else math.nan
    how: Any = "exact"
    if len(np.unique(abs(moved))) < moved.size:
        tries: Any = np.inf if moved.size <= MANY else 2**MANY - 1  # Any: scipy takes inf, its annotations do not
        how = PermutationMethod(n_resamples=tries, rng=np.random.default_rng(0))
    result: Any = wilcoxon(moved, method=how)
    return float(result.pvalue)


def least_p(pairs: int) -> float:
    """The smallest two-sided p that so many pairs can give: 2^(1−n), 0.0625 for five."""
    return min(1.0, 2.0 ** (1 - pairs))


def pairs_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """The fewest pairs with which Holm's correction over so many comparisons can show anything at all."""
    n = 1
    while comparisons * least_p(n) >= alpha:
        n += 1
    return n


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p of each comparison, corrected so that any false claim among all of them is as rare as the level says.

        p̃_(k) = max_{j ≤ k} min(1, (m − j + 1) p_(j)),     p_(1) ≤ … ≤ p_(m)

    A NaN is no comparison: it stays, and is not counted in m.

    Reference:
        Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order = sorted((name for name in p if not math.isnan(p[name])), key=lambda name: p[name])
    corrected, highest = dict.fromkeys(p, math.nan), 0.0
    for k, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - k) * p[name]))
        corrected[name] = highest
    return corrected


def verdict(found: Paired, corrected: float, more_is_better: bool = True, alpha: float = ALPHA) -> Verdict:
    """What may be said of the first: a direction only if the corrected p is below `alpha`, and mean and ranks agree."""
    if not corrected < alpha or found.mean * found.rank_sum <= 0:
        return "not shown"
    return "better" if (found.rank_sum > 0) == more_is_better else "worse"


def _curve(cost: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises BadInput unless they are a curve."""
    x, y = np.asarray(cost, np.float64), np.asarray(value, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise BadInput(f"expected [R] costs and [R] values, R ≥ 1, got {x.shape} and {y.shape}")
    if not (np.diff(x) > 0).all():
        raise BadInput(f"expected costs that ascend, got {x.tolist()}")
    return x, y
