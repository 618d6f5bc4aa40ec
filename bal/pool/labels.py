"""What of a pool is labelled, by whom it may be used, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bal.pool.regions import Regions
from bal.types import IGNORE

UNLABELLED, TRAINING, AUDIT = 0, 1, 2


class Pool(NamedTuple):
    """The state of the M candidate regions of a pool. Never changed in place."""

    split: np.ndarray  # [M] uint8: UNLABELLED, TRAINING, or AUDIT (labelled, and kept away from training)
    answers: Mapping[int, np.ndarray]  # int32 [height, width] of each labelled region, by candidate index
    spent: float  # cost of everything labelled
    audited: float  # the part of it that was kept for audit

    @property
    def eligible(self) -> np.ndarray:
        """[M] bool: what can still be bought."""
        return self.split == UNLABELLED

    def bought(self, split: int) -> dict[int, np.ndarray]:
        """The answers of one lot, by candidate index, in ascending order."""
        return {int(m): self.answers[int(m)] for m in np.flatnonzero(self.split == split)}


def empty(candidates: int) -> Pool:
    """A pool of so many regions, none of them labelled."""
    return Pool(np.zeros(candidates, np.uint8), {}, 0.0, 0.0)


def add(pool: Pool, index: np.ndarray, cost: np.ndarray, splits: np.ndarray, answers: list[np.ndarray]) -> Pool:
    """The pool after a purchase.

    Args:
        pool: before.
        index, cost, lots: [K] candidates, what each cost, and TRAINING or AUDIT.
        answers: K labels, each [height, width].

    Raises:
        ValueError: a region is bought twice, or there is no such region (a query's padding, say).
    """
    if len(index) and not 0 <= index.min() <= index.max() < pool.split.size:
        raise ValueError(f"there is no region {index.min() if index.min() < 0 else index.max()}")
    if len(set(index.tolist())) < len(index) or not pool.eligible[index].all():
        raise ValueError("a region was bought twice")
    split = pool.split.copy()
    split[index] = splits
    return Pool(
        split=split,
        answers={**pool.answers, **dict(zip(index.tolist(), answers, strict=True))},
        spent=pool.spent + float(cost.sum(dtype=np.float64)),
        audited=pool.audited + float(cost[splits == AUDIT].sum(dtype=np.float64)),
    )


def label_map(pool: Pool, regions: Regions, image: int, shape: tuple[int, int], split: int) -> np.ndarray:
    """int32 [H, W]: what is known of one image from one lot, IGNORE elsewhere."""
    label = np.full(shape, IGNORE, np.int32)
    start, stop = regions.start[image], regions.start[image + 1]
    for m in start + np.flatnonzero(pool.split[start:stop] == split):
        top, left, height, width = regions.box[m]
        answer, window = pool.answers[int(m)], label[top : top + height, left : left + width]
        window[answer != IGNORE] = answer[answer != IGNORE]  # boxes around superpixels overlap
    return label


def pack(pool: Pool) -> dict[str, np.ndarray]:
    """The pool as plain arrays, for a checkpoint; the inverse of `unpack`."""
    labelled = np.flatnonzero(pool.split)
    flat = [pool.answers[int(m)].ravel() for m in labelled]
    return {
        "lot": pool.split,
        "answers": np.concatenate([np.zeros(0, np.uint8), *flat]).astype(np.uint8),
        "money": np.array([pool.spent, pool.audited], np.float64),
    }


def unpack(packed: Mapping[str, np.ndarray], regions: Regions) -> Pool:
    """The pool from `pack`'s arrays and the regions it was made with."""
    split = np.asarray(packed["lot"], np.uint8)
    labelled = np.flatnonzero(split)
    ends = np.cumsum(regions.box[labelled, 2:].prod(1, dtype=np.int64))
    pieces = np.split(np.asarray(packed["answers"], np.int32), ends[:-1])
    answers = {int(m): piece.reshape(tuple(regions.box[m, 2:])) for m, piece in zip(labelled, pieces, strict=False)}
    spent, audited = (float(v) for v in np.asarray(packed["money"]))
    return Pool(split, answers, spent, audited)
