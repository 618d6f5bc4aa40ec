"""Whether training had converged: the loss of every fit, and the IoU on the audit where it was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bal.experiment.fits import fall
from bal.experiment.state import Look
from bal.report.plots import PER_LETTER, direct_labels
from bal.report.style import GRID, INK, MUTED, class_colour, drawing, printable


def loss_curves(fits: Mapping[int, Sequence[Look]], classes: Sequence[str]) -> Figure:
    """The loss against the steps, on a logarithmic scale: the newest fit dark, those before it lighter.

    Args:
        fits: the looks of every round, oldest first.
        classes: names; the IoU of the newest fit on the audit is drawn for all but the first, where it was measured.
    """
    newest = max(fits)
    measured = [look for look in fits[newest] if look.iou]
    with drawing():
        longest = max(len(printable(name)) for name in classes) + 5
        wide = 7.6 if measured else 5.6
        figure = Figure(figsize=(wide, 3.0))
        axes = figure.add_axes((0.5 / wide, 0.155, (3.2 if measured else 4.3) / wide, 0.72))
        for n, (round, looks) in enumerate(fits.items()):
            last = round == newest
            colour = INK[0] if last else MUTED[0]
            alpha = 1.0 if last else 0.25 + 0.4 * n / max(1, len(fits) - 1)
            axes.plot(
                [k.step for k in looks], [k.loss for k in looks], color=colour, lw=2.0 if last else 1.0, alpha=alpha
            )
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y", color=GRID[0], lw=0.8)
        axes.text(0, 1.05, "training loss", transform=axes.transAxes, color=MUTED[0], fontsize=9)
        end = fits[newest][-1]
        if math.isfinite(end.loss) and end.loss > 0:
            place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            axes.annotate(f"round {newest}", (end.step, end.loss), color=INK[0], annotation_clip=False, **place)
        if measured:
            side = figure.add_axes((4.35 / wide, 0.155, (wide - 4.4 - PER_LETTER * longest) / wide, 0.72))
            ends = []
            for k, name in list(enumerate(classes))[1:]:
                y = [look.iou.get(name, math.nan) for look in measured]
                side.plot([look.step for look in measured], y, "o-", color=class_colour(k), lw=1.8, ms=4)
                if math.isfinite(y[-1]):
                    ends.append((y[-1], f"{printable(name)} {y[-1]:.2f}", class_colour(k)))
            side.set(ylim=(0, 1))
            side.set_xlabel("step")
            side.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            side.grid(axis="y", color=GRID[0], lw=0.8)
            side.text(0, 1.05, "IoU on the audit", transform=side.transAxes, color=MUTED[0], fontsize=9)
            direct_labels(side, ends, 1.0, gap=0.07)
        return figure


def verdict(fits: Mapping[int, Sequence[Look]]) -> str:
    """What the curves say of the newest fit, in a sentence."""
    looks = fits[max(fits)]
    found = fall(looks)
    if math.isnan(found):
        return "The fits were too short to say whether they had converged."
    how = f"by {100 * found:.0f} %" if found > 0 else "not at all"
    return f"Over the last fifth of its {looks[-1].step:,} steps, the loss of the newest fit fell {how}."
