"""What saves an annotator's time: the interface, the choice of regions, or both?

    python benchmarks/assist.py --seeds 2

Runs of 24 tiles a purchase on the default logs, chosen at random from the predicted foreground or by the power of BALD,
answered by an oracle that overlooks a share of the errors wherever it corrects a prediction. Every region bought is
priced in seconds afterwards, under all interfaces and paces alike, since the purchases do not depend on prices here:

    none      draw every region from nothing
    correct   mend what the model has drawn, or draw from nothing where that is quicker
    trace     or click along the curves, where that is quicker still

The target is 95 % of the mean IoU of both curves of full supervision: the whole pool, as many training steps. What is
overlooked stays in the labels, for all interfaces that show a prediction; drawing from nothing overlooks nothing. Rows
that are there already are not computed again.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tyro
from support import rows

from bal import Config, run_loop
from bal.annotation.annotators import Oracle
from bal.experiment.setup import Setup, set_up
from bal.pool.cost import Effort, boundary, error_boundary
from bal.pool.tracing import trace
from bal.posterior.model import Model
from bal.scoring.acquisitions import BALD, Random
from bal.scoring.held_out import predict_probabilities
from bal.selection.selectors import ForegroundRandom, Power
from bal.system import devices

NAME = "assist"
ARMS = {"foreground_random": (Random(), ForegroundRandom()), "power": (BALD(), Power())}
ASSISTS = ("none", "correct", "trace")
FOUR = (0.25, 1.0, 4.0)
REACH = 0.95  # of full supervision
CURVES = ("iou_curve_1", "iou_curve_2")


@dataclass(frozen=True)
class Settings:
    seeds: int = 2
    """Paired: the same start set for every arm."""
    misses: tuple[float, ...] = (0.0, 0.07, 0.2)
    """Shares of the model's errors that are overlooked."""
    rounds: int = 10
    """Purchases of 24 tiles after a start set of as many."""


def config_of(arm: str, miss: float, seed: int, rounds: int) -> Config:
    """One run, priced later."""
    acq, selector = ARMS[arm]
    budget = 24.0 * (rounds + 1)
    return replace(
        Config(), acq=acq, selector=selector, annotator=Oracle(miss=miss), seed=seed, rounds=rounds, budget=budget
    )


def full(seed: int) -> None:
    """The row of full supervision, unless it is there."""
    if not any(r["arm"] == "full" and r["seed"] == seed for r in rows.read(NAME)):
        base = Config(seed=seed)
        regions = float(set_up(base).costs.size)
        config = replace(base, rounds=0, start=regions, budget=regions, audit=0.01)
        row = next(run_loop(config)).row
        rows.append(NAME, {"arm": "full", "seed": seed, "miss": 0.0, "iou": iou(row)})
        print(rows.read(NAME)[-1], flush=True)


def measure(settings: Settings) -> None:
    """One row a run: the IoU of every round, and what each of its purchases is made of."""
    for seed in range(settings.seeds):
        full(seed)
        for arm, miss in itertools.product(ARMS, settings.misses):
            key = {"arm": arm, "seed": seed, "miss": miss, "rounds": settings.rounds}
            if any(key.items() <= row.items() for row in rows.read(NAME)):
                continue
            config = config_of(arm, miss, seed, settings.rounds)
            setup, ious, bought = set_up(config), [], []
            for record in run_loop(config):
                ious.append(iou(record.row))
                bought.append([work(setup, record.model, line) for line in record.queries])
            rows.append(NAME, {**key, "iou": ious, "bought": bought})
            print(key, [round(v, 3) for v in ious], flush=True)


def iou(row: Mapping[str, Any]) -> float:
    """Mean over both curves."""
    return statistics.mean(row[c] for c in CURVES)


def work(setup: Setup, model: Model, line: Mapping[str, Any]) -> list[int]:
    """Pixels of boundary, of the boundary of errors, clicks, and of the boundary of what these leave; −1 where nothing
    is drawn beforehand."""
    top, left, height, width = line["box"]
    label = setup.source.mask(line["image"])[top : top + height, left : left + width]
    if line["policy"] == "audit":
        return [boundary(label), -1, -1, -1]
    m = setup.regions.find(line["image"], line["region"])
    p = predict_probabilities(model, setup.source, setup.regions, [m])[m]
    traced = trace(label, np.moveaxis(p, -1, 0))
    return [boundary(label), error_boundary(label, p), traced.clicks, boundary(traced.left.astype(np.int32))]


def seconds(purchase: list[list[int]], effort: Effort) -> float:
    """What a purchase takes."""
    total = 0.0
    for length, errors, clicks, left in purchase:
        if errors < 0:
            total += float(effort.seconds(np.array(length)))
        else:
            brush = effort.edge * left / effort.click
            total += float(effort.seconds(np.array(length), np.array(errors), np.array(clicks + brush)))
    return total


def until(row: Mapping[str, Any], target: float, effort: Effort, start: float) -> float | None:
    """Seconds until the target is reached for good, on straight lines between rounds; None if it is not."""
    spent = start + np.concatenate([[0.0], np.cumsum([seconds(p, effort) for p in row["bought"][:-1]])])
    ious = np.maximum.accumulate(row["iou"])
    if ious[-1] < target:
        return None
    at = int(np.argmax(ious >= target))
    if at == 0:
        return float(spent[0])
    share = (target - ious[at - 1]) / (ious[at] - ious[at - 1])
    return float(spent[at - 1] + share * (spent[at] - spent[at - 1]))


def sweep(miss: float, scale: tuple[float, float]) -> dict[tuple[str, str], list[float | None]]:
    """Seconds of every seed by interface and arm; `scale` times the usual seconds to open, and to draw or click."""
    found: dict[tuple[str, str], list[float | None]] = {}
    everything = complete()
    targets = {r["seed"]: REACH * r["iou"] for r in everything if r["arm"] == "full"}
    usual = Effort()
    for assist, arm in itertools.product(ASSISTS, ARMS):
        effort = Effort(usual.open * scale[0], usual.edge * scale[1], assist, usual.click * scale[1])
        overlooked = 0.0 if assist == "none" else miss
        for row in everything:
            if (row["arm"], row["miss"]) == (arm, overlooked):
                start = float(effort.seconds(np.array(16.0))) * 24  # of the start set, by what is usual
                found.setdefault((assist, arm), []).append(until(row, targets[row["seed"]], effort, start))
    return found


def complete() -> list[dict[str, Any]]:
    """The rows of seeds of which every arm has run: others are not paired yet."""
    found = rows.read(NAME)
    misses = {(r["arm"], r["miss"]) for r in found}
    have = {seed: {(r["arm"], r["miss"]) for r in found if r["seed"] == seed} for seed in {r["seed"] for r in found}}
    done = {seed for seed, kinds in have.items() if kinds == misses}
    return [row for row in found if row["seed"] in done]


def whole(arm: str, assist: str) -> float:
    """Seconds that all purchases of a run took, mean over seeds, nothing overlooked."""
    usual = Effort()
    effort = Effort(usual.open, usual.edge, assist, usual.click)
    mine = [row for row in complete() if (row["arm"], row["miss"]) == (arm, 0.0)]
    return statistics.mean(sum(seconds(purchase, effort) for purchase in row["bought"]) for row in mine)


def shown(values: list[float | None]) -> str:
    """Mean over seeds, and how many of them did not get there."""
    reached = [v for v in values if v is not None]
    missing = f" ({len(values) - len(reached)} of {len(values)} not)" if len(reached) < len(values) else ""
    return (f"{statistics.mean(reached):.0f}" if reached else "–") + missing


def table() -> str:
    """Two tables: by what is overlooked, and by what opening and drawing take."""
    misses = sorted({r["miss"] for r in complete()})
    lines = []
    for miss in misses:
        found = sweep(miss, (1.0, 1.0))
        lines += [[f"{miss:g}", assist, *(shown(found[assist, arm]) for arm in ARMS)] for assist in ASSISTS]
    ratios = []
    for opening, drawing in itertools.product(FOUR, FOUR):
        found = sweep(0.0, (opening, drawing))
        base = found["none", "foreground_random"]
        cells = [f"× {opening:g}", f"× {drawing:g}"]
        for assist, arm in itertools.product(ASSISTS, ARMS):
            if (assist, arm) == ("none", "foreground_random"):
                continue
            pairs = [(a, b) for a, b in zip(found[assist, arm], base, strict=True) if a is not None and b is not None]
            cells.append(f"{statistics.mean(a / b for a, b in pairs):.2f}" if pairs else "–")
        ratios.append(cells)
    usual, full_ = Effort(), [r["iou"] for r in complete() if r["arm"] == "full"]
    seeds = f"{len(full_)} seed{'s' * (len(full_) != 1)}"
    took = [[assist, *(f"{whole(arm, assist):.0f}" for arm in ARMS)] for assist in ASSISTS]
    heads = [f"{assist}, {arm}" for assist, arm in itertools.product(ASSISTS, ARMS)][1:]
    return (
        f"## Model-assisted answers\n\n`python benchmarks/assist.py`: seconds until the mean IoU of both curves is "
        f"{REACH:.0%} of full supervision ({statistics.mean(full_):.3f}), {usual.open:g} s to open a region, "
        f"{usual.edge:g} s a pixel of boundary, {usual.click:g} s a click; {seeds}. The target is crossed where the "
        "noise between fits (0.02 and more) has it: rows of one seed show a trend at best.\n\n"
        + rows.markdown(["overlooked", "interface", *ARMS], lines)
        + "\n\nWhat all purchases of a run took, which no fit has a say in:\n\n"
        + rows.markdown(["interface", *ARMS], took)
        + "\n\nThe same with nothing overlooked, as a share of drawing what foreground_random chose, where opening and "
        "drawing take less or more:\n\n" + rows.markdown(["open", "edge, click", *heads], ratios)
    )


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
