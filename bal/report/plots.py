"""Figures of a run for the page or a notebook: plain matplotlib Figures, no pyplot, no global state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from bal.report.columns import FEW, Row, between, horizontal, number, of_whom, on_audit, over, sure
from bal.report.images import Panel, grey, labelled_rgb, score_range
from bal.report.style import (
    GRID,
    INK,
    MARKERS,
    MUTED,
    SMALLEST,
    WIDTH,
    class_colour,
    drawing,
    fitting,
    label_width,
    policy_colour,
    printable,
)

ROOM = 1.6  # inches for direct labels at most, so that most of a chart is the chart
LINE = 0.149  # inches from one of them to the next
HEIGHT = 2.485  # inches of axes whose labels have room beside them
MARGIN = 0.5075  # inches above and below the axes
CROWDED = 5  # above this many foreground classes, a curve per class is all that one figure can carry


def acquisition_curve(rows: Sequence[Row], classes: Sequence[str]) -> Figure:
    """IoU of every foreground class against cost; solid pooled, dashed the mean over images.

    Args:
        rows: rows of curve.csv, oldest first.
        classes: names; class 0 is the background and is left to `background_curve`.
    """
    with drawing():
        x, label = horizontal(rows)
        shown = list(enumerate(classes))[1:]
        crowded = len(shown) > CROWDED
        highest, bars, ends = 0.0, False, []
        names, width = short_names(classes[1:])
        axes = labelled_axes(0.45, width, max(HEIGHT, LINE * len(shown)))
        for k, name in shown:
            pooled = [number(row, f"iou_{name}") if sure(row, f"iou_{name}") else math.nan for row in rows]
            image = [math.nan if on_audit(row) else number(row, f"iou_image_{name}") for row in rows]
            if not crowded:
                spans = [between(row, f"iou_{name}") for row in rows]
                for at, value, (low, high) in zip(x, pooled, spans, strict=True):
                    if math.isfinite(value) and math.isfinite(high):
                        axes.plot([at, at], [low, high], color=class_colour(k), lw=1.1, alpha=0.75)
                        highest, bars = max(highest, high), True
                mark = "o" if len(rows) == 1 else ""
                axes.plot(
                    x, image, color=class_colour(k), lw=1.1, ls=(0, (3, 2.5)), alpha=0.75, marker=mark, mfc="none"
                )
            style = MARKERS[(k - 1) % len(MARKERS)] + ("-" if k < 10 else "--")
            axes.plot(x, pooled, style, color=class_colour(k), lw=2.2, ms=5 if len(rows) < 20 else 0)
            finite = [v for v in pooled if math.isfinite(v)]
            highest = max([highest, *finite, *(v for v in image if math.isfinite(v) and not crowded)])
            if finite and math.isfinite(pooled[-1]):
                ends.append((finite[-1], f"{names[name]} {finite[-1]:.2f}", class_colour(k)))
            elif finite:
                ends.append((finite[-1], names[name], class_colour(k)))
        if not ends:
            _nothing(axes, rows[-1])
        top = min(1.02, max(0.2, math.ceil(highest * 10 + 0.3) / 10))
        frame(axes, x, label, (0.0, top))
        direct_labels(axes, ends)
        means = "" if crowded or on_audit(rows[-1]) else f"{'open' if len(rows) == 1 else 'dashed'}: mean over images"
        whose = "IoU on the audited regions" if on_audit(rows[-1]) else "IoU, pooled over all test pixels"
        more = " · ".join(
            part for part in (means, f"bars: 95 % intervals {over(rows[-1])}".rstrip() if bars else "") if part
        )
        text = "\n".join(part for part in (whose, more) if part)
        heading(axes, text)
        return figure_of(axes)


def background_curve(rows: Sequence[Row], classes: Sequence[str]) -> Figure:
    """IoU of the background against cost, on its own scale, beside that of predicting background everywhere."""
    with drawing():
        axes = labelled_axes(0.55, label_width("all background 0.000"), HEIGHT)
        x, label = horizontal(rows)
        lines = (
            (f"iou_{classes[0]}", "pooled", class_colour(0), "o-", 2.2),
            (f"iou_image_{classes[0]}", "per image", class_colour(0), "--", 1.1),
            ("iou_all_background", "all background", INK[0], ":", 1.6),
        )
        values, ends = [], []
        for column, name, colour, style, width in lines:
            of_model = column != "iou_all_background"
            y = [number(row, column) if sure(row, f"iou_{classes[0]}") or not of_model else math.nan for row in rows]
            finite = [v for v in y if math.isfinite(v)]
            if finite:
                values += finite
                axes.plot(x, y, style, color=colour, lw=width, ms=5 if len(rows) < 20 else 0)
                if len(rows) == 1:
                    axes.axhline(finite[0], color=colour, lw=width, ls=style.strip("o"), alpha=0.6)
                ends.append((finite[-1], f"{of_whom(name, rows[-1])} {finite[-1]:.3f}", colour))
        if not any(line[2] == class_colour(0) for line in ends):
            _nothing(axes, rows[-1])
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        pad = max(0.005, 0.15 * (high - low))
        frame(axes, x, label, (low - pad, min(high + pad, 1.0 + pad / 2)))
        direct_labels(axes, ends)
        heading(axes, "IoU of the background, zoomed in")
        return figure_of(axes)


def panel(item: Panel, classes: Sequence[str]) -> Figure:
    """One image of the newest round: the image with its boxes, the score, the prediction and the truth if known.

    Args:
        item: image [H, W, Cin], prediction [H, W], truth [H, W] or None, score [H, W] in nats, boxes.
        classes: names; class 0 is the background.
    """
    with drawing():
        height, width = item.score.shape
        labels = [("prediction", item.prediction)]
        if item.truth is not None:
            labels.append(("truth", item.truth))
        n = 2 + len(labels)
        side_by_side = width < 3 * height
        size = (
            (11.0, 11.0 / n * min(height / width, 3) + 0.9) if side_by_side else (9.0, n * (8.0 * height / width + 0.4))
        )
        figure = Figure(figsize=size, layout="constrained")
        parts = np.ravel(figure.subplots(1 if side_by_side else n, n if side_by_side else 1))
        low, high = score_range([item])
        parts[0].imshow(grey(item.image), vmin=0, vmax=255, cmap="gray")
        mapped = parts[1].imshow(item.score, vmin=low, vmax=high, cmap="magma")
        figure.colorbar(mapped, ax=parts[1], label="nats", shrink=0.8)
        for axes, (_, label) in zip(parts[2:], labels, strict=True):
            axes.imshow(labelled_rgb(item.image, label))
        for axes, title in zip(parts, [printable(item.id, 40), "score", *(t for t, _ in labels)], strict=True):
            axes.set_title(title, fontsize=9.5)
            axes.set_axis_off()
        for axes, colour in ((parts[0], None), (parts[1], "white")):
            for box in item.boxes:
                pieces = list(box.edges().reshape(-1, 2, 2) - 0.5)
                axes.add_collection(LineCollection(pieces, colors=colour or policy_colour(box.policy), linewidths=1.5))
        marks = [Patch(color=class_colour(k), label=printable(c)) for k, c in enumerate(classes) if k]
        marks += [
            Patch(fill=False, ec=policy_colour(policy), label=printable(policy))
            for policy in dict.fromkeys(box.policy for box in item.boxes)
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=max(1, min(len(marks), 7)), frameon=False)
        return figure


def short_names(names: Sequence[str]) -> tuple[dict[str, str], float]:
    """Names as direct labels have them, with a number behind each, and the inches that all of that takes."""
    short = {name: fitting(name, ROOM - label_width(" 0.00")) for name in names}
    return short, max((label_width(f"{name} 0.00") for name in short.values()), default=0.0)


def labelled_axes(left: float, right: float, height: float) -> Axes:
    """Of a figure of its own, with so many inches beside it, the right ones for direct labels."""
    whole = height + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, whole))
    return figure.add_axes((left / WIDTH, MARGIN / whole, 1 - (left + 0.1 + right) / WIDTH, height / whole))


def figure_of(axes: Axes) -> Figure:
    """The one that they are in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _inches(axes: Axes) -> tuple[float, float]:
    """Width and height."""
    box, figure = axes.get_position(), figure_of(axes)
    return box.width * figure.get_figwidth(), box.height * figure.get_figheight()


def heading(axes: Axes, text: str) -> None:
    """A title above the axes, at their left."""
    above = 1 + 0.087 / _inches(axes)[1]
    axes.text(0, above, text, transform=axes.transAxes, color=MUTED[0], fontsize=SMALLEST)


def _nothing(axes: Axes, row: Row) -> None:
    """Says why there is no curve."""
    text = f"audited regions: {FEW}" if on_audit(row) else "nothing was measured"
    axes.text(0.5, 0.5, text, transform=axes.transAxes, color=MUTED[0], fontsize=SMALLEST, ha="center", va="center")


def frame(axes: Axes, x: Sequence[float], label: str, y: tuple[float, float]) -> None:
    """Limits, ticks and grid of a chart whose points lie at `x`, with its label."""
    finite = [v for v in x if math.isfinite(v)] or [0.0]
    pad = 0.03 * (max(finite) - min(finite)) or 1.0
    axes.set(xlim=(min(finite) - pad, max(finite) + pad), ylim=y)
    axes.set_xlabel(label)
    whole = all(float(v).is_integer() for v in finite)
    widest = max(label_width(f"{v:g}", "normal") for v in finite) + 0.1
    room = int(_inches(axes)[0] / widest)  # labels beside each other
    each = len(finite) <= min(7, room)
    axes.xaxis.set_major_locator(FixedLocator(finite) if each else MaxNLocator(max(1, min(6, room - 1)), integer=whole))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=GRID[0], lw=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3)


def direct_labels(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right end of their curves, moved as little as keeps them apart and beside the axes.

    The least-squares places y with y_i + gap ≤ y_(i+1) are those of an isotonic regression of y_i − i·gap.
    """
    bottom, top = axes.get_ylim()
    gap = LINE / _inches(axes)[1] * (top - bottom)
    ends = sorted(ends)
    blocks: list[tuple[float, int]] = []  # (mean, members) of pooled neighbours
    for i, (value, _, _) in enumerate(ends):
        block = value - i * gap, 1
        while blocks and blocks[-1][0] > block[0]:
            mean, members = blocks.pop()
            total = members + block[1]
            block = (mean * members + block[0] * block[1]) / total, total
        blocks.append(block)
    pooled = [mean for mean, members in blocks for _ in range(members)]
    highest = top - (len(ends) - 1) * gap
    places = [min(max(mean, bottom), highest) + i * gap for i, mean in enumerate(pooled)]
    transform = axes.get_yaxis_transform()
    for place, (_, text, colour) in zip(places, ends, strict=True):
        axes.text(1.012, place, text, transform=transform, color=colour, va="center", fontsize=SMALLEST, weight="bold")
