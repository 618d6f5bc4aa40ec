"""Where a point of the printed page lies in the scan: one map for all ink, so that masks stay exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bal.well_logs.style import Style


class Warp(NamedTuple):
    """Crooked feed and seams, then perspective, then skew. Lengths in pixels, `u` down the depth, `v` across."""

    size: tuple[int, int]  # pixels along the depth and across
    angle: float  # radians
    tilt: tuple[float, float]
    feed: np.ndarray  # [k, 4] amplitude across, amplitude along, wavelength, phase
    seams: np.ndarray  # [k, 3] position along the depth, jump across, jump along

    def __call__(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Page to scan.

        (u, v) += feed(u) + seams(u);  p = c + (p - c) / (1 + a·(u - c)/U + b·(v - c)/V);  p = c + Rotate(p - c)

        Args:
            u: [...] pixels down the page.
            v: [...] pixels across the page.

        Returns:
            Two arrays of the same shape: row and column in the scan.
        """
        du, dv = np.zeros_like(u, dtype=np.float64), np.zeros_like(u, dtype=np.float64)
        for across, along, length, phase in self.feed:
            wave = np.sin(2 * np.pi * u / length + phase)
            dv += across * wave
            du += along * wave
        for position, across, along in self.seams:
            dv += np.where(u > position, across, 0.0)
            du += np.where(u > position, along, 0.0)
        cu, cv = (self.size[0] - 1) / 2, (self.size[1] - 1) / 2
        u, v = u + du - cu, v + dv - cv
        w = 1 + self.tilt[0] * u / self.size[0] + self.tilt[1] * v / self.size[1]
        u, v = u / w, v / w
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return cu + cos * u - sin * v, cv + sin * u + cos * v

    def slope(self, u: float, v: float) -> float:
        """Angle in radians by which the page is turned around a point; positive turns the text downwards."""
        row, column = self(np.array([u, u]), np.array([v - 2, v + 2]))
        return float(np.arctan2(row[1] - row[0], column[1] - column[0]))


def draw_warp(rng: np.random.Generator, size: tuple[int, int], style: Style) -> Warp:
    """A random page geometry.

    Args:
        rng: where the randomness comes from.
        size: pixels along the depth and across.
        look: uses skew, tilt, feed and seams. A long strip cannot be skewed far: its ends move by 8 % of its
            width at most, and perspective along it is weaker by as much as it is longer than wide.

    Returns:
        The map.
    """
    length, width = size
    cap = np.arcsin(min(1.0, 0.16 * width / length))
    angle = float(np.clip(np.radians(style.skew) * rng.uniform(-1, 1), -cap, cap))
    tilt = rng.uniform(-style.tilt, style.tilt, size=2) * (1.0, min(1.0, width / length))
    waves = 3
    feed = np.stack(
        [
            style.feed * width * rng.normal(size=waves) * 0.8,
            style.feed * width * rng.normal(size=waves) * 0.4,
            width * rng.uniform(0.6, 3.0, size=waves),
            rng.uniform(0, 2 * np.pi, size=waves),
        ],
        axis=1,
    )
    count = rng.poisson(style.seams * length / width)
    seams = np.stack(
        [
            rng.uniform(0.1, 0.9, size=count) * length,
            rng.normal(size=count) * 0.012 * width,
            rng.uniform(-0.5, 2.0, size=count),
        ],
        axis=1,
    )
    return Warp(size, angle, (float(tilt[0]), float(tilt[1])), feed, seams)
