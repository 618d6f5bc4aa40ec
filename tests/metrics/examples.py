"""Predictions, labels and scores that the files of this folder measure."""

from __future__ import annotations

import numpy as np

from bal.metrics import tally as metrics
from bal.metrics.summary import summary
from bal.types import IGNORE

NAMES = ("background", "curve_1", "curve_2")
SHAPE = (4, 96, 64)
WIDE = (2, 160, 128)  # more pixels an image than a chunk, and not a multiple of it

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # calibrated and raw probabilities [B, H, W, C], labels [B, H, W]


def example(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Batch:
    """A sure and a calibrated prediction, a fifth of whose labels are missing; the last image is padding."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((*shape, 3)) + np.array([5.0, 0.0, -1.0])
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    truth[rng.random(shape) < 0.2] = IGNORE
    truth[-1] = IGNORE
    return softmax(1.1 * logits), softmax(3.0 * logits), truth.astype(np.int32)


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True)).astype(np.float32)


def scores(*probs: np.ndarray) -> np.ndarray:
    """[B, H, W, A] least confidence of several predictions."""
    return np.stack([1 - p.max(-1) for p in probs], -1)


def sure(predicted: np.ndarray, classes: int = 3) -> np.ndarray:
    """[...] classes → [..., C] probabilities of 0 and 1."""
    return np.eye(classes, dtype=np.float32)[predicted]


def tally(*batch: np.ndarray) -> metrics.Tally:
    """The sums of all images of a batch."""
    return metrics.total(metrics.tally_images(*batch))


def measure(*batches: Batch, names: tuple[str, ...] = NAMES) -> dict[str, float]:
    """The metrics of all images of some batches."""
    sums = metrics.zeros(len(names))
    for batch in batches:
        sums = metrics.add(sums, tally(*batch))
    return summary(sums, names)


def pick(each: metrics.Tally, rows: np.ndarray | slice | int) -> metrics.Tally:
    """The tallies of some images."""
    return {name: type(sums)(*(x[rows] for x in sums)) for name, sums in each.items()}


def assert_close(left: metrics.Tally, right: metrics.Tally) -> None:
    """Equal counts, and other sums up to rounding."""
    assert left.keys() == right.keys()
    for name, sums in left.items():
        for field, a, b in zip(sums._fields, sums, right[name], strict=True):
            exact = np.asarray(a).dtype.kind == np.asarray(b).dtype.kind == "i"
            np.testing.assert_allclose(a, b, rtol=0 if exact else 1e-5, err_msg=f"{name}.{field}")
