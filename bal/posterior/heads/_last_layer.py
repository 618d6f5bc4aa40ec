"""What posteriors over the output layer share: the labelled pixels as it sees them, and how it is sampled.

The output layer of a network is one 1×1 convolution of the finest features. Where a cell of these holds G pixels of the
image, each of the G has weights of its own, so that it is a linear classifier for each of them:

    z_g = θ_gᵀ φ,   φ = (features of the cell, 1) [F + 1],   θ [G, F + 1, C]

All of it is computed once in `prepare` but for the last product, so S samples cost little more than one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.heads._plain import keep
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import HasCells, Net
from bal.types import IGNORE, Array, BadInput, Batch, Key, Params

ROOM = 2**15  # pixels seen at a time by `labelled_cells`: the memory that a fit takes, whatever the number of labels


WANTED = "a posterior over the last layer needs a network whose readout"


class Cells(NamedTuple):
    """What the output layer sees of some labelled images."""

    feature: Array  # [P, F + 1] float32, of every cell; the last one is 1, for the bias
    label: Array  # [G, P] int32, of each of its pixels; IGNORE where unlabelled


def features(net: Net, params: Params, x: Array, size: Array | None) -> Any:
    """Full-context features of a batch, as `net.readout` takes them."""
    return net.decode(params, net.encode(params, x, size, keep), keep)


def plain_loss(net: Net, params: Params, batch: Batch, criterion: Criterion) -> Array:
    """The loss of the network as it is, without noise of any kind."""
    return criterion(net.readout(params, features(net, params, batch.image, batch.size), keep), batch.label)


def noise_key(seed: int, s: Array | int) -> Key:
    """Of the s-th sample: it depends on nothing else."""
    return jax.random.fold_in(jax.random.key(seed), s)


def shifted(net: Net, params: Params, cache: Any, change: Array) -> Array:
    """[B, H, W, C] logits of an output layer that differs from the parameters' by `change` [G, F + 1, C]."""
    own = params["readout"]
    return net.readout({**params, "readout": with_weights(own, weights(net, own) + change)}, cache, keep)


def weights(net: Net, readout: Params) -> Array:
    """θ [G, F + 1, C] of an output layer: the kernel's rows and, last, the bias.

    Raises:
        BadInput: it is not one 1×1 convolution with a bias, as that of `bal.posterior.nets.UNet`.
    """
    if set(readout) != {"conv"} or set(readout["conv"]) != {"kernel", "bias"}:
        raise BadInput(f"{WANTED} is one 1×1 convolution, as in bal.posterior.nets.UNet")
    kernel, bias = readout["conv"]["kernel"], readout["conv"]["bias"]
    rows = jnp.concatenate([kernel.reshape(-1, bias.size), bias[None]])  # [F + 1, G C]
    return rows.reshape(len(rows), -1, net.classes).transpose(1, 0, 2)  # [G, F + 1, C]


def with_weights(readout: Params, theta: Array) -> Params:
    """The output layer with the weights θ [G, F + 1, C]; the inverse of `weights`."""
    conv = readout["conv"]
    rows = theta.transpose(1, 0, 2).reshape(-1, conv["bias"].size).astype(conv["bias"].dtype)  # [F + 1, G C]
    return {"conv": {"kernel": rows[:-1].reshape(conv["kernel"].shape), "bias": rows[-1]}}


def labelled_cells(net: Net, params: Params, labelled: Batch) -> Iterator[Cells]:
    """The output layer's view of labelled images, a few at a time, always in the same shape: compiled once."""
    count, height, width = labelled.label.shape
    group = max(1, ROOM // (height * width))
    for first in range(0, count, group):
        missing = max(0, first + group - count)
        rows = jax.tree.map(lambda x, first=first: x[first : first + group], labelled)
        image = jnp.pad(rows.image, ((0, missing), (0, 0), (0, 0), (0, 0)))
        label = jnp.pad(rows.label, ((0, missing), (0, 0), (0, 0)), constant_values=IGNORE)
        size = None if rows.size is None else jnp.pad(rows.size, ((0, missing), (0, 0)), constant_values=1)
        yield _cells(net, params, Batch(image, label, size))


@partial(jax.jit, static_argnames="net")
def _cells(net: Net, params: Params, batch: Batch) -> Cells:
    maps: Any = features(net, params, batch.image, batch.size)
    x = maps.levels[0]  # [F, B, h, w]
    x = x.reshape(len(x), -1).T.astype(jnp.float32)  # [P, F]
    return Cells(jnp.concatenate([x, jnp.ones_like(x[:, :1])], axis=1), in_cells(net, batch.label, len(x)))


def in_cells(net: Net, label: Array, cells: int) -> Array:
    """[B, H, W] labels → [G, P], as `net.cells` would leave logits; IGNORE where a cell reaches beyond the image.

    Raises:
        BadInput: the network has no cells.
    """
    if not isinstance(net, HasCells):
        raise BadInput(f"{WANTED} can be left in cells (`cells` and `unfold`), as in bal.posterior.nets.UNet")
    grid = (-(-label.shape[1] // net.stride) * net.stride, -(-label.shape[2] // net.stride) * net.stride)
    pixels = label.shape[0] * grid[0] * grid[1]  # G P
    side = round((pixels // cells) ** 0.5)
    number = jnp.arange(pixels).reshape(-1, grid[0] // side, grid[1] // side, 1)  # [G B, h, w, 1]
    where = net.unfold(number, (label.shape[1], label.shape[2]))[..., 0]  # [B, H, W]
    return jnp.full(pixels, IGNORE, jnp.int32).at[where.ravel()].set(label.ravel()).reshape(-1, cells)  # [G, P]
