"""The one place that makes a row of curve.csv: first what a model says of itself, then what its purchase says of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bal.experiment import by_style, change, hand_over
from bal.experiment.audited import candid
from bal.experiment.setup import Setup
from bal.experiment.state import Info, State
from bal.metrics import lure, styles, summary, tally, trust
from bal.pool.labels import AUDIT, Pool
from bal.posterior.model import Model
from bal.scoring.held_out import predict_regions
from bal.scoring.objective import Objective
from bal.selection import gain
from bal.sources.base import Source
from bal.types import BadInput, RegionPrediction

BESIDES = ("round", "regions", "pixels", "cost", "regions_audit", "test_images", "steered_share", "temperature")
BESIDES += ("loss_end", "loss_fall", "seconds_fit", "seconds_score", "stopped")  # columns that are no metric


def check(source: Source) -> None:
    """Raises BadInput for a metric that would write over another column."""
    classes = source.classes
    besides = {*BESIDES, *(styles.names(classes) if by_style.known(source) else ())}
    if twice := sorted(set(summary.columns(classes)) & besides):
        raise BadInput(f"a metric has the column {twice[0]!r}, which is not for metrics; give it another name")


def of_model(
    setup: Setup,
    pool: Pool,
    round: int,
    last: Info,
    model: Model,
    each: tally.Tally,
    objective: Objective,
    before: Model | None,
) -> dict[str, Any]:
    """What has been bought until now, and what the model trained on it can do.

    Args:
        setup, pool, round: of the experiment, before the next purchase.
        last: of the round before, with its row, if there was one, and the ledger's lines of the newest purchase.
        model, objective: calibrated, and what it is asked.
        each: what it says of every test image.
        before: the model of the round before, if there was one.
    """
    classes, answers = setup.source.classes, pool.bought(AUDIT)
    seen = list(predict_regions(model, setup.source, setup.regions, answers, objective).values())
    weight = pool.weights(answers)
    measured = summary.columns_of(each, classes)
    steered = sum(line["cost"] for line in last.queries if line["policy"] == "steered")
    row = {
        "round": round,
        "regions": int(pool.labelled.sum()),
        "pixels": int(setup.regions.pixels[pool.labelled].sum()),
        "cost": pool.spent,
        "regions_audit": int((pool.split == AUDIT).sum()),
        "test_images": len(setup.source.test),
        "steered_share": steered / max(sum(line["cost"] for line in last.queries), 1e-9),
        **(measured if setup.source.test else candid(measured, each, classes)),
        **by_style.columns(setup, each),
        "temperature": float("nan"),
        **{name: float(value) for name, value in model.calibrator.summary(model.state).items()},
        **_audited(seen, weight, classes),
        **change.columns(setup, pool, before, model, objective, seen),
        **hand_over.row(setup.config, pool, round + 1, classes),
    }
    return row | gain.columns(row, last.row, classes)


def of_purchase(setup: Setup, asked: State, pool: Pool, labelled: np.ndarray) -> dict[str, float]:
    """Risk and IoU on all that was unlabelled, from what the model asked about.

    The model has not been trained on these answers. NaN where no probabilities were reported, see `bal.metrics.lure`,
    and where a region was not labelled: what nobody knows cannot stand for anything.

    Args:
        setup: of the experiment.
        asked: the state before the answers.
        pool: after them.
        labelled: [K] bool, which of the regions asked about have an answer.
    """
    assert asked.pending is not None and asked.model is not None and asked.objective is not None  # noqa: PT018
    purchase = asked.pending.purchase
    left = int(setup.offered(asked.pool, asked.purchase).sum())
    weight = lure.population_weights(purchase.probability, left)
    index = [int(m) for m in purchase.index]
    some: list[RegionPrediction] = []
    if labelled.all() and not np.isnan(weight).all():
        answers = {m: pool.answers[m] for m in index}
        seen = predict_regions(asked.model, setup.source, setup.regions, answers, asked.objective)
        some = [seen[m] for m in index]
    return _estimates(some, weight[: len(some)], setup.source.classes, "lure")


def _audited(seen: list[RegionPrediction], weight: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """What the audit says: how far to trust the score, and the risk and IoU of the model.

    Audited regions are a sample of what was unlabelled when each was drawn: uniform, or weighted by what each stands
    for, except by the gate, which counts each once. Their labels have fitted the calibrator, which makes the risk a
    little too low.
    """
    return trust.judge(seen, len(classes)).row(classes) | _estimates(seen, weight, classes, "audit")


def _estimates(
    seen: list[RegionPrediction], weight: np.ndarray, classes: tuple[str, ...], name: str
) -> dict[str, float]:
    return lure.estimates([s.nll for s in seen], [s.confusion for s in seen], weight, classes, name)
