"""Normalisation of feature maps that cannot see padding.

Statistics over pixels are taken over valid pixels only; statistics over channels are taken pixel by pixel. Either
way an image has the same features alone, padded into a larger bucket, and beside other images.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from bal.types import Array, BadInput

Kind = Literal["none", "group", "layer", "rms"]
EPS = 1e-5
CHANNELS_PER_GROUP = 8


def valid_pixels(size: Array | None, height: int, width: int, factor: int) -> Array | None:
    """1 where a feature map of `height` × `width` covers a valid pixel of the image, else 0.

    Args:
        size: [B, 2] valid height and width of the image in pixels, or None when all of it is valid.
        height, width: of the feature map.
        factor: pixels of the image a side of one cell of the feature map.

    Returns:
        [B, height, width, 1] float32, or None.
    """
    if size is None:
        return None
    cells = (size + factor - 1) // factor  # [B, 2]
    rows = jnp.arange(height)[None, :] < cells[:, :1]  # [B, height]
    columns = jnp.arange(width)[None, :] < cells[:, 1:]  # [B, width]
    return (rows[:, :, None] & columns[:, None, :]).astype(jnp.float32)[..., None]  # [B, height, width, 1]


def _group_statistics(x: Array, valid: Array | None) -> tuple[Array, Array]:
    """Mean and variance of each group of channels over valid pixels, as [B, 1, 1, F]. Wu & He (2018).

    Per-channel sums first, grouped afterwards: a reshape of the whole map to five axes costs four times as much.
    """
    batch, height, width, features = x.shape
    groups = max(1, features // CHANNELS_PER_GROUP)
    each = features // groups
    pixels = jnp.full((batch, 1), height * width, jnp.float32) if valid is None else valid.sum((1, 2))  # [B, 1]
    seen = x.astype(jnp.float32) if valid is None else x * valid
    first, second = seen.sum((1, 2)), (seen * seen).sum((1, 2))  # [B, F]

    def spread(channel_sums: Array) -> Array:
        mean = channel_sums.reshape(batch, groups, each).sum(-1) / (pixels * each)  # [B, groups]
        return jnp.repeat(mean, each, axis=-1)[:, None, None, :]  # [B, 1, 1, F]

    mean = spread(first)
    return mean, jnp.maximum(spread(second) - mean * mean, 0.0)


class Norm(nnx.Module):
    """y = scale · (x − mean) / √(variance + ε) + bias, with the statistics of `kind` (`none`: 0 and 1)."""

    def __init__(self, features: int, kind: Kind):
        if kind == "group" and features >= CHANNELS_PER_GROUP and features % CHANNELS_PER_GROUP:
            raise BadInput(f"group normalisation needs a multiple of {CHANNELS_PER_GROUP} channels, got {features}")
        self.kind = kind
        self.scale = nnx.Param(jnp.ones((features,)))
        self.bias = nnx.Param(jnp.zeros((features,)))

    def absorb(self, kernel: Array) -> Array:
        """The kernel [3, 3, F, G] of the convolution before, with what else would be a pass over its result in it."""
        return kernel * self.scale[...][None, None, None] if self.kind == "none" else kernel

    def __call__(self, x: Array, valid: Array | None) -> Array:
        """[B, h, w, F] from a convolution with an absorbed kernel."""
        scale, bias = (p[...][None, None, None] for p in (self.scale, self.bias))  # [1, 1, 1, F]
        if self.kind == "none":
            return x + bias
        if self.kind == "group":
            mean, variance = _group_statistics(x, valid)
            x = ((x - mean) * jax.lax.rsqrt(variance + EPS)).astype(x.dtype)
        elif self.kind == "layer":
            mean = x.mean(-1, keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(x.var(-1, keepdims=True) + EPS)
        elif self.kind == "rms":
            x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS)
        return x * scale + bias
