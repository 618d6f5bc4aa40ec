"""What of a pool is labelled, by whom it may be used, and what it has cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bal.pool.regions import Regions
from bal.types import IGNORE

UNLABELLED = 0
TRAINING = 1
AUDIT = 2  # labelled, and kept away from training
SKIPPED = 3  # nobody will label it


class Pool(NamedTuple):
    """The state of the M candidate regions of a pool. Never changed in place."""

    split: np.ndarray  # [M] uint8: UNLABELLED, TRAINING, AUDIT or SKIPPED
    answers: Mapping[int, np.ndarray]  # int32 [height, width] of each labelled region, by candidate index
    spent: float  # cost of everything labelled
    audited: float  # the part of it that was kept for audit
    stands_for: Mapping[int, float] = MappingProxyType({})  # of audited regions not drawn uniformly: their weight

    @property
    def eligible(self) -> np.ndarray:
        """[M] bool: what can still be bought."""
        return self.split == UNLABELLED

    @property
    def labelled(self) -> np.ndarray:
        """[M] bool: what has been bought."""
        return (self.split == TRAINING) | (self.split == AUDIT)

    def weights(self, index: Iterable[int]) -> np.ndarray:
        """[K] float64 what some audited regions stand for, 1 on average."""
        return np.array([self.stands_for.get(int(m), 1.0) for m in index], np.float64)

    def bought(self, split: int) -> dict[int, np.ndarray]:
        """The answers of one split, by candidate index, in ascending order."""
        return {int(m): self.answers[int(m)] for m in np.flatnonzero(self.split == split)}


def empty(candidates: int) -> Pool:
    """A pool of so many regions, none of them labelled."""
    return Pool(np.zeros(candidates, np.uint8), {}, 0.0, 0.0)


def add(
    pool: Pool,
    index: np.ndarray,
    cost: np.ndarray,
    splits: np.ndarray,
    answers: list[np.ndarray],
    weight: np.ndarray | None = None,
) -> Pool:
    """The pool after a purchase.

    Args:
        pool: before.
        index, cost, splits: [K] candidates, what each cost, and TRAINING or AUDIT.
        answers: K labels, each [height, width].
        weight: [K] what each audited one stands for; 1 unless given.

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
        stands_for={**pool.stands_for, **_uneven(index, splits, weight)},
    )


def _uneven(index: np.ndarray, splits: np.ndarray, weight: np.ndarray | None) -> dict[int, float]:
    """The weights that are not 1, of audited regions, by candidate index."""
    if weight is None:
        return {}
    mine = zip(index.tolist(), splits.tolist(), weight.tolist(), strict=True)
    return {m: w for m, split, w in mine if split == AUDIT and w != 1.0}


def skip(pool: Pool, index: np.ndarray) -> Pool:
    """The pool of which some regions [K] will not be labelled: they cost nothing and are not asked about again."""
    split = pool.split.copy()
    split[index] = SKIPPED
    return pool._replace(split=split)


def label_map(pool: Pool, regions: Regions, image: int, shape: tuple[int, int], split: int) -> np.ndarray:
    """int32 [H, W]: what is known of one image from one split, IGNORE elsewhere."""
    label = np.full(shape, IGNORE, np.int32)
    start, stop = regions.start[image], regions.start[image + 1]
    for m in start + np.flatnonzero(pool.split[start:stop] == split):
        top, left, height, width = regions.box[m]
        answer = pool.answers[int(m)]
        window = label[top : top + height, left : left + width]
        window[answer != IGNORE] = answer[answer != IGNORE]  # boxes around superpixels overlap
    return label


def pack(pool: Pool) -> dict[str, np.ndarray]:
    """The pool as plain arrays, for a checkpoint; the inverse of `unpack`."""
    labelled = np.flatnonzero(pool.labelled)
    flat = [pool.answers[int(m)].ravel() for m in labelled]
    packed = {"split": pool.split, "money": np.array([pool.spent, pool.audited], np.float64)}
    if pool.stands_for:
        uneven = sorted(pool.stands_for)
        packed |= {"uneven": np.array(uneven, np.int64), "weight": pool.weights(uneven)}
    return {**packed, "answers": np.concatenate(flat).astype(np.uint8)} if flat else packed


def unpack(packed: Mapping[str, np.ndarray], regions: Regions) -> Pool:
    """The pool from `pack`'s arrays and the regions it was made with."""
    split = np.asarray(packed["split"], np.uint8)
    labelled = np.flatnonzero((split == TRAINING) | (split == AUDIT))
    ends = np.cumsum(regions.box[labelled, 2:].prod(1, dtype=np.int64))
    pieces = np.split(np.asarray(packed["answers"], np.int32), ends[:-1]) if labelled.size else []
    answers = {int(m): piece.reshape(tuple(regions.box[m, 2:])) for m, piece in zip(labelled, pieces, strict=True)}
    spent, audited = (float(v) for v in np.asarray(packed["money"]))
    uneven = zip(packed.get("uneven", np.zeros(0)), packed.get("weight", np.zeros(0)), strict=True)
    return Pool(split, answers, spent, audited, {int(m): float(w) for m, w in uneven})
