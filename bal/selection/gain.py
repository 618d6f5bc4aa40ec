"""What one more purchase is expected to gain, from how far the newest one moved the model and from the audit.

With d = 1 − agreement of successive models, mean over the classes of the foreground, which bounds the change of IoU,
and x the cost so far, over runs (`benchmarks/stopping.py`)

    gain of this purchase   = f · now · d_r        ± noise · d_r
    gain of the next one    = f · next · d_r s_r   ± noise · d_r s_r,     s_r = log(x_{r+1}/x_r) / log(x_r/x_{r−1})

where the next costs as much as this one did: IoU grows about as the logarithm of the labels. f is a run's own factor,
normal with mean 1 and some spread over runs. What the audit saw of each purchase, with its standard error, moves it by
Bayes' rule, which is little where noise is much: with the shares below, ten purchases that are known exactly leave two
thirds of the spread.

Reference:
    Gelman et al. 2013, "Bayesian Data Analysis", section 2.5, for the normal model with known variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Shares(NamedTuple):
    """How much of a change is gain, over runs."""

    now: float  # of this purchase
    next: float  # of the next
    noise: float  # standard deviation of these within a run
    spread: float  # of a run's factor, over runs


# Of four runs, one of each source; how far runs of one source differ they cannot say, so the spread is a guess.
MEASURED = Shares(now=0.16, next=0.11, noise=0.13, spread=0.3)
_FACTOR = ("gain_factor", "gain_factor_error")  # columns
WIDE = 1.96  # standard deviations on either side of a 95 % interval


class Factor(NamedTuple):
    """What is believed of a run's own factor f."""

    mean: float = 1.0
    error: float = MEASURED.spread


class Gain(NamedTuple):
    """What the next purchase is expected to gain, and its 95 % interval; NaN while nothing is known."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def change(row: Mapping[str, Any], classes: Sequence[str]) -> float:
    """1 − agreement with the model before, mean over the foreground; NaN while some class of it is never predicted."""
    return 1 - float(np.mean([float(row.get(f"agreement_{name}", math.nan)) for name in classes[1:]]))


def updated(factor: Factor, moved: float, gain: float, error: float, shares: Shares = MEASURED) -> Factor:
    """What is believed once the audit has seen a purchase that moved the model by `moved` gain `gain` ± `error`."""
    if not all(map(math.isfinite, (moved, gain, error))) or moved <= 0 or factor.error == 0:
        return factor
    seen, variance = gain / (shares.now * moved), (error / moved) ** 2 + shares.noise**2
    variance /= shares.now**2
    precision = 1 / factor.error**2 + 1 / variance
    return Factor((factor.mean / factor.error**2 + seen / variance) / precision, precision**-0.5)


def expected(factor: Factor, moved: float, cost: float, before: float, shares: Shares = MEASURED) -> Gain:
    """Of one more purchase like the newest.

    Args:
        factor: of this run.
        moved: how far the newest purchase moved the model, `change`.
        cost, before: in all by now, and before the newest purchase.
        shares: measured over other runs.
    """
    if not (math.isfinite(moved) and cost > before > 0):
        return Gain()
    reach = moved * math.log(2 - before / cost) / math.log(cost / before)
    mean, wide = factor.mean * shares.next * reach, WIDE * reach * math.hypot(factor.error * shares.next, shares.noise)
    return Gain(mean, max(-reach, mean - wide), min(reach, mean + wide))


def columns(row: Mapping[str, Any], last: Mapping[str, Any], classes: Sequence[str]) -> dict[str, float]:
    """Columns of curve.csv: `gain_next` with its interval, and what is believed of the run's factor.

    Args:
        row: of this round, with its agreement, its audit and its cost.
        last: of the round before; empty where there is none.
        classes: names, the background first.
    """
    known = Factor(*(float(last.get(name, value)) for name, value in zip(_FACTOR, Factor(), strict=True)))
    moved = change(row, classes)
    factor = updated(known, moved, float(row["gain_audit"]), float(row["gain_audit_error"]))
    gain = expected(factor, moved, float(row["cost"]), float(last.get("cost", math.nan)))
    return dict(zip(("gain_next", "gain_next_low", "gain_next_high", *_FACTOR), (*gain, *factor), strict=True))
