"""How well prediction and truth overlap: IoU and F1 of every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bal.metrics.base import Cell, Headline, LabelledImage, of_classes
from bal.metrics.histograms import ratio
from bal.types import confusion, jaccard


class Sums(NamedTuple):
    """One confusion matrix of all pixels, and the IoU of each image by itself."""

    confusion: Any  # [C, C] pixels by true class, then predicted class
    iou_sum: Any  # [C] sum of the IoU of the images in which the class is present in truth or prediction
    iou_images: Any  # [C] how many those are


@dataclass(frozen=True)
class Overlap:
    """Intersection over union, and F1 (Dice), of the most likely class after calibration.

        IoU = TP / (TP + FP + FN),   F1 = 2 TP / (2 TP + FP + FN)

    Pooled over all pixels, or computed on every image and then averaged: two quantities, neither of which bounds the
    other. NaN where the class is in neither truth nor prediction.
    """

    def zeros(self, classes: int, scores: int) -> Sums:
        return Sums(np.zeros((classes, classes), np.int64), np.zeros(classes), np.zeros(classes, np.int64))

    def of_image(self, image: LabelledImage) -> Sums:
        classes = image.predictive.shape[-1]
        table = confusion(image.label[image.valid], image.predicted[image.valid], classes)
        hit, union = _hit(table), _union(table)
        iou = hit.astype(np.float32) / np.maximum(union, 1).astype(np.float32)  # as earlier runs have recorded it
        return Sums(table, np.where(union > 0, iou, 0.0), union > 0)

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        table = np.asarray(sums.confusion, np.float64)
        hit, union = _hit(table), _union(table)
        found = {
            "iou": jaccard(table),
            "f1": ratio(2 * hit, union + hit),
            "iou_image": ratio(sums.iou_sum, sums.iou_images),
        }
        return [(f"{metric}_{c}", each[..., i]) for metric, each in found.items() for i, c in enumerate(classes)]

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return [f"iou_{c}" for c in classes]

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        return of_classes(_MEANINGS, classes)

    def cells(self, classes: Sequence[str]) -> list[Cell]:
        pooled, image = "pooled over pixels", "per image"
        shown = ("iou", pooled, "IoU"), ("f1", pooled, "F1"), ("iou_image", image, "IoU")
        return [Cell(f"{metric}_{c}", c, group, title) for c in classes for metric, group, title in shown]

    def headlines(self, classes: Sequence[str]) -> list[Headline]:
        return [Headline(f"iou_{c}", c, c, beside=f"iou_image_{c}") for c in classes]


_MEANINGS = {
    "iou_{}": "IoU of “{}”, pooled: one confusion matrix over all test pixels. "
    "Intersection ÷ union of prediction and truth.",
    "f1_{}": "F1 (Dice) of “{}”, pooled over all test pixels. Equals 2·IoU ÷ (1 + IoU).",
    "iou_image_{}": "IoU of “{}”, computed on each test image and then averaged over those that show or predict it. "
    "Not the same quantity as the pooled one, and neither bounds the other.",
}


def _hit(table: np.ndarray) -> np.ndarray:
    """[..., C, C] → [..., C] pixels of a class that are predicted as it."""
    return np.diagonal(table, axis1=-2, axis2=-1)


def _union(table: np.ndarray) -> np.ndarray:
    """[..., C, C] → [..., C] pixels of a class in truth or prediction."""
    return table.sum(-1) + table.sum(-2) - _hit(table)
