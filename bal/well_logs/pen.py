"""Ink: a round pen that moves along a path and covers pixels exactly, without supersampling."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bal.well_logs.warp import Warp

Values = float | np.ndarray
CHUNK = 1 << 16  # points stamped at a time, bounds memory


def walk(points: np.ndarray, step: float) -> np.ndarray:
    """Points at most `step` apart along a polyline; a segment with a NaN end is a gap.

    Args:
        points: [n, 2].
        step: pixels.

    Returns:
        [m, 2].
    """
    start, move = points[:-1], np.diff(points, axis=0)
    length = np.hypot(move[:, 0], move[:, 1])
    count = np.where(np.isfinite(length), np.ceil(np.nan_to_num(length) / step), 0).astype(int)  # [n - 1]
    segment = np.repeat(np.arange(count.size), count)  # [m]
    within = np.arange(segment.size) - (np.cumsum(count) - count)[segment]
    return start[segment] + move[segment] * (within / count[segment])[:, None]


def stamp(canvas: np.ndarray, row: np.ndarray, column: np.ndarray, radius: Values, ink: Values = 1.0) -> None:
    """Presses a round pen on the canvas at every point: canvas = max(canvas, ink · clip(r + ½ - distance, 0, 1)).

    A pixel is covered by half or more exactly where its centre lies within the radius, which is what masks use.

    Args:
        canvas: [H, W] float32, contiguous, changed in place.
        row: [m] pixels; points off the canvas are left out.
        column: [m] pixels.
        radius: scalar or [m] pixels.
        ink: scalar or [m], how dark.
    """
    height, width = canvas.shape
    flat = canvas.reshape(-1)
    far = float(np.max(radius, initial=0)) + 1
    near = (row > -far) & (row < height - 1 + far) & (column > -far) & (column < width - 1 + far)
    y, x = row[near].astype(np.float32), column[near].astype(np.float32)
    r, a = (np.broadcast_to(np.asarray(k, np.float32), row.shape)[near] for k in (radius, ink))
    reach = np.ceil(r + 0.5).astype(int)  # pixels from the centre that the pen may touch
    for k in np.unique(reach):
        group = np.flatnonzero(reach == k)
        for part in np.array_split(group, group.size // CHUNK + 1):
            iy, ix = np.rint(y[part]).astype(np.int64), np.rint(x[part]).astype(np.int64)
            for oy in range(-k, k + 1):
                py = iy + oy
                for ox in range(-k, k + 1):
                    px = ix + ox
                    cover = r[part] + 0.5 - np.hypot(py - y[part], px - x[part])
                    hit = (cover > 0) & (py >= 0) & (py < height) & (px >= 0) & (px < width)
                    value = (np.minimum(cover, 1) * a[part])[hit].astype(np.float32)
                    np.maximum.at(flat, (py * width + px)[hit], value)


@lru_cache(maxsize=16)
def _font(size: int):
    return ImageFont.load_default(size)


def write(canvas: np.ndarray, warp: Warp, text: str, u: float, v: float, size: int, ink: float) -> None:
    """Prints text centred on a point of the page, turned as the page is turned there.

    Args:
        canvas: [H, W] float32, changed in place.
        warp: page to scan.
        text: one line.
        u: pixels down the page.
        v: pixels across the page.
        size: height of the type in pixels.
        ink: how dark.
    """
    left, top, right, bottom = (int(np.floor(b)) for b in _font(size).getbbox(text))
    patch = Image.new("L", (right - left + 5, bottom - top + 5))
    ImageDraw.Draw(patch).text((2 - left, 2 - top), text, fill=255, font=_font(size))
    angle = np.degrees(warp.slope(u, v))
    if abs(angle) > 0.3:
        patch = patch.rotate(-angle, resample=Image.Resampling.BICUBIC, expand=True)
    row, column = warp(np.array([u]), np.array([v]))
    y, x = round(float(row[0]) - patch.height / 2), round(float(column[0]) - patch.width / 2)
    height, width = canvas.shape
    y0, y1, x0, x1 = max(y, 0), min(y + patch.height, height), max(x, 0), min(x + patch.width, width)
    if y0 < y1 and x0 < x1:
        glyph = np.asarray(patch, np.float32)[y0 - y : y1 - y, x0 - x : x1 - x] / 255
        area = canvas[y0:y1, x0:x1]
        np.maximum(area, ink * glyph, out=area)
