"""Whether training had converged: the loss of every fit, and the IoU on the audit where it was measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bal.experiment.fits import fall
from bal.experiment.state import Look
from bal.report.plots import LINE, direct_labels, figure_of, labelled_axes, short_names
from bal.report.style import GRID, INK, MUTED, SMALLEST, WIDTH, class_colour, drawing


def loss_curves(fits: Mapping[int, Sequence[Look]]) -> Figure:
    """The loss against the steps, on a logarithmic scale: the newest fit dark, those before it lighter.

    Args:
        fits: the looks of every round, oldest first.
    """
    newest = max(fits)
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.0))
        axes = figure.add_axes((0.6 / WIDTH, 0.165, (WIDTH - 1.4) / WIDTH, 0.71))
        for n, (round, looks) in enumerate(fits.items()):
            last = round == newest
            colour = INK[0] if last else MUTED[0]
            alpha = 1.0 if last else 0.45 + 0.25 * n / max(1, len(fits) - 1)
            drawn = _finite(looks)
            mark = {"marker": "o", "ms": 5 if last else 4} if len(drawn) == 1 else {}  # a line of one point is unseen
            x, y = [look.step for look in drawn], [look.loss for look in drawn]
            axes.plot(x, y, color=colour, lw=2.0 if last else 1.0, alpha=alpha, **mark)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))  # 0.1, where 10⁻¹ would be TeX
        axes.yaxis.set_minor_locator(NullLocator())
        _steps(axes, "training loss", 4)
        for end in _finite(fits[newest])[-1:]:
            place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": SMALLEST}
            axes.annotate(f"round {newest}", (end.step, end.loss), color=INK[0], annotation_clip=False, **place)
        return figure


def _finite(looks: Sequence[Look]) -> list[Look]:
    """Those that have a place on a logarithmic axis."""
    return [look for look in looks if math.isfinite(look.loss) and look.loss > 0]


def audit_curves(
    fits: Mapping[int, Sequence[Look]], classes: Sequence[str], withheld: Collection[str] = ()
) -> Figure | None:
    """The IoU of the newest fit on the audit against the steps; None where there is nothing to show.

    Args:
        fits: the looks of every round, oldest first.
        classes: names; all but the first are drawn.
        withheld: those among them of which the audit cannot tell an IoU.
    """
    measured = [look for look in fits[max(fits)] if look.iou]
    shown = [(k, name) for k, name in enumerate(classes) if k and name not in withheld]
    if not measured or not shown:
        return None
    with drawing():
        names, width = short_names([name for _, name in shown])
        axes = labelled_axes(0.45, width, max(2.13, LINE * len(names)))
        ends = []
        for k, name in shown:
            y = [look.iou.get(name, math.nan) for look in measured]
            axes.plot([look.step for look in measured], y, "o-", color=class_colour(k), lw=1.8, ms=4)
            if math.isfinite(y[-1]):
                ends.append((y[-1], f"{names[name]} {y[-1]:.2f}", class_colour(k)))
        axes.set(ylim=(0, 1))
        _steps(axes, "IoU on the audit", 3)
        direct_labels(axes, ends)
        return figure_of(axes)


def _steps(axes: Axes, title: str, ticks: int) -> None:
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.grid(axis="y", color=GRID[0], lw=0.8)
    axes.text(0, 1.05, title, transform=axes.transAxes, color=MUTED[0], fontsize=SMALLEST)


def verdict(fits: Mapping[int, Sequence[Look]]) -> str:
    """What the curves say of the newest fit, in a sentence."""
    looks = fits[max(fits)]
    found = fall(looks)
    if math.isnan(found):
        return "The fits were too short to say whether they had converged."
    how = f"by {100 * found:.0f} %" if found > 0 else "not at all"
    return f"Over the last fifth of its {looks[-1].step:,} steps, the loss of the newest fit fell {how}."
