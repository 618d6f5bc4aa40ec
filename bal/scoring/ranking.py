"""The K highest of any number of scores, streamed: exact, and the same whatever the chunks and their order.

Scores are ranked by (score, lower index first); NaN, infinities and what is not eligible are never ranked, and 0 and −0
are equal. `jax.lax.top_k` alone would rank NaN first, and 0 before −0.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.types import Array

BLOCK = 128  # scores that are first looked at through their maximum
CHUNK = 2**16  # scores of a host array that are looked at together: a quarter of a megabyte
LARGEST = 2**31 - 1  # indices are int32


class Best(NamedTuple):
    """The highest scores so far, best first; −inf and −1 where there are fewer than K."""

    score: Array  # [K] float32
    index: Array  # [K] int32


def nothing(k: int) -> Best:
    """No score yet, and room for k ≥ 1."""
    return Best(jnp.full(k, -jnp.inf, jnp.float32), jnp.full(k, -1, jnp.int32))


@functools.partial(jax.jit, static_argnames="k")
def highest(scores: Array, eligible: Array | None, k: int) -> Best:
    """The k highest of scores [n] and their positions, at once; `eligible` [n] bool, None for all. 1 ≤ k ≤ n."""
    blocks = _blocks(scores, eligible)
    return _pick(blocks, blocks.max(1), k)


@jax.jit
def merge(best: Best, scores: Array, eligible: Array | None, first: Array | int) -> Best:
    """The K best of those so far and of some more. Scores that cannot change the ranking cost only their maximum.

    Args:
        best: [K] so far.
        scores: [n] more; like the other two in any shape, counted row by row.
        eligible: [n] bool, None for all.
        first: int32, the index of the first, the others following it; or the indices [n] of all, ascending where
            eligible.

    Returns:
        [K]; the same in whatever order chunks are merged.
    """
    k, first = best.score.size, jnp.asarray(first, jnp.int32)
    blocks = _blocks(scores, eligible)
    maxima = blocks.max(1)

    def merged() -> Best:
        score, at = _pick(blocks, maxima, min(k, blocks.size))
        index = jnp.where(at < 0, -1, first.ravel()[at] if first.ndim else first + at)
        falling, index = jax.lax.sort(
            (-jnp.concatenate([best.score, score]), jnp.concatenate([best.index, index])), num_keys=2
        )
        return Best(-falling[:k], index[:k])

    return jax.lax.cond(maxima.max() >= best.score[-1], merged, lambda: best)


def top(scores: np.ndarray, eligible: np.ndarray | None, k: int, chunk: int = CHUNK) -> Best:
    """The k highest of an array on the host.

    The host looks through it a chunk at a time for scores above the k-th best so far, and collects them; a full chunk
    of those goes to the device. Of random scores that is a handful of chunks, however many there are.

    Args:
        scores: [M].
        eligible: [M] bool, None for all.
        k: how many; may exceed M.
        chunk: scores at a time.
    """
    if scores.size > LARGEST:
        raise ValueError(f"at most {LARGEST} scores can be ranked, got {scores.size}")
    best, floor, count = nothing(k), -np.inf, 0
    waiting = np.empty(chunk, np.int32)  # the first `count` are indices of scores that may be among the best

    def merged() -> Best:
        filled = np.arange(chunk) < count
        index = np.where(filled, waiting, 0)
        return merge(best, scores[index].astype(np.float32, copy=False), filled, index)

    for first in range(0, scores.size, chunk):
        hopeful = scores[first : first + chunk] > floor  # an equal one has a higher index than those it equals
        if eligible is not None:
            hopeful &= eligible[first : first + chunk]
        found = first + np.flatnonzero(hopeful)
        if count + found.size > chunk:
            best = merged()
            floor, count = float(best.score[-1]), 0
        waiting[count : count + found.size] = found
        count += found.size
    return merged() if count else best


def _blocks(scores: Array, eligible: Array | None) -> Array:
    """[n] → [⌈n / BLOCK⌉, BLOCK], −inf for what must not be ranked."""
    usable = jnp.isfinite(scores) if eligible is None else jnp.isfinite(scores) & eligible
    scores = jnp.where(usable, jnp.where(scores == 0, 0.0, scores), -jnp.inf).astype(jnp.float32)
    padded = jnp.pad(scores.ravel(), (0, -scores.size % BLOCK), constant_values=-jnp.inf)
    return padded.reshape(-1, BLOCK)


def _pick(blocks: Array, maxima: Array, k: int) -> Best:
    """The k highest of [n / BLOCK, BLOCK], found in the k blocks of the highest maxima.

    Were one of them in another block, each of those k blocks would hold a score that ranks before it: a higher one, or
    an equal one in an earlier block. Blocks are then put in ascending order, so that ties still go to the lower index.
    """
    chosen = jnp.sort(jax.lax.top_k(maxima, min(k, maxima.size))[1])
    score, at = jax.lax.top_k(blocks[chosen].ravel(), k)
    index = chosen[at // BLOCK] * BLOCK + at % BLOCK
    return Best(score, jnp.where(score > -jnp.inf, index, -1))
