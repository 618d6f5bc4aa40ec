"""How many clicks a curve takes with a trace tool: the fewest anchors whose shortest paths stay on it.

A trace tool joins two clicks by the path of least Σ −log p of the class (a geodesic of the prediction), and paints it
in the stroke's width. Where the prediction follows the curve, two clicks are enough for any length of it; where it does
not, the path leaves the curve and an anchor has to hold it.

Reference:
    Cohen & Kimmel (1997), "Global minimum for active contour models: a minimal path approach", IJCV 24(1); Mortensen &
    Barrett (1995), "Intelligent scissors for image composition".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from bal.types import IGNORE

NEAR = 1.5  # pixels that a path may be off the curve: one, also at a corner
LEAST = 1e-3  # a probability that is lower counts as this much
ALL = np.ones((3, 3), bool)


class Traced(NamedTuple):
    """What tracing the curves of one region takes."""

    clicks: int
    left: np.ndarray  # bool [height, width]: what a stroke along the paths does not paint


def trace(label: np.ndarray, probability: np.ndarray) -> Traced:
    """Anchors for every piece of every class but the background.

    A piece is traced along its longest way from end to end; what is farther from that than the stroke is wide, such as
    a branch, is left for the brush.

    Args:
        label: [height, width] class ids, IGNORE where not known.
        probability: [C, height, width], or whatever is higher on a curve.
    """
    clicks, left = 0, np.zeros(label.shape, bool)
    for c in range(1, len(probability)):
        pieces, count = pieces_of((label == c) & (label != IGNORE))
        cost = -np.log(np.maximum(probability[c], LEAST)) + 0.01  # a little for length, where p is 1
        for k in range(1, count + 1):
            piece = pieces == k
            way = longest_way(piece)
            clicks += anchors(way, cost)
            left |= piece & ~_stroke(piece, way)
    return Traced(clicks, left)


def anchors(way: np.ndarray, cost: np.ndarray) -> int:
    """The fewest points of a way [L, 2], its ends among them, between which least-cost paths stay within NEAR of it.

    Args:
        way: rows and columns, neighbours in order. cost: [height, width] of stepping on a pixel, positive.
    """
    near = _distance(way, cost.shape) <= NEAR
    found, at = 1, 0
    index = way[:, 0] * cost.shape[1] + way[:, 1]
    while at < len(way) - 1:
        inside = _stays(cost, int(index[at]), near.ravel())
        reached = np.flatnonzero(inside[index[at + 1 :]])
        at += int(reached[-1]) + 1 if reached.size else 1
        found += 1
    return found


def longest_way(piece: np.ndarray) -> np.ndarray:
    """[L, 2] rows and columns: the longest of the shortest ways within a piece [height, width], from end to end."""
    inside = np.flatnonzero(piece)
    graph = sparse.csr_matrix(_grid(np.ones(piece.shape))[inside][:, inside])
    first = int(np.argmax(np.asarray(dijkstra(graph, directed=False, indices=0))))
    distance, before = (np.asarray(x) for x in dijkstra(graph, directed=False, indices=first, return_predecessors=True))
    way = [int(np.argmax(distance))]
    while before[way[-1]] >= 0:
        way.append(int(before[way[-1]]))
    return np.stack(np.unravel_index(inside[way[::-1]], piece.shape), -1)


def _stays(cost: np.ndarray, start: int, near: np.ndarray) -> np.ndarray:
    """[P] bool: whether the least-cost path from `start` to each pixel stays on what is `near`."""
    distance, before = dijkstra(_grid(cost), indices=start, return_predecessors=True)
    stays = near.copy()
    for pixel in np.argsort(distance, kind="stable"):  # a pixel comes after the one before it
        if pixel != start:
            stays[pixel] &= stays[before[pixel]]
    return stays


def _grid(cost: np.ndarray) -> sparse.csr_matrix:
    """The graph of 8 neighbours: a step costs the mean of its two pixels, times its length."""
    height, width = cost.shape
    number = np.arange(cost.size).reshape(cost.shape)
    rows, columns, values = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (slice(dy, height), slice(max(0, dx), width + min(0, dx)))
        step = (cost[here] + cost[there]) / 2 * np.hypot(dy, dx)
        for a, b in ((here, there), (there, here)):
            rows.append(number[a].ravel())
            columns.append(number[b].ravel())
            values.append(step.ravel())
    every = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix((np.concatenate(values), every), shape=(cost.size, cost.size))


def _stroke(piece: np.ndarray, way: np.ndarray) -> np.ndarray:
    """bool [height, width]: what a pen along the way paints, as wide as the piece is on average, and a pixel more."""
    return _distance(way, piece.shape) <= piece.sum() / len(way) / 2 + 1


def _distance(way: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[height, width] pixels from the nearest point of a way [L, 2]."""
    off = np.ones(shape, bool)
    off[tuple(way.T)] = False
    return np.asarray(ndimage.distance_transform_edt(off))


def pieces_of(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """[height, width] the number of each pixel's piece, 0 outside, and how many pieces there are."""
    pieces = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, ALL, pieces)
    return pieces, int(pieces.max(initial=0))
