"""The complete runs of a comparison, as learning curves: what they cost, and what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from support.plan import FULL

from bal.metrics import paired
from bal.metrics.paired import Reach

REFERENCES = ("random", "foreground_random")
ORACLE = "oracle_foreground_random"
SHARE = 0.95  # of full supervision, the level whose cost is asked for
CURVES = ("curve_1", "curve_2")
SHOWN = (*CURVES, "background")


class Curve(NamedTuple):
    """One run."""

    cost: np.ndarray  # [R]
    iou: dict[str, np.ndarray]  # [R] by class, and `mean` of the curves


@dataclass(frozen=True)
class Runs:
    """The runs of one data set that are complete."""

    arms: dict[str, dict[int, Curve]] = field(default_factory=dict)  # by arm and seed
    full: dict[int, Curve] = field(default_factory=dict)  # by seed, a single point
    floor: dict[str, float] = field(default_factory=dict)  # IoU of predicting background everywhere, by class


def collect(found: Sequence[Mapping[str, Any]]) -> dict[str, Runs]:
    """The complete runs of every data set."""
    recipe = {row["dataset"]: row["recipe"] for row in found}
    same = [row for row in found if row["recipe"] == recipe[row["dataset"]]]
    newest = {(row["dataset"], row["arm"]): row["settings"] for row in same}
    runs: dict[tuple[str, str, int], dict[int, Mapping[str, Any]]] = {}
    for row in same:
        if row["settings"] == newest[row["dataset"], row["arm"]]:
            runs.setdefault((row["dataset"], row["arm"], row["seed"]), {})[row["round"]] = row
    last = {name: max(max(own) for (d, _, _), own in runs.items() if d == name) for name in recipe}
    result: dict[str, Runs] = {}
    for (dataset, arm, seed), own in sorted(runs.items(), key=lambda item: item[0][2]):
        into = result.setdefault(dataset, Runs())
        expected = range(1 if arm == FULL else last[dataset] + 1)
        if all(round in own for round in expected):
            curve = as_curve([own[round] for round in expected])
            (into.full if arm == FULL else into.arms.setdefault(arm, {}))[seed] = curve
            into.floor.update(dict.fromkeys(CURVES, 0.0), background=float(own[0]["iou_all_background"]))
    return {dataset: ordered(runs, [row["arm"] for row in found]) for dataset, runs in result.items() if runs.arms}


def ordered(runs: Runs, arms: Sequence[str]) -> Runs:
    """The references first, then in the order of the rows."""
    order = dict.fromkeys((*REFERENCES, ORACLE, *arms))
    return Runs({arm: runs.arms[arm] for arm in order if arm in runs.arms}, runs.full, runs.floor)


def as_curve(own: Sequence[Mapping[str, Any]]) -> Curve:
    """The rows of one run, in order."""
    iou = {name: np.array([row[f"iou_{name}"] for row in own], np.float64) for name in SHOWN}
    return Curve(np.array([row["cost"] for row in own]), iou | {"mean": np.mean([iou[c] for c in CURVES], axis=0)})


def areas(runs: Runs, measure: str = "mean") -> dict[str, dict[int, float]]:
    """The area under every curve, by arm and seed, on the costs that all of them cover."""
    low, high = paired.common_range([curve.cost for arm in runs.arms.values() for curve in arm.values()])
    return {
        arm: {seed: paired.area(curve.cost, curve.iou[measure], low, high) for seed, curve in own.items()}
        for arm, own in runs.arms.items()
    }


def reaches(runs: Runs) -> dict[str, dict[int, Reach]]:
    """What `SHARE` of the fully supervised IoU of the same seed cost, by arm and seed; only seeds that have it."""
    return {
        arm: {
            seed: paired.cost_to_reach(curve.cost, curve.iou["mean"], SHARE * float(runs.full[seed].iou["mean"][0]))
            for seed, curve in own.items()
            if seed in runs.full
        }
        for arm, own in runs.arms.items()
    }
