"""How a fit went: its loss, and now and then its IoU on the audit, so that it is seen whether it has converged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bal.experiment import round_tables
from bal.experiment.query import audit_iou
from bal.experiment.setup import Setup
from bal.experiment.state import Look
from bal.pool.labels import AUDIT, Pool
from bal.posterior.descent import Progress
from bal.scoring.acquisitions import Random
from bal.scoring.held_out import predict_regions

FALLING = 0.1  # share of the loss; a fit whose last fifth is so much below the fifth before has not converged
LAST = 0.2  # share of the steps
IOU = "iou_audit_"  # how columns begin


def fall(looks: Sequence[Look]) -> float:
    """By which share the loss of the last fifth of the steps is below that of the fifth before; NaN if unknown."""
    if not looks:
        return math.nan
    steps = looks[-1].step
    last = [look.loss for look in looks if look.step > (1 - LAST) * steps]
    before = [look.loss for look in looks if (1 - 2 * LAST) * steps < look.step <= (1 - LAST) * steps]
    if not before or not np.mean(before) > 0:
        return math.nan
    return float(1 - np.mean(last) / np.mean(before))


def columns(looks: Sequence[Look]) -> dict[str, float]:
    """Columns of curve.csv: the loss at the end of the fit, and by which share it was still falling."""
    return {"loss_end": looks[-1].loss if looks else math.nan, "loss_fall": fall(looks)}


def sentence(row: Mapping[str, float]) -> str:
    """Whether a row of curve.csv is of a fit that had not converged; empty if it had, or if nobody knows."""
    found = float(row.get("loss_fall", math.nan))
    if not found > FALLING:
        return ""
    return (
        f"the loss was still falling at the end of the fit, by {100 * found:.0f} % over its last fifth: "
        "more train.steps may be worth more than more labels"
    )


def watcher(setup: Setup, pool: Pool, looks: list[Look]) -> Callable[[Progress], None]:
    """Notes what training tells, in `looks`; and the IoU on the audit as often as `train.looks` says."""
    every, answers = setup.config.train.looks, pool.bought(AUDIT)
    measured = 0

    def heard(progress: Progress) -> None:
        nonlocal measured
        iou: dict[str, float] = {}
        due = progress.step * every // progress.steps
        if every and answers and progress.params and due > measured:
            measured = due
            model = setup.model(progress.params())
            seen = list(predict_regions(model, setup.source, setup.regions, answers, Random()).values())
            found = audit_iou(seen, pool.weights(answers), setup.source.classes)
            iou = dict(zip(setup.source.classes, found.tolist(), strict=True))
        looks.append(Look(progress.step, progress.loss, iou))

    return heard


def write(folder: Path, round: int, looks: Sequence[Look]) -> None:
    """Writes the table of one round, a line a look."""
    classes = dict.fromkeys(name for look in looks for name in look.iou)
    lines = [
        {"step": look.step, "loss": look.loss, **{f"{IOU}{name}": value for name, value in look.iou.items()}}
        for look in looks
    ]
    round_tables.write(folder, round, ["step", "loss", *(f"{IOU}{name}" for name in classes)], lines)


def read(folder: Path, round: int) -> list[Look]:
    """The inverse of `write`; nothing where there is no file, or it is none of these."""
    try:
        lines = round_tables.read(folder, round)
        return [Look(int(line["step"]), float(line["loss"]), _iou(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _iou(line: Mapping[str, str]) -> dict[str, float]:
    """By class, those of a line that were measured."""
    return {name.removeprefix(IOU): float(value) for name, value in line.items() if name.startswith(IOU) and value}
