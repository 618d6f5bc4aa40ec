"""What regions are expected to cost in seconds, as far as the audit has taught it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bal.experiment.setup import Setup
from bal.pool.cost import STRETCH, boundary, error_boundary, usual_boundary
from bal.pool.labels import AUDIT, Pool
from bal.pool.tracing import trace
from bal.posterior.model import Model
from bal.scoring.held_out import predict_probabilities

TRUSTED = 8  # regions whose seconds must have been reported before they count as much as what was believed before


def needs(setup: Setup) -> tuple[str, ...]:
    """The descriptors of a region that its price is made of."""
    if setup.config.cost != "effort":
        return ()
    return ("boundary",) if setup.config.effort.assist == "none" else ("boundary", "error_boundary")


def expected(
    setup: Setup, pool: Pool, model: Model | None, table: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """[M] what each region is expected to cost, and [M] what it would in an audit, where nothing is drawn beforehand.

    A young model's probabilities change everywhere a little, and their total variation is several times the boundary
    that is there, so lengths are scaled to those of the audit: by (l + Σ true) / (l + Σ expected), where the boundary l
    that takes as long to draw as a region to open stands for what was believed before. The length of the errors, and
    the clicks of the trace tool, are scaled in the same way, by what the model that asks would have got wrong there.
    Where seconds are reported, all are scaled by those of the audit.

    Args:
        setup, pool: of the experiment.
        model: that asks; None where none has looked at the pool.
        table: [M] of each name in `needs`; missing where the pool has not been looked at.
    """
    effort = setup.config.effort
    if setup.config.cost != "effort":
        return setup.costs, setup.costs
    audited, usual = pool.bought(AUDIT), usual_boundary(setup.regions)
    index = list(audited)
    before = effort.open / effort.edge if effort.edge else np.inf
    length = _finite(table.get("boundary"), usual)
    length = length * _scale(before, [boundary(label) for label in audited.values()], length[index])
    pace = _pace(setup, pool, audited)
    drawn = np.round(pace * effort.seconds(length), 3)
    if effort.assist == "none" or model is None or "error_boundary" not in table:
        return drawn, drawn
    shown = predict_probabilities(model, setup.source, setup.regions, index)
    errors = _finite(table["error_boundary"], usual)
    wrong = [error_boundary(label, shown[m]) for m, label in audited.items()]
    clicks = errors / STRETCH
    if effort.assist == "trace":
        found = [trace(label, np.moveaxis(shown[m], -1, 0)).clicks for m, label in audited.items()]
        clicks = clicks * _scale(before / STRETCH, found, clicks[index])
    errors = errors * _scale(before, wrong, errors[index])
    return np.round(pace * effort.seconds(length, errors, clicks), 3), drawn


def _finite(values: np.ndarray | None, usual: np.ndarray) -> np.ndarray:
    return usual if values is None else np.where(np.isfinite(values), values, usual)


def _scale(before: float, true: list[int], expected: np.ndarray) -> float:
    """True over expected, shrunk to 1 by what was believed before."""
    return (before + sum(true)) / (before + float(expected.sum())) if np.isfinite(before) else 1.0


def _pace(setup: Setup, pool: Pool, audited: Mapping[int, np.ndarray]) -> float:
    """Seconds charged for the audits over those that their boundaries would take; 1 unless somebody measures."""
    prior = TRUSTED * setup.config.effort.open
    believed = sum(setup.config.effort.work(label) for label in audited.values())
    return 1.0 if np.isclose(believed, pool.audited) else (prior + pool.audited) / (prior + believed)
