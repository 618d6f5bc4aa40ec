"""Draws one page of a two-curve well log: the printed layer, the two curves, and what was written on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bal.well_logs.curves import Window
from bal.well_logs.pen import stamp, walk, write
from bal.well_logs.style import Style
from bal.well_logs.warp import Warp

HALF, FINE = 0.7, 0.4  # pixels between stamps of a straight line and of a curve


class Page(NamedTuple):
    """Where things stand on the page, in pixels: `u` down the depth, `v` across."""

    size: tuple[int, int]  # along the depth, across
    track: tuple[float, float]  # left and right edge of the track
    column: tuple[float, float] | None  # the depth numbers
    top: float  # where the track begins, below the header if there is one
    header: float  # height of the header, 0 = none
    type: int  # height of the print
    pace: float  # pixels per depth sample
    scale: float  # how much wider strokes are than on a page 128 pixels across


def lay_out(rng: np.random.Generator, size: tuple[int, int], style: Style, pace: float) -> Page:
    """Chooses where the header, the depth numbers and the track stand.

    Args:
        rng: where the randomness comes from.
        size: pixels along the depth and across.
        look: uses the probability of a header.
        pace: pixels per depth sample.

    Returns:
        The layout.
    """
    length, width = size
    kind = int(np.clip(6.5 + width / 48, 8, 19))
    left, right = (rng.uniform(0.02, 0.07) * width for _ in range(2))
    column = None
    gutter = max(0.13 * width, 2.6 * kind)
    where = rng.random()
    if where < 0.5:
        column, left = (left, left + gutter), left + gutter
    elif where < 0.75:
        column, right = (width - right - gutter, width - right), right + gutter
    header = 3.4 * kind if rng.random() < style.header else 0.0
    top = rng.uniform(2, 6) + header if header else -0.1 * length
    scale = float(np.clip(np.sqrt(width / 128), 0.8, 2.2))
    return Page(size, (left, width - 1 - right), column, top, header, kind, pace, scale)


def draw(
    rng: np.random.Generator, page: Page, warp: Warp, window: Window, style: Style, dashed: tuple[bool, bool]
) -> tuple[np.ndarray, np.ndarray]:
    """All the ink on the page, and whose it is.

    Args:
        rng: where the randomness comes from.
        page: the layout.
        warp: page to scan.
        window: the curves; their first sample stands at the top of the track.
        look: the knobs.
        dashed: whether each curve is dashed.

    Returns:
        ink: float32 [U, V] in [0, 1], what share of the light it takes.
        label: uint8 [U, V], 1 or 2 where the pen of that curve covers half of the pixel, the later one on top.
    """
    printed = np.zeros(page.size, np.float32)
    _grid(printed, rng, page, warp, window, style)
    _print(printed, rng, page, warp, window, style)
    light = 1 - printed
    label = np.zeros(page.size, np.uint8)
    tone = rng.uniform(0.62, 0.95)
    thick = rng.uniform(*style.stroke) * page.scale
    for c in range(2):
        radius = 0.5 * thick * (1.0, rng.uniform(*style.thicker))[c]
        cover = np.zeros(page.size, np.float32)
        _curve(cover, rng, page, warp, window.value[c], radius, style, dashed[c])
        label[cover >= 0.5] = c + 1
        light *= 1 - cover * np.float32(np.clip(tone + rng.normal(0, 0.06), 0.45, 0.98))
    if style.handwriting:
        hand = np.zeros(page.size, np.float32)
        _handwriting(hand, rng, page, warp, style)
        light *= 1 - hand
    return 1 - light, label


def _curve(
    cover: np.ndarray,
    rng: np.random.Generator,
    page: Page,
    warp: Warp,
    value: np.ndarray,
    radius: float,
    style: Style,
    dashed: bool,
) -> None:
    left, right = page.track
    u = page.top + page.pace * np.arange(value.size)
    v = np.clip(value, -0.98, 1.98) * (right - left)
    path = walk(np.stack([u, v], axis=1), FINE)
    row, column = warp(path[:, 0], left + np.mod(path[:, 1], right - left))  # off scale = back from the other edge
    s = FINE * np.arange(row.size)  # arc length
    pen = np.full(row.size, radius)
    if style.stroke_variance:
        knots = np.arange(0, s.size * FINE + 24, 12.0)
        pen *= np.exp(style.stroke_variance * np.interp(s, knots, rng.normal(size=knots.size)))
        pen = np.clip(pen, 0.5, None)
    if dashed:
        dash, gap = (d * page.scale * rng.uniform(0.85, 1.2) for d in style.dash)
        down = np.mod(s + rng.uniform(0, dash + gap), dash + gap) < max(dash - 2 * radius, FINE)
        row, column, pen = row[down], column[down], pen[down]
    stamp(cover, row, column, pen)


def _grid(canvas: np.ndarray, rng: np.random.Generator, page: Page, warp: Warp, window: Window, style: Style) -> None:
    left, right = page.track
    length = page.size[0]
    start, end = (page.top if page.header else -0.1 * length), 1.1 * length
    thin = rng.uniform(0.18, 0.42)
    heavy = min(thin + rng.uniform(0.1, 0.25), 0.75)
    across = rng.random() < 0.75  # depth lines cross the track; else they are ticks on its edges
    lines: list[tuple[float, float, float, float, float, float]] = []  # u0, v0, u1, v1, radius, ink
    for u, major in depth_lines(page, window, start, end, rng):
        ink, r = (heavy, 0.55) if major else (thin, 0.4)
        if across or major:
            lines.append((u, left, u, right, r, ink))
        else:
            tick = 0.05 * (right - left)
            lines.append((u, left, u, left + tick, r, heavy))
            lines.append((u, right - tick, u, right, r, heavy))
    for share, major in track_lines(right - left, window, rng):
        v = left + share * (right - left)
        lines.append((start, v, end, v, 0.5 if major else 0.4, heavy if major else thin))
    edge = min(0.95, rng.uniform(0.65, 0.95))
    edges = [left, right] if page.column is None else sorted({left, right, *page.column})
    for v in edges:
        lines.append((start, v, end, v, 0.35 + 0.3 * page.scale, edge))
    paths, pens = [], []
    for u0, v0, u1, v1, r, ink in lines:
        u0, v0, u1, v1 = np.array([u0, v0, u1, v1]) + style.grid_jitter * rng.normal(0, 0.5, size=4)
        path = walk(np.array([[u0, v0], [u1, v1]]), HALF)
        if style.grid_jitter:
            along = np.arange(path.shape[0]) * HALF
            wave = np.sin(2 * np.pi * (along / rng.uniform(30, 120) + rng.random()))
            path += 0.5 * style.grid_jitter * wave[:, None]
        paths.append(path)
        pens.append(np.broadcast_to((r * page.scale**0.5, ink), path.shape))
    path, pen = np.concatenate(paths), np.concatenate(pens)  # [m, 2] both
    stamp(canvas, *warp(path[:, 0], path[:, 1]), pen[:, 0], pen[:, 1])


def depth_lines(
    page: Page, window: Window, start: float, end: float, rng: np.random.Generator | None = None
) -> list[tuple[float, bool]]:
    """Depth lines at round depths, five or ten thin ones to a heavy one.

    Args:
        page: the layout.
        window: the depths.
        start: pixels down the page.
        end: pixels down the page.
        rng: chooses among the spacings that are legible; None = the widest.

    Returns:
        Position in pixels and whether it is a heavy line, which bears a number.
    """
    pixels = page.pace / abs(window.step)  # per unit of depth
    room = [m for e in range(-3, 5) for m in (1 * 10.0**e, 2 * 10.0**e, 5 * 10.0**e)]
    legible = [m for m in room if 6 * page.scale**0.5 <= m * pixels <= 17 * page.scale**0.5]
    minor = legible[-1 if rng is None else rng.integers(len(legible))] if legible else room[-1]
    first = int(np.ceil((window.top + (start - page.top) / pixels) / minor))
    last = int(np.floor((window.top + (end - page.top) / pixels) / minor))
    return [(page.top + (k * minor - window.top) * pixels, k % 5 == 0) for k in range(first, last + 1)]


def track_lines(width: float, window: Window, rng: np.random.Generator) -> list[tuple[float, bool]]:
    """Lines along the depth that divide the axis of the track.

    Args:
        width: of the track, in pixels.
        window: its axis.
        rng: chooses the number of divisions.

    Returns:
        Position as a share of the axis and whether it is a heavy line.
    """
    if not window.log:
        n = 20 if width > 240 else (10, 10, 8)[rng.integers(3)]
        return [(i / n, i % (n // 2) == 0) for i in range(1, n)]
    low, high = np.log10(window.limits[0][0]), np.log10(window.limits[0][1])
    found = []
    for decade in range(int(np.floor(low)), int(np.ceil(high))):
        for k in range(1, 10):
            share = (decade + np.log10(k) - low) / (high - low)
            room = (np.log10(k + 1) - np.log10(k)) / (high - low) * width
            if 0.002 < share < 0.998 and (k == 1 or room > 2.6):
                found.append((float(share), k == 1))
    return found


def _print(canvas: np.ndarray, rng: np.random.Generator, page: Page, warp: Warp, window: Window, style: Style) -> None:
    ink, length = rng.uniform(0.6, 0.9), page.size[0]
    left, right = page.track
    start = page.top if page.header else -0.1 * length
    if page.column is not None:
        last = -np.inf
        for u, major in depth_lines(page, window, start, 1.1 * length):
            if major and u - last > 1.5 * page.type:
                depth = window.top + (u - page.top) * abs(window.step) / page.pace
                text = f"{depth:.0f}" if abs(depth - round(depth)) < 1e-3 else f"{depth:.1f}"
                write(canvas, warp, text, u, sum(page.column) / 2, page.type, ink)
                last = u
    if page.header:
        _header(canvas, page, warp, window, ink)
    for _ in range(rng.poisson(style.labels * length / page.size[1])):
        text = window.names[rng.integers(2)]
        u, v = rng.uniform(start, length), rng.uniform(left, right)
        write(canvas, warp, text, u, v, page.type, ink)


def _header(canvas: np.ndarray, page: Page, warp: Warp, window: Window, ink: float) -> None:
    """One line a curve: left limit, name, right limit, and a rule below it."""
    left, right = page.track
    top = page.top - page.header
    pitch = 0.5 * page.header
    for c in range(2):
        u = top + (c + 0.45) * pitch
        low, high = (f"{v:.3g}" for v in window.limits[c])
        span = right - left
        write(canvas, warp, window.names[c], u, (left + right) / 2, page.type, ink)
        write(canvas, warp, low, u, left + 0.14 * span, page.type, ink)
        write(canvas, warp, high, u, right - 0.14 * span, page.type, ink)
        rule = walk(np.array([[top + (c + 1) * pitch, left], [top + (c + 1) * pitch, right]]), HALF)
        stamp(canvas, *warp(rule[:, 0], rule[:, 1]), 0.5 * page.scale**0.5, ink)
    for v in (left, right):
        side = walk(np.array([[top - page.header, v], [page.top, v]]), HALF)
        stamp(canvas, *warp(side[:, 0], side[:, 1]), 0.35 + 0.3 * page.scale, ink)


def _handwriting(canvas: np.ndarray, rng: np.random.Generator, page: Page, warp: Warp, style: Style) -> None:
    """Scribbles (loops that travel), underlinings and rings around something."""
    length, width = page.size
    for _ in range(rng.poisson(style.handwriting * length / width)):
        size = rng.uniform(0.04, 0.08) * width + 2
        u, v = rng.uniform(0, length), rng.uniform(0.1, 0.9) * width
        kind = rng.random()
        if kind < 0.6:  # cursive
            t = np.linspace(0, rng.uniform(2, 6), 200)
            height = 1 + 0.6 * np.interp(t, np.arange(8), rng.uniform(-1, 1, 8))
            x = 1.3 * t + 0.7 * np.sin(2 * np.pi * t + 1.0)
            y = height * np.cos(2 * np.pi * t) + 0.2 * np.sin(7 * t)
        elif kind < 0.8:  # a stroke
            t = np.linspace(0, 1, 60)
            x = 6 * t
            y = rng.uniform(-1, 1) * t + 0.5 * np.sin(3 * t)
        else:  # a ring that does not close
            t = np.linspace(0, 2 * np.pi * rng.uniform(0.9, 1.15), 120)
            x, y = (2.5 + 0.1 * t) * np.cos(t), (1.6 + 0.1 * t) * np.sin(t)
        turn = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.25)
        du, dv = np.sin(turn) * x + np.cos(turn) * y, np.cos(turn) * x - np.sin(turn) * y
        path = walk(np.stack([u + size * du, v + size * dv], axis=1), FINE)
        press = 1 + 0.25 * np.sin(0.05 * np.arange(path.shape[0]))
        radius = rng.uniform(0.45, 0.8) * page.scale * press
        stamp(canvas, *warp(path[:, 0], path[:, 1]), radius, rng.uniform(0.4, 0.85))
