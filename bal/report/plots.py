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

from bal.report.columns import Row, between, horizontal, number, of_whom, on_audit, sure
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
    policy_colour,
    printable,
)

PER_LETTER = 0.088  # inches that a letter of a direct label takes
CROWDED = 5  # above this many foreground classes, a curve per class is all that one figure can carry


def acquisition_curve(rows: Sequence[Row], classes: Sequence[str]) -> Figure:
    """IoU of every foreground class against cost; solid pooled, dashed the mean over images.

    Args:
        rows: rows of curve.csv, oldest first.
        classes: names; class 0 is the background and is left to `background_curve`.
    """
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.5))
        x, label = horizontal(rows)
        shown = list(enumerate(classes))[1:]
        crowded = len(shown) > CROWDED
        highest, bars, ends = 0.0, False, []
        longest = max((len(printable(name)) for _, name in shown), default=0) + 5
        axes = figure.add_axes((0.45 / WIDTH, 0.145, 1 - (0.55 + PER_LETTER * longest) / WIDTH, 0.71))
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
                ends.append((finite[-1], f"{printable(name)} {finite[-1]:.2f}", class_colour(k)))
            elif finite:
                ends.append((finite[-1], printable(name), class_colour(k)))
        top = min(1.02, max(0.2, math.ceil(highest * 10 + 0.3) / 10))
        _frame(axes, x, label, (0.0, top))
        direct_labels(axes, ends, top, gap=0.06 * top)
        means = "" if crowded or on_audit(rows[-1]) else f"{'open' if len(rows) == 1 else 'dashed'}: mean over images"
        whose = "IoU on the audited regions" if on_audit(rows[-1]) else "IoU, pooled over all test pixels"
        more = " · ".join(part for part in (means, "bars: 95 % intervals" if bars else "") if part)
        text = "\n".join(part for part in (whose, more) if part)
        axes.text(0, 1.035, text, transform=axes.transAxes, color=MUTED[0], fontsize=SMALLEST)
        return figure


def background_curve(rows: Sequence[Row], classes: Sequence[str]) -> Figure:
    """IoU of the background against cost, on its own scale, beside that of predicting background everywhere."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.5))
        axes = figure.add_axes((0.55 / WIDTH, 0.145, 1 - (0.6 + PER_LETTER * 20) / WIDTH, 0.71))
        x, label = horizontal(rows)
        lines = (
            (f"iou_{classes[0]}", "pooled", class_colour(0), "o-", 2.2),
            (f"iou_image_{classes[0]}", "per image", class_colour(0), "--", 1.1),
            ("iou_all_background", "all background", INK[0], ":", 1.6),
        )
        values, ends = [], []
        for column, name, colour, style, width in lines:
            y = [number(row, column) for row in rows]
            finite = [v for v in y if math.isfinite(v)]
            if finite:
                values += finite
                axes.plot(x, y, style, color=colour, lw=width, ms=5 if len(rows) < 20 else 0)
                if len(rows) == 1:
                    axes.axhline(finite[0], color=colour, lw=width, ls=style.strip("o"), alpha=0.6)
                ends.append((finite[-1], f"{of_whom(name, rows[-1])} {finite[-1]:.3f}", colour))
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        pad = max(0.005, 0.15 * (high - low))
        _frame(axes, x, label, (low - pad, min(high + pad, 1.0 + pad / 2)))
        direct_labels(axes, ends, high + pad, gap=0.066 * (high - low + 2 * pad))
        axes.text(
            0, 1.035, "IoU of the background, zoomed in", transform=axes.transAxes, color=MUTED[0], fontsize=SMALLEST
        )
        return figure


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


def _frame(axes: Axes, x: Sequence[float], label: str, y: tuple[float, float]) -> None:
    finite = [v for v in x if math.isfinite(v)] or [0.0]
    pad = 0.03 * (max(finite) - min(finite)) or 1.0
    axes.set(xlim=(min(finite) - pad, max(finite) + pad), ylim=y)
    axes.set_xlabel(label)
    whole = all(float(v).is_integer() for v in finite)
    axes.xaxis.set_major_locator(FixedLocator(finite) if len(finite) <= 7 else MaxNLocator(6, integer=whole))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=GRID[0], lw=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3)


def direct_labels(axes: Axes, ends: list[tuple[float, str, str]], top: float, gap: float) -> None:
    """Names at the right end of their curves, moved as little as keeps them `gap` apart, never above `top`.

    The least-squares places y with y_i + gap ≤ y_(i+1) are those of an isotonic regression of y_i − i·gap.
    """
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
    over = max(0.0, pooled[-1] + (len(ends) - 1) * gap - top) if ends else 0.0
    places = [mean - over + i * gap for i, mean in enumerate(pooled)]
    transform = axes.get_yaxis_transform()
    for place, (_, text, colour) in zip(places, ends, strict=True):
        axes.text(1.012, place, text, transform=transform, color=colour, va="center", fontsize=SMALLEST, weight="bold")
