"""Reliability diagrams: what was promised against what happened, for the page, a notebook and a PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from bal.report.style import INK, MUTED, SMALLEST, WIDTH, class_colour, drawing, printable

# (count, confidence, frequency) and perhaps (low, high) of the frequency's interval, one value a bin each.
Bins = Sequence[Any]
TITLES = {"raw": "before calibration", "calibrated": "after calibration"}
HALVES = {0.0: "0", 0.5: "0.5", 1.0: "1"}  # ticks of a probability
GAP = "#d1495b"  # of the bars between promise and observation
ROW = 3.1  # inches that a row of `reliability_png` is high


def reliability_diagram(bins: Mapping[str, Bins], name: str, colour: str | None = None) -> Figure:
    """Observed frequency against predicted probability, before and after calibration; pixels per bin beneath.

    Bars reach the observed frequency; the hatched part is the gap to perfect calibration at the mean predicted
    probability of its bin, and whiskers are intervals over images where there are any.
    ECE = Σ_b n_b |confidence_b − frequency_b| / Σ_b n_b.

    Args:
        bins: "raw" and, where there is one, "calibrated" → (count, confidence, frequency), one value a bin of
            equal width over 0..1, and perhaps (…, low, high), the interval of the frequency.
        name: what the probability is of.
        colour: of the bars; a neutral one if None.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.4))
        if not _pair(figure, bins, colour, 0.0, 1.0):
            figure.text(0.1, 0.5, f"no bins for {printable(name)}", color=MUTED[0])
        return figure


def reliability_png(bins: Mapping[str, Mapping[str, Bins]], classes: Sequence[str]) -> bytes:
    """All diagrams in one picture, a row for the foreground and for each class; the same bins, the same bytes.

    Args:
        bins: "foreground" and class names → the argument of `reliability_diagram`.
        classes: names; class 0 is the background and comes last.
    """
    rows = [(name, colour) for name, colour in order(classes) if name in bins]
    with drawing():
        figure = Figure(figsize=(5.6, ROW * max(len(rows), 1) + 0.1), dpi=140)
        for i, (name, colour) in enumerate(rows):
            height = 1 / len(rows)
            bottom = 1 - (i + 1) * height
            figure.text(0.022, bottom + 0.55 * height, printable(name), rotation=90, va="center", weight="bold")
            _pair(figure, bins[name], colour, bottom, height, 0.05)
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
        return out.getvalue()


def order(classes: Sequence[str]) -> list[tuple[str, str | None]]:
    """Names of the diagrams and their colours as they are shown: foreground, classes, background."""
    colours = [(name, class_colour(k)) for k, name in enumerate(classes)]
    return [("foreground", None), *colours[1:], *colours[:1]]


def expected_error(bins: Bins) -> float:
    """Σ_b n_b |confidence_b − frequency_b| / Σ_b n_b over the bins that hold anything; NaN if none does."""
    count, confidence, frequency = (np.asarray(v, float) for v in bins[:3])
    held = (count > 0) & np.isfinite(confidence) & np.isfinite(frequency)
    if not held.any():
        return math.nan
    return float((count * np.abs(confidence - frequency))[held].sum() / count[held].sum())


def _pair(
    figure: Figure, bins: Mapping[str, Bins], colour: str | None, bottom: float, height: float, shift: float = 0.0
) -> bool:
    """Draws both stages into a horizontal part of a figure; False if there is none."""
    stages = [s for s in TITLES if s in bins]
    most = max([10.0, *(float(np.nanmax(np.asarray(bins[s][0], float))) for s in stages)])
    across = (0.42 if len(stages) == 2 else 0.88) - shift / 2
    for column, stage in enumerate(stages):
        left = 0.09 + shift + (0.475 - shift / 2) * column
        top = figure.add_axes((left, bottom + 0.34 * height, across, 0.505 * height))
        low = figure.add_axes((left, bottom + 0.125 * height, across, 0.165 * height))
        _draw(top, bins[stage], colour or INK[0])
        _counts(low, np.asarray(bins[stage][0], float), most)
        for axes in (top, low):
            _ticks(axes.xaxis, HALVES)
            axes.tick_params(length=2.5)
        top.xaxis.set_major_formatter(NullFormatter())
        low.set_xlabel("predicted probability", labelpad=2)
        if column:
            for axes in (top, low):
                axes.yaxis.set_major_formatter(NullFormatter())
        else:
            figure.text(left, bottom + 0.867 * height, "observed frequency", color=MUTED[0], fontsize=SMALLEST)
            figure.text(left, bottom + 0.3 * height, "pixels", color=MUTED[0], fontsize=SMALLEST)
        heading = bottom + 0.935 * height
        ece = expected_error(bins[stage])
        error = "no pixels" if math.isnan(ece) else f"ECE {ece:.4f}"
        title = TITLES[stage] if across * figure.get_figwidth() > 2.1 else TITLES[stage].split()[0]
        figure.text(left, heading, title, fontsize=9.5, color=INK[0])
        figure.text(left + across, heading, error, fontsize=9.5, color=INK[0], ha="right", weight="bold")
    return bool(stages)


def _draw(axes: Axes, bins: Bins, colour: str) -> None:
    """Bars of the observed frequency, their gaps to the mean prediction, the diagonal, and whiskers."""
    count, confidence, frequency, *interval = (np.asarray(v, float) for v in bins)
    held = (count > 0) & np.isfinite(confidence) & np.isfinite(frequency)
    width = 1 / len(count)
    middle = (np.arange(len(count)) + 0.5)[held] * width
    reached, promised = frequency[held], confidence[held]
    _bars(axes, middle, width, np.zeros_like(reached), reached, fc=(colour, 0.45), ec=(colour, 0.45), lw=0.6)
    _bars(axes, middle, width, reached, promised, fc=(GAP, 0.22), lw=0)
    # Its lines are bars of their own: in an SVG one bar has one opacity, and lines as faint as the bar are unseen.
    _bars(axes, middle, width, reached, promised, fc="none", ec=GAP, lw=0.6, hatch="////")
    if interval:
        low, high = (v[held] for v in interval)
        axes.vlines(middle, low, high, color=INK[0], lw=1.1, zorder=3)
    axes.plot([0, 1], [0, 1], color=MUTED[0], lw=1, ls=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _ticks(axes.yaxis, HALVES)


def _bars(axes: Axes, middle: np.ndarray, width: float, bottom: np.ndarray, top: np.ndarray, **look: Any) -> None:
    """Bars as one artist, which takes a fifth of the seconds of `Axes.bar`; the limits of the axes stay as they are."""
    left, right = middle - width / 2, middle + width / 2
    corners = np.array([(left, bottom), (left, top), (right, top), (right, bottom)]).transpose(2, 0, 1)
    axes.add_collection(PolyCollection([*corners], **look), autolim=False)


def _counts(axes: Axes, count: np.ndarray, most: float) -> None:
    """Pixels per bin, on a logarithmic axis."""
    edges = np.linspace(0, 1, len(count) + 1)
    axes.stairs(np.maximum(np.nan_to_num(count), 0.5), edges, baseline=0.5, fill=True, color=MUTED[0])
    axes.set(yscale="log", xlim=(0, 1), ylim=(0.5, most * 3))
    decades = [10.0**d for d in range(0, 12, 2 if most > 1e3 else 1) if 10.0**d <= most]
    axes.yaxis.set_minor_locator(NullLocator())
    _ticks(axes.yaxis, {d: _decade(d) for d in decades})


def _ticks(axis: Axis, labels: Mapping[float, str]) -> None:
    """Ticks and what stands at them, made when they are drawn and not before."""
    axis.set_major_locator(FixedLocator([*labels]))
    axis.set_major_formatter(FixedFormatter([*labels.values()]))


def _decade(value: float) -> str:
    """1, 10, 100, 1k … 1M … for a narrow axis."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
