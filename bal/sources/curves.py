"""The pair of curves that a log shows: drawn from a generator of layered rock, or cut from a real well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """Two curves over one stretch of depth, on the axis of their track."""

    value: np.ndarray  # [2, n] 0 = left edge of the track, 1 = right edge; beyond is off scale; NaN = missing
    top: float  # depth of the first sample
    step: float  # depth between samples
    names: tuple[str, str]
    limits: tuple[tuple[float, float], tuple[float, float]]  # what the left and right edge stand for
    log: bool  # the axis is logarithmic


class Well(NamedTuple):
    """Two curves of one well, as read from a file."""

    name: str
    depth: np.ndarray  # [rows]
    value: np.ndarray  # [2, rows] in the units of the file; NaN = missing
    names: tuple[str, str]


FACIES = np.array(  # mean of curve 1, mean of curve 2, and how rough each is, as shares of the axis
    [
        [0.70, 0.62, 0.035, 0.030],  # shale
        [0.32, 0.40, 0.020, 0.025],  # sand
        [0.45, 0.22, 0.025, 0.020],  # gas sand: the curves cross over
        [0.18, 0.20, 0.015, 0.015],  # limestone
        [0.85, 0.82, 0.050, 0.060],  # coal or washed-out shale
    ]
)
KINDS = (
    ("GR", "CALI", (0, 150), (6, 16), False),
    ("SP", "GR", (-160, 40), (0, 200), False),
    ("RHOB", "NPHI", (1.95, 2.95), (0.45, -0.15), False),
    ("DT", "GR", (140, 40), (0, 150), False),
    ("ILD", "ILM", (0.2, 200), (0.2, 200), True),
    ("LLD", "LLS", (0.2, 2000), (0.2, 2000), True),
)


def generate(rng: np.random.Generator, n: int, off_scale: float, grid: str) -> Window:
    """Layered facies seen through a tool of finite resolution, with correlated noise.

    value_c = blur(mean_c[facies] + bed_c) + rough_c[facies] · AR-like noise, the two noises correlated.

    Args:
        rng: where the randomness comes from.
        n: samples.
        off_scale: probability that the axis is chosen so tight that a curve runs off it.
        grid: "linear", "log" or "any".

    Returns:
        A window of n samples, half a foot apart.
    """
    kinds = [k for k in KINDS if grid == "any" or k[4] == (grid == "log")]
    first, second, limits1, limits2, log = kinds[rng.integers(len(kinds))]
    beds = np.maximum(rng.lognormal(2.2, 0.8, size=n // 2 + 8).astype(int), 2)
    facies = rng.integers(len(FACIES), size=beds.size)
    bed = rng.normal(0.0, 0.06, size=(beds.size, 2))
    layer = np.repeat(np.arange(beds.size), beds)[:n]  # [n]
    row = FACIES[facies[layer]]  # [n, 4]
    resolution = rng.uniform(0.6, 1.6)
    mean = _blur(row[:, :2] + bed[layer], resolution)
    white = rng.standard_normal((n, 3))
    slow = _blur(white, 2.5) * 2.5 + 0.35 * _blur(rng.standard_normal((n, 3)), 0.6)  # [n, 3]
    noise = 0.8 * slow[:, :2] + 0.6 * slow[:, 2:]  # a shared part correlates the two
    value = mean + row[:, 2:] * noise
    if log:  # deep and shallow resistivity follow each other
        value[:, 1] = 0.75 * value[:, 0] + 0.25 * value[:, 1] + 0.05
    gain, shift = 1.0, 0.0
    if rng.random() < off_scale:
        gain, shift = rng.uniform(1.3, 1.8), rng.uniform(-0.35, 0.35)
    value = 0.5 + gain * (value - 0.5) + shift
    top = 10 * float(rng.integers(50, 1200))
    return Window(value.T, top, 0.5, (first, second), (limits1, limits2), log)


def cut(well: Well, rng: np.random.Generator, n: int, log: bool | None) -> Window:
    """A random stretch of a well on the axis that its own 3rd to 97th percentiles span.

    Args:
        well: at least one stretch of n samples must pass `starts`.
        rng: where the randomness comes from.
        n: samples.
        log: draw on a logarithmic axis; None = where the first curve spans more than a decade and a half.

    Returns:
        A window of n samples.
    """
    candidates = starts(well, n)
    start = int(candidates[rng.integers(candidates.size)])
    spans = [np.nanpercentile(v, (3, 97)) for v in well.value]
    if log is None:
        log = bool(spans[0][0] > 0 and spans[0][1] > 30 * spans[0][0])
    value = np.empty((2, n))
    limits = []
    for c in range(2):
        low, high = (float(v) for v in spans[c])
        raw = well.value[c, start : start + n].astype(np.float64)
        if log:
            low = max(low, 1e-3)
            low, high = np.log10(low), np.log10(max(high, 10 * low))
            raw = np.log10(np.maximum(raw, 1e-6))
        high = max(high, low + 1e-6)
        value[c] = (raw - low) / (high - low)
        limits.append((10**low, 10**high) if log else (low, high))
    depth = well.depth[start : start + n]
    step = float((depth[-1] - depth[0]) / (n - 1))
    return Window(value, float(depth[0]), step, well.names, (limits[0], limits[1]), log)


def starts(well: Well, n: int, present: float = 0.9) -> np.ndarray:
    """Rows at which n consecutive samples begin of which each curve has the given share.

    Args:
        well: any well.
        n: samples.
        present: the least share of samples that are not missing, for each curve.

    Returns:
        int [any]: row numbers, empty where the well has no such stretch.
    """
    if well.depth.size < n:
        return np.empty(0, int)
    total = np.cumsum(np.pad(np.isfinite(well.value), ((0, 0), (1, 0))), axis=1)  # [2, rows + 1]
    share = (total[:, n:] - total[:, :-n]) / n  # [2, rows - n + 1]
    return np.flatnonzero((share >= present).all(axis=0))


def _blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian smoothing of [n, k] along n, edges repeated."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(x, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(c, kernel / kernel.sum(), mode="valid") for c in padded.T], axis=1)
