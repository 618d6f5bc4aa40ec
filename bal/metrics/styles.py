"""How good on each style of image, on the mix that the pool has, and on the worst: from the sums of each test image.

A test set that has as many images of every style says little of a pool where a few styles are common, and the other way
round. With g a style, p_g its share of the pool's images, N_g its test images among N and S_g the sum of their sums:

    of a style   = columns(S_g)
    of the mix   = columns(Σ_g p_g · N / N_g · S_g)         as if the test set had the pool's proportions
    over styles  = mean over g of columns(S_g)              every style counts as much
    worst        = mean of the WORST lowest columns(S_g)

A style of the pool without a test image has no part in the mix, and a style where a metric is undefined none in the
means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from bal.metrics.tally import Tally, values

WORST = 3
MEANS = ("mix", "styles", "worst")


class Styled(NamedTuple):
    """The sums of a test set by style: of G styles that have a test image."""

    names: tuple[str, ...]  # G
    images: np.ndarray  # [G] of the test set
    share: np.ndarray  # [G] of the pool's images, 0 … 1
    sums: Tally  # [G, …]


def split(each: Tally, test: Sequence[str], pool: Sequence[str], names: Sequence[str]) -> Styled:
    """Adds up the sums of images of one style.

    Args:
        each: tallies of N images, [N, …] (`evaluate.tally_each`).
        test: the style of each of them.
        pool: the style of each image of the pool.
        names: of all styles, in the order in which they are reported.
    """
    seen, there = Counter(test), Counter(pool)
    found = tuple(name for name in names if name in seen)
    of = np.array([[style == name for style in test] for name in found])  # [G, N]
    share = np.array([there[name] / max(len(pool), 1) for name in found])
    return Styled(found, of.sum(1), share, jax.tree.map(lambda x: np.stack([x[rows].sum(0) for rows in of]), each))


def mix(styled: Styled) -> Tally:
    """The sums of as many test images in the proportions of the pool, float64."""
    weight = styled.share * styled.images.sum() / styled.images  # [G] of one image
    return jax.tree.map(lambda x: np.tensordot(weight, np.asarray(x, np.float64), 1), styled.sums)


def by_style(styled: Styled, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """For every style its test images, its share of the pool, and every column of every family; NaN where undefined."""
    columns = values(styled.sums, classes)
    return {
        name: {"images": int(styled.images[g]), "pool_share": float(styled.share[g])}
        | {column: float(found[g]) for column, found in columns}
        for g, name in enumerate(styled.names)
    }


def columns_of(styled: Styled, classes: Sequence[str]) -> dict[str, float]:
    """The IoU of every class of the mix, as a mean over styles, and as a mean of the worst, as columns of curve.csv."""
    mixed, found = dict(values(mix(styled), classes)), dict(values(styled.sums, classes))
    iou = {c: found[f"iou_{c}"] for c in classes}  # [G] each
    means = (
        {c: float(mixed[f"iou_{c}"]) for c in classes},
        {c: lowest(iou[c], len(styled.names)) for c in classes},
        {c: lowest(iou[c], WORST) for c in classes},
    )
    return {f"iou_{kind}_{c}": mean[c] for kind, mean in zip(MEANS, means, strict=True) for c in classes}


def names(classes: Sequence[str]) -> list[str]:
    """What `columns_of` gives."""
    return [f"iou_{kind}_{c}" for kind in MEANS for c in classes]


def lowest(value: np.ndarray, most: int) -> float:
    """The mean of at most so many of the lowest values, NaN left out; NaN if there are none."""
    known = np.sort(value[~np.isnan(value)])[:most]
    return float(known.mean()) if known.size else float("nan")
