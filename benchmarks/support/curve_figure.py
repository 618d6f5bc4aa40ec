"""The figure of a comparison: learning curves by data set and class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from support.curves import ORACLE, SHOWN, Runs

from bal.report.plots import direct_labels
from bal.report.style import GRID, INK, MUTED, class_colour, drawing

SHORT = {"foreground_random": "fg random", ORACLE: "oracle fg random"}
GREYS = {"random": ("#767676", "-"), "foreground_random": (INK[0], "--"), ORACLE: (INK[0], ":")}


def colours(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes: baselines grey and black, methods coloured."""
    methods = [arm for arm in arms if arm not in GREYS]
    return {arm: GREYS.get(arm) or (class_colour(1 + methods.index(arm)), "-") for arm in arms}


def figure(of: Mapping[str, Runs]) -> Figure:
    """Data sets below each other, classes side by side: means over seeds, bands of one standard error."""
    with drawing():
        high = 3.6 * len(of)
        drawn = Figure(figsize=(17.0, high))
        for row, (dataset, runs) in enumerate(of.items()):
            for column, name in enumerate(SHOWN):
                left, bottom = (0.13 + column) / len(SHOWN), 1 - (row + 1) * 3.6 / high + 0.5 / high
                axes = drawn.add_axes((left, bottom, 0.54 / len(SHOWN), 2.7 / high))
                panel(axes, runs, name)
                axes.set_title(f"{dataset}: IoU of {name}", fontsize=10, loc="left", color=MUTED[0])
        return drawn


def panel(axes: Axes, runs: Runs, name: str) -> None:
    """One class of one data set."""
    ends, seen = [], []
    style = colours(list(runs.arms))
    for arm, own in runs.arms.items():
        cost = next(iter(own.values())).cost
        same = np.stack([np.interp(cost, curve.cost, curve.iou[name]) for curve in own.values()])  # [S, R]
        mean, colour, dashes = same.mean(0), *style[arm]
        error = same.std(0, ddof=1) / math.sqrt(len(same)) if len(same) > 1 else 0 * mean
        axes.fill_between(cost, mean - error, mean + error, color=colour, alpha=0.1, lw=0)
        axes.plot(cost, mean, color=colour, ls=dashes, lw=1.8, marker="o", ms=3)
        ends.append((float(mean[-1]), f"{SHORT.get(arm, arm)} {mean[-1]:.3f}", colour))
        seen += [mean.min(), mean.max()]
    level = {"all background": runs.floor[name]}
    if runs.full:
        level["full supervision"] = float(np.mean([curve.iou[name][0] for curve in runs.full.values()]))
    place = axes.get_yaxis_transform()
    lowest, within = min(seen), max(seen) - min(seen)
    for text, value in level.items():
        if value < lowest - within / 4:  # so far below that the curves would be squeezed
            axes.text(0.01, 0.01, f"↓ {text} {value:.3f}", transform=axes.transAxes, fontsize=8.5, color=MUTED[0])
            continue
        axes.axhline(value, color=MUTED[0], lw=1, ls=(0, (1, 2)))
        axes.text(0.01, value, f"{text} {value:.3f}", transform=place, va="bottom", fontsize=8.5, color=MUTED[0])
        seen.append(value)
    low, high = min(seen), max(seen)
    pad = 0.08 * (high - low) or 0.01
    axes.set(ylim=(low - pad, high + pad), xlabel="cost of all labels bought, audit included")
    axes.grid(axis="y", color=GRID[0], lw=0.8)
    axes.set_axisbelow(True)
    direct_labels(axes, ends)
