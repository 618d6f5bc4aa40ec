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


FACIES = 5  # kinds of rock in one well
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

    value_c = blur(mean_c[facies] + bed_c) + rough_c[facies] · AR-like noise; means and noises are both correlated
    between the curves, with either sign, as density and neutron are.

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
    sign, tie = rng.choice([-1.0, 1.0]), rng.uniform(0.2, 0.8)
    rock = rng.normal(0, 0.2, size=(FACIES, 2))
    rock[:, 1] = sign * tie * rock[:, 0] + np.sqrt(1 - tie**2) * rock[:, 1]
    rock += rng.uniform(0.3, 0.7, size=2)  # each curve keeps to its own part of the track
    rough = rng.lognormal(-3.2, 0.5, size=(FACIES, 2))
    beds = np.maximum(rng.lognormal(1.9, 0.8, size=n // 2 + 8).astype(int), 2)
    facies = rng.integers(FACIES, size=beds.size)
    layer = np.repeat(np.arange(beds.size), beds)[:n]  # [n]
    bed = rng.normal(0, 0.05, size=(beds.size, 2))
    mean = _blur(rock[facies[layer]] + bed[layer], rng.uniform(0.7, 1.8))  # [n, 2]
    white = rng.standard_normal((n, 3))
    noise = 1.5 * _blur(white, 1.8) + 0.5 * _blur(rng.standard_normal((n, 3)), 0.6)  # [n, 3]
    noise = 0.8 * noise[:, :2] + 0.6 * noise[:, 2:]  # a shared part correlates the two
    value = mean + rough[facies[layer]] * noise
    if log:  # deep and shallow resistivity follow each other
        value[:, 1] = 0.7 * value[:, 0] + 0.3 * value[:, 1] + rng.uniform(-0.15, 0.15)
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
        log: draw on a logarithmic axis; None = where the first curve spans a factor of 12 or more.

    Returns:
        A window of n samples.
    """
    candidates = starts(well, n)
    start = int(candidates[rng.integers(candidates.size)])
    spans = [np.nanpercentile(v, (3, 97)) for v in well.value]
    if log is None:
        log = bool(spans[0][0] > 0 and spans[0][1] > 12 * spans[0][0])
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
