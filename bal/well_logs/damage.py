"""What time, coffee and the scanner do to a page: only the image changes, never the mask."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from bal.well_logs.style import Style
from bal.well_logs.warp import Warp


def scan(rng: np.random.Generator, ink: np.ndarray, warp: Warp, style: Style) -> np.ndarray:
    """The page as the scanner saw it.

    image = paper · stains · (1 - contrast · bleed(ink · wear)) + grain

    Args:
        rng: where the randomness comes from.
        ink: float32 [U, V] in [0, 1].
        warp: page to scan; says where the seams are.
        look: the knobs.

    Returns:
        uint8 [U, V].
    """
    shape = ink.shape
    if style.stroke_variance:
        ink = ink * np.clip(1 + 0.9 * style.stroke_variance * smooth(rng, shape, 10), 0.3, 1.15)
    if style.bleed:
        sigma = style.bleed * rng.uniform(0.75, 1.25)
        spread = gaussian_filter(ink, sigma)
        ink = np.maximum(spread * (1 + 0.35 * style.bleed), 0.35 * ink)
    ink = np.clip(ink, 0, 1) * np.float32(rng.uniform(style.contrast, style.darkest))
    paper = _paper(rng, shape, style)
    _stains(paper, rng, style)
    _seams(paper, rng, warp)
    image = paper * (1 - ink)
    if style.grain:
        grain = rng.standard_normal(shape, dtype=np.float32)
        image += style.grain * (0.6 * grain + 0.9 * gaussian_filter(grain, 0.8))
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth noise of about unit variance: white noise on a coarse lattice, interpolated.

    Args:
        rng: where the randomness comes from.
        shape: of the result.
        cell: pixels between lattice points.

    Returns:
        float32 [U, V].
    """
    coarse = rng.standard_normal([max(int(n / cell), 1) + 3 for n in shape], dtype=np.float32)
    height, width = (int(n * cell) for n in coarse.shape)
    fine = Image.fromarray(coarse).resize((max(width, shape[1]), max(height, shape[0])), Image.Resampling.BICUBIC)
    return 1.3 * np.asarray(fine)[: shape[0], : shape[1]]


def _paper(rng: np.random.Generator, shape: tuple[int, int], style: Style) -> np.ndarray:
    width = shape[1]
    paper = np.full(shape, rng.uniform(0.9 - 0.6 * style.brightness, 0.98), np.float32)
    if style.brightness:
        direction = rng.uniform(0, 2 * np.pi)
        down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None] * np.float32(np.sin(direction))
        across = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(direction))
        paper -= np.float32(style.brightness) * np.maximum(0.6 * (down + across), -0.2)
        paper += 0.3 * style.brightness * smooth(rng, shape, width / 2)
        paper += 0.12 * style.brightness * smooth(rng, shape, 5)  # fibres
    return paper


def _stains(paper: np.ndarray, rng: np.random.Generator, style: Style) -> None:
    """Blots with a dark rim, and coffee rings; each works on its own window of the page."""
    length, width = paper.shape
    frames = length / width
    for ring, rate in ((False, style.stains), (True, style.rings)):
        for _ in range(rng.poisson(rate * frames)):
            radius = rng.uniform(0.2, 0.45) * width if ring else rng.uniform(0.06, 0.3) * width
            u, v = rng.uniform(0, length), rng.uniform(0, width)
            reach = int(1.5 * radius) + 2
            u0, u1 = max(int(u) - reach, 0), min(int(u) + reach, length)
            v0, v1 = max(int(v) - reach, 0), min(int(v) + reach, width)
            if u0 >= u1 or v0 >= v1:
                continue
            y = np.arange(u0, u1, dtype=np.float32)[:, None] - np.float32(u)
            x = np.arange(v0, v1, dtype=np.float32)[None] - np.float32(v)
            turn = np.arctan2(y, x)
            edge = radius * (1 + sum(_lobe(rng, k, ring) * np.cos(k * turn + _phase(rng)) for k in (2, 3, 5)))
            d = (np.hypot(y, x) - edge) / max(0.035 * width, 1.0)  # distance to the rim
            depth = rng.uniform(0.08, 0.3)
            rim = np.exp(-0.5 * (d / 0.5) ** 2)
            fill = 0.12 if ring else rng.uniform(0.3, 0.9)
            tone = rim * (0.5 + 0.5 * np.cos(turn + _phase(rng))) if ring else 0.5 * rim
            paper[u0:u1, v0:v1] *= 1 - depth * np.clip(tone + fill / (1 + np.exp(4 * np.clip(d, -9, 9))), 0, 1)


def _lobe(rng: np.random.Generator, k: int, ring: bool) -> float:
    return float(rng.normal(0, 0.015 if ring else 0.3 / k))


def _phase(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * np.pi))


def _seams(paper: np.ndarray, rng: np.random.Generator, warp: Warp) -> None:
    """The shadow of an overlapping sheet at every seam."""
    length, width = paper.shape
    column = np.arange(width)
    for position, _, _ in warp.seams:
        row, _ = warp(np.full(width, position), column.astype(np.float64))
        dark, reach = rng.uniform(0.1, 0.45), rng.uniform(1.0, 3.0)
        for k in range(-1, 8):
            at = np.rint(row).astype(int) + k
            on = (at >= 0) & (at < length)
            paper[at[on], column[on]] *= 1 - dark * np.exp(-max(k, -k * 2) / reach)
