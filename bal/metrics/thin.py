"""Thin structures, of which a pixel to the left is no error and a gap is one: tolerant F1 and centreline Dice.

A curve three pixels wide that is drawn one pixel off has an IoU of a half, and so has one of which every second
centimetre is missing; whoever reads values off it minds only the second. Two F-scores say which it is. Both are the
harmonic mean of a precision over what is predicted as a class and a recall over what is labelled as it, of every class
but the background:

    tolerant F1:      precision = share of P within `within` pixels of T,  recall = share of T within as much of P
    centreline Dice:  precision = share of S(P) inside T,                  recall = share of S(T) inside P

P and T are the pixels predicted and labelled as the class, S their centrelines, and distance is Euclidean. The first
forgives a shift and still sees the width of a stroke; the second forgives both within the width, and weighs a thin
stroke like a thick one.

*Centrelines* are the hard limit of the soft skeleton of the paper, which is S(X) = ∪_k E^k X \\ D E^(k+1) X, with E the
minimum over a pixel and its four neighbours, as often as it takes, and D the maximum over it and its eight. E^k X is
where the taxicab distance d to the edge of X exceeds k, so a pixel is in S exactly if no neighbour of its eight has a
larger d: one pass over the image instead of one for every pixel of a half width, integers, alike on every machine, and
scipy has it (a true thinning needs scikit-image, which a run must do without). It is as connected as X only by and
large, and a stroke of even width has a centreline two pixels wide; neither matters to a share.

*Unlabelled pixels* count for nothing, match nothing, and are no edge: a stroke that runs into them, or out of the
image, keeps its centreline up to the last labelled pixel, so that padding changes nothing. A mask without any edge is
its own centreline, so a centreline is empty only where the mask is.

References:
    Shit et al. 2021, "clDice – a novel topology-preserving loss function for tubular structure segmentation",
    arXiv:2003.07311.

    Mnih and Hinton 2010, "Learning to detect roads in high-resolution aerial images", ECCV: precision and recall that
    are relaxed by a distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from bal.metrics.base import Cell, Headline, LabelledImage, of_classes
from bal.metrics.histograms import ratio
from bal.types import BadInput


class Sums(NamedTuple):
    """F = C − 1 classes; pairs are predicted and labelled pixels, then how many match and how many there are."""

    near: Any  # [F, 2, 2] pixels; matched: within reach of the other
    centre: Any  # [F, 2, 2] pixels of centrelines; matched: inside the other
    near_sum: Any  # [F] sum of the tolerant F1 of the images in which the class is present in truth or prediction
    centre_sum: Any  # [F] the same of their centreline Dice
    images: Any  # [F] how many those are


@dataclass(frozen=True)
class Thin:
    """Tolerant F1 and centreline Dice of every class but the background, pooled and as a mean over images.

    NaN where a class is in neither truth nor prediction, 0 where it is in one of them.

    Raises:
        BadInput: `within` is no distance.
    """

    within: float = 2.0
    """Pixels that a stroke may be off for the tolerant F1; Euclidean, from centre to centre."""

    def __post_init__(self) -> None:
        if not 0 <= self.within < math.inf:
            raise BadInput(f"within: expected 0 ≤ within < infinity, in pixels, got {self.within}")

    def zeros(self, classes: int, scores: int) -> Sums:
        counts, images = (classes - 1, 2, 2), classes - 1
        return Sums(
            near=np.zeros(counts, np.int64),
            centre=np.zeros(counts, np.int64),
            near_sum=np.zeros(images),
            centre_sum=np.zeros(images),
            images=np.zeros(images, np.int64),
        )

    def of_image(self, image: LabelledImage) -> Sums:
        valid, classes = image.valid, np.arange(1, image.predictive.shape[-1]).reshape(-1, 1, 1, 1)
        maps = np.stack([image.predicted, image.label])  # [2, H, W]
        masks = (maps == classes) & valid  # [F, 2, H, W]
        near = _matched(masks, dilate(masks, self.within)[:, ::-1])
        centre = _matched(np.array([[centreline(m, valid) for m in pair] for pair in masks]), masks[:, ::-1])
        present = masks.any((1, 2, 3))
        near_sum, centre_sum = (np.where(present, f_score(counts), 0.0) for counts in (near, centre))
        return Sums(near, centre, near_sum, centre_sum, present)

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        found = {
            "tolerant_f1": f_score(sums.near),
            "cldice": f_score(sums.centre),
            "tolerant_f1_image": ratio(sums.near_sum, sums.images),
            "cldice_image": ratio(sums.centre_sum, sums.images),
        }
        return [(f"{metric}_{c}", each[..., i]) for metric, each in found.items() for i, c in enumerate(classes[1:])]

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return [f"{metric}_{c}" for metric in _METRICS for c in classes[1:]]

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        off = f"{self.within:g} pixel{'' if self.within == 1 else 's'}"
        told = {name: text.replace("<within>", off) for name, text in _MEANINGS.items()}
        return of_classes(told, classes[1:])

    def cells(self, classes: Sequence[str]) -> list[Cell]:
        titles = f"F1 ± {self.within:g} px", "clDice"
        groups = "pooled over pixels", "per image"
        heads = [(group, title) for group in groups for title in titles]
        return [
            Cell(f"{metric}_{c}", c, *head) for c in classes[1:] for metric, head in zip(_METRICS, heads, strict=True)
        ]

    def headlines(self, classes: Sequence[str]) -> list[Headline]:
        caption = "clDice: how far the centrelines of prediction and truth run inside each other"
        return [Headline(f"cldice_{c}", c, f"clDice\n{c}", f"cldice_image_{c}", caption) for c in classes[1:]]


_METRICS = ("tolerant_f1", "cldice", "tolerant_f1_image", "cldice_image")
_MEAN = "on each test image and then averaged over those that show or predict it."
_MEANINGS = {
    "tolerant_f1_{}": "F1 of “{}”, pooled over all test pixels, where a predicted pixel is right with a true one "
    "within <within>, and a true one is found with a predicted one as near.",
    "cldice_{}": "Centreline Dice of “{}”, pooled over all test pixels: harmonic mean of the share of the predicted "
    "centreline inside the truth and of the true centreline inside the prediction. Low where strokes are broken.",
    "tolerant_f1_image_{}": f"F1 of “{{}}” with a tolerance of <within>, {_MEAN}",
    "cldice_image_{}": f"Centreline Dice of “{{}}”, {_MEAN}",
}


def f_score(counts: np.ndarray) -> np.ndarray:
    """2 P R / (P + R) of a precision P and a recall R, given as what matches and all there is.

    Args:
        counts: [..., 2, 2], of the prediction and of the truth.

    Returns:
        [...] 0 … 1: 0 where one of the two is empty, NaN where both are.
    """
    matched, there = np.asarray(counts)[..., 0], np.asarray(counts)[..., 1]  # [..., 2] each
    share = matched / np.maximum(there, 1)  # [..., 2]
    return np.where(there.any(-1), 2 * share.prod(-1) / np.where(share.any(-1), share.sum(-1), 1), np.nan)


def dilate(masks: np.ndarray, within: float) -> np.ndarray:
    """[..., H, W] bool → [..., H, W] bool, the pixels at most `within` from one that is set, centre to centre."""
    height, width = masks.shape[-2:]
    reach = min(int(within), max(height, width) - 1)
    padded = np.pad(masks, [(0, 0)] * (masks.ndim - 2) + [(reach, reach)] * 2)
    steps = range(-reach, reach + 1)
    shifts = [(y, x) for y in steps for x in steps if y * y + x * x <= within * within]
    found = np.zeros_like(masks)
    for y, x in shifts:
        found |= padded[..., reach + y : reach + y + height, reach + x : reach + x + width]
    return found


def centreline(mask: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The pixels of a mask whose taxicab distance to its edge is at least that of each of their eight neighbours.

    Args:
        mask: [H, W] bool. valid: [H, W] bool, labelled pixels, the mask's among them; others are no edge.

    Returns:
        [H, W] bool; empty only for an empty mask.
    """
    distance = np.asarray(
        ndimage.distance_transform_cdt(mask | ~valid, "taxicab")
    )  # [H, W], −1 everywhere without an edge
    seen = np.pad(np.where(valid, distance, -1), 1, constant_values=-1)  # [H + 2, W + 2]
    across = np.maximum(np.maximum(seen[:, :-2], seen[:, 1:-1]), seen[:, 2:])  # [H + 2, W]
    return mask & (distance >= np.maximum(np.maximum(across[:-2], across[1:-1]), across[2:]))


def _matched(masks: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """[F, 2, H, W] bool twice → [F, 2, 2] pixels of each mask that lie inside, and all of them."""
    return np.stack([(masks & inside).sum((-2, -1)), masks.sum((-2, -1))], -1)  # [F, 2, 2]
