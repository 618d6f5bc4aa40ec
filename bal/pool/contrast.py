"""Where there is something to see: how much the brightness varies within each region, before any model is there."""

from __future__ import annotations

import numpy as np

TOP = 0.25  # share of the regions that counts as rich in contrast
UNIFORM = 0.2  # share of the draws that pays no heed to anything, so that every region has a chance


def contrast(image: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Standard deviation of the brightness within each region.

    Args:
        image: float32 [H, W, Cin]. cut: int32 [H, W], the region of every pixel.

    Returns:
        float64 [R].
    """
    grey, region = image.mean(-1, dtype=np.float64).ravel(), cut.ravel()
    pixels = np.maximum(np.bincount(region), 1)
    mean = np.bincount(region, grey) / pixels
    return np.sqrt(np.bincount(region, (grey - mean[region]) ** 2) / pixels)


def rich(values: np.ndarray, able: np.ndarray) -> np.ndarray:
    """[M] weights of draws from the quarter with the highest values, and of a few from everywhere."""
    among = values[able]
    return mixed((values >= np.quantile(among, 1 - TOP)) if among.size else np.ones(able.shape), able)


def mixed(values: np.ndarray, able: np.ndarray) -> np.ndarray:
    """[M] weights of draws in proportion to values [M] ≥ 0, and for a share UNIFORM of them without; they sum to 1."""
    values = np.where(able & np.isfinite(values), values, 0.0).astype(np.float64)
    total, count = values.sum(), max(1, int(able.sum()))
    if total <= 0:
        return np.where(able, 1 / count, 0.0)
    return np.where(able, UNIFORM / count + (1 - UNIFORM) * values / total, 0.0)
