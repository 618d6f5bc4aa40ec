"""What a round changed: how far its model labels as the one before does, and what the audit says was gained.

Two fits to more and more labels agree more and more; where they label alike, more labels of the kind that was bought
change nothing. Agreement needs no label, is known to a thousandth from a few images, and bounds the gain from above.
The audit says what was gained, but from few regions: the same ones for both models, so that they are paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bal.experiment.setup import Setup
from bal.metrics.bootstrap import LEAST
from bal.pool.labels import AUDIT, Pool
from bal.posterior.model import Model
from bal.scoring.held_out import predict_regions
from bal.scoring.maps import cross_table
from bal.scoring.objective import Objective
from bal.types import RegionPrediction, jaccard

IMAGES = 8  # of the pool, on which models are compared; a power of two, as other batches are
PIXELS = 2**24  # that they have together, at most, where there is more than one


def compared(setup: Setup) -> list[str]:
    """The images on which successive models are compared, evenly spread over the pool, the same in every round."""
    ids = setup.source.pool
    largest = max(math.prod(setup.source.shape(id)) for id in ids[:: -(-len(ids) // IMAGES)])
    most = min(IMAGES, len(ids), max(1, PIXELS // largest))
    number = 1 << (most.bit_length() - 1)
    return [ids[n * len(ids) // number] for n in range(number)]


def columns(
    setup: Setup,
    pool: Pool,
    before: Model | None,
    model: Model,
    objective: Objective,
    seen: Sequence[RegionPrediction],
) -> dict[str, float]:
    """Columns of curve.csv: agreement with the model before, class by class, and the gain of IoU on the audit.

    Args:
        setup, pool: of the experiment.
        before, model: calibrated; None, where there is no model before, makes every column NaN.
        objective: what the model is asked.
        seen: what the model sees of the audited regions, in ascending order.

    Returns:
        `agreement_<class>`; `gain_audit`, the change of IoU on the audited regions, mean over the classes of the
        foreground, and `gain_audit_error`, its standard error by the jackknife over regions.
    """
    classes, answers = setup.source.classes, pool.bought(AUDIT)
    same, gain, error = np.full(len(classes), np.nan), math.nan, math.nan
    if before is not None:
        same = jaccard(cross_table(before, model, setup.source, compared(setup), objective))
        old = predict_regions(before, setup.source, setup.regions, answers, objective)
        if answers:
            tables = [np.stack([s.confusion for s in each]) for each in (old.values(), seen)]
            gain, error = paired_gain(tables[0], tables[1], pool.weights(answers))
    own = {f"agreement_{name}": float(value) for name, value in zip(classes, same, strict=True)}
    return own | {"gain_audit": gain, "gain_audit_error": error}


def paired_gain(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """By how much the IoU of the foreground rose on the same regions, and the standard error of that.

    Args:
        before, after: [K, C, C] pixels of each region by true class, then predicted class.
        weight: [K] what each region stands for.

    Returns:
        The change of the mean over the classes of the foreground that both know, and its standard error by the
        jackknife: √((K − 1)/K Σ_k (gain without k − their mean)²). NaN where nothing can say it, the error also
        where fewer than LEAST regions do.

    Reference:
        Efron and Stein 1981, "The jackknife estimate of variance", The Annals of Statistics 9.
    """
    own = np.stack([before, after]) * weight[:, None, None]  # [2, K, C, C]
    whole = own.sum(1, keepdims=True)
    gain, without = float(_gain(whole)[0]), _gain(whole - own)
    known = without[np.isfinite(without)]
    if math.isnan(gain) or len(known) < LEAST:
        return gain, math.nan
    return gain, math.sqrt((len(known) - 1) / len(known) * float(((known - known.mean()) ** 2).sum()))


def _gain(tables: np.ndarray) -> np.ndarray:
    """[2, K, C, C] → [K] the rise of the mean IoU of the foreground, over the classes that both show; or else NaN."""
    old, new = jaccard(tables)[..., 1:]
    rise = new - old
    known = np.isfinite(rise)
    return np.where(known, rise, 0.0).sum(-1) / np.where(known.any(-1), known.sum(-1), np.nan)
