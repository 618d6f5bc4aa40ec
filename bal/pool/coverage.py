"""Some of everything that there is to see: strata of regions that look alike, before any model is there.

Regions are described by what the first layer of a network would see of them: brightness, and how strongly it changes
along each axis and about a point, at three scales. k-means makes as many strata of them as regions are wanted, and each
stratum has the same chance, however many regions are in it: rare looks are drawn as often as common ones.

Reference:
    Hacohen, Dekel & Weinshall 2022, "Active learning on a budget: opposite strategies suit high and low budgets",
    arXiv:2202.02794 (typicality within clusters, one a label); here drawn at random within them, so that every
    probability is known.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter1d, gaussian_laplace

from bal.pool.contrast import mixed

SCALES = (0.7, 1.5, 3.0)  # pixels
FAINT = 1e-3  # a response that there is none to speak of
APPEARANCE = 2 + 6 * len(SCALES)  # numbers that say what a whole image looks like
FITTED = 20_000  # regions at most to which strata are fitted


def features(image: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """What a first layer sees of each region.

    Args:
        image: float32 [H, W, Cin]. cut: int32 [H, W], the region of every pixel.

    Returns:
        float32 [R, 10]: mean brightness, and the logarithm of the mean size of each response.
    """
    grey, region = image.mean(-1, dtype=np.float32), cut.ravel()
    pixels = np.maximum(np.bincount(region), 1)
    sizes = [np.abs(response) for response in _responses(grey)]
    means = [np.bincount(region, values.ravel()) / pixels for values in (grey, *sizes)]
    return np.stack([means[0], *(np.log(values + FAINT) for values in means[1:])], -1).astype(np.float32)


def appearance(image: np.ndarray) -> np.ndarray:
    """What a first layer sees of a whole image [H, W, Cin], wherever in it: APPEARANCE numbers, float32.

    Mean and standard deviation of the brightness, and the logarithms of the mean size of each response and of its
    standard deviation.
    """
    grey = image.mean(-1, dtype=np.float32)
    sizes = [np.abs(response) for response in _responses(grey)]
    values = [v for size in sizes for v in (size.mean(dtype=np.float64), size.std(dtype=np.float64))]
    bright = [grey.mean(dtype=np.float64), grey.std(dtype=np.float64)]
    return np.array([*bright, *np.log(np.array(values) + FAINT)], np.float32)


def _responses(grey: np.ndarray) -> list[np.ndarray]:
    """Along each axis and about a point, at every scale, of a brightness [H, W]."""
    return [
        response
        for scale in SCALES
        for response in (
            gaussian_filter1d(gaussian_filter1d(grey, scale, 0), scale, 1, order=1) * scale,
            gaussian_filter1d(gaussian_filter1d(grey, scale, 1), scale, 0, order=1) * scale,
            gaussian_laplace(grey, scale) * scale**2,
        )
    ]


def strata(seen: np.ndarray, able: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[M] the stratum of every region, 0 … count − 1; −1 where it cannot be drawn.

    Args:
        seen: [M, F] what is seen of each, NaN where it was not looked at.
        able: [M] bool, which can be drawn.
        count: strata; fewer if there is less to tell apart.
        rng: draws the first centres.
    """
    mine = np.flatnonzero(able & np.isfinite(seen).all(1))
    found = np.full(able.shape, -1)
    if not mine.size:
        return found
    values = seen[mine].astype(np.float64)
    values = (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)
    some = values if len(values) <= FITTED else values[rng.choice(len(values), FITTED, replace=False)]
    count = max(1, min(count, len(np.unique(some, axis=0))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stratum that runs empty is no error
        centres, _ = kmeans2(some, count, minit="++", rng=rng)
    nearest = [
        ((part[:, None] - centres) ** 2).sum(-1).argmin(1) for part in np.array_split(values, -(-len(values) // 4096))
    ]
    found[mine] = np.concatenate(nearest)
    return found


def even(stratum: np.ndarray, able: np.ndarray) -> np.ndarray:
    """[M] weights of draws that give every stratum the same chance; a fifth of them pays no heed to strata."""
    drawn = able & (stratum >= 0)
    sizes = np.bincount(stratum[drawn], minlength=1)
    return mixed(np.where(drawn, 1 / np.maximum(sizes[np.maximum(stratum, 0)], 1), 0.0), able)
