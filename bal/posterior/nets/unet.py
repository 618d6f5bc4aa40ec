"""A U-Net for thin structures: any height and width in, logits at full resolution out.

Ronneberger, Fischer & Brox (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation".
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from bal.posterior.nets._convolve import convolve, convolve_upsampled
from bal.posterior.nets._norms import Kind, Norm, valid_pixels
from bal.posterior.nets.base import Drop, Scales
from bal.types import Array, BadInput, Key, Params

DEEPEST = 12  # levels below the finest: 8192 pixels a side, with the stem
PARTS = ("encoder", "decoder", "readout")


@functools.partial(jax.tree_util.register_dataclass, data_fields=["levels", "size"], meta_fields=["shape", "bridged"])
@dataclass(frozen=True)
class Maps:
    """Feature maps on their way through the network, finest first, and what of the image is real."""

    levels: tuple[Array, ...]  # each [B, h, w, F]
    size: Array | None  # [B, 2] valid height and width of the image, None when all of it is
    shape: tuple[int, int]  # the image as it came, before it was padded to a multiple of the stride
    bridged: bool = False  # all levels but the coarsest are what the decoder's first convolutions make of the skips


def space_to_depth(x: Array) -> Array:
    """[B, H, W, F] → [B, H/2, W/2, 4F]."""
    b, h, w, f = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, f).transpose(0, 1, 3, 2, 4, 5)  # [B, H/2, W/2, 2, 2, F]
    return x.reshape(b, h // 2, w // 2, 4 * f)  # [B, H/2, W/2, 4F]


def max_pool(x: Array) -> Array:
    """2×2 maximum by four strided slices: its gradient is 20× cheaper on CPU than that of `reduce_window`."""
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def absorb(drop: Drop, site: str, x: Array, kernel: Array) -> tuple[Array, Array]:
    """What a head does to x [B, h, w, F], done to the kernel [..., F, G] that x meets next where that is the same."""
    factor = drop.scale(site, x) if isinstance(drop, Scales) else None  # [F]
    return (drop(site, x), kernel) if factor is None else (x, kernel * factor[:, None])


class Block(nnx.Module):
    """Twice: 3×3 convolution, normalisation, ReLU. Zero outside the valid pixels, as at an image's own border."""

    def __init__(self, inputs: int, outputs: int, norm: Kind, rngs: nnx.Rngs):
        conv = functools.partial(nnx.Conv, kernel_size=(3, 3), use_bias=False, rngs=rngs)
        self.convs = nnx.List([conv(inputs, outputs), conv(outputs, outputs)])
        self.norms = nnx.List([Norm(outputs, norm) for _ in range(2)])

    def __call__(self, x: Array, valid: Array | None) -> Array:
        return self.finish(convolve(x, self.kernel(0)), valid)

    def kernel(self, n: int) -> Array:
        """Of the n-th convolution, [3, 3, F, G]."""
        return self.norms[n].absorb(self.convs[n].kernel[...])

    def finish(self, x: Array, valid: Array | None) -> Array:
        """What follows the first convolution."""
        x = self._activate(x, 0, valid)
        return self._activate(convolve(x, self.kernel(1)), 1, valid)

    def _activate(self, x: Array, n: int, valid: Array | None) -> Array:
        x = jax.nn.relu(self.norms[n](x, valid))
        return x if valid is None else x * valid.astype(x.dtype)


class Encoder(nnx.Module):
    def __init__(self, net: BoundUNet, rngs: nnx.Rngs):
        self.net = net
        inputs = net.channels * (4 if net.settings.stem else 1)
        widths = [inputs, *net.settings.widths]
        self.blocks = nnx.List([Block(a, b, net.settings.norm, rngs) for a, b in itertools.pairwise(widths)])

    def __call__(self, x: Array, size: Array | None, drop: Drop) -> Maps:
        batch, height, width, _ = x.shape
        stride, dtype = self.net.stride, x.dtype
        below, right = -height % stride, -width % stride
        if (below or right) and size is None:
            size = jnp.broadcast_to(jnp.array([height, width]), (batch, 2))
        mean, std = (jnp.array(v, dtype)[None, None, None] for v in (self.net.mean, self.net.std))  # [1, 1, 1, Cin]
        x = (x - mean) / std
        x = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
        valid = valid_pixels(size, x.shape[1], x.shape[2], 1)
        x = x if valid is None else jnp.where(valid > 0, x, jnp.zeros((), dtype))
        x = space_to_depth(x) if self.net.settings.stem else x
        levels = []
        for level, block in enumerate(self.blocks):
            x = max_pool(x) if level else x
            x = block(x, valid_pixels(size, x.shape[1], x.shape[2], self.net.settings.factor(level)))
            x = x if level == len(self.blocks) - 1 else drop(f"encoder_{level}", x)
            levels.append(x)
        return Maps(tuple(levels), size, (height, width))


class Decoder(nnx.Module):
    def __init__(self, net: BoundUNet, rngs: nnx.Rngs):
        self.net = net
        widths = net.settings.widths
        self.blocks = nnx.List(
            [Block(coarse + fine, fine, net.settings.norm, rngs) for fine, coarse in itertools.pairwise(widths)]
        )

    def bridge(self, code: Maps) -> Maps:
        """Does what can be done before the first site: the skips' share of each block's first convolution."""
        skips = [
            convolve(skip, block.kernel(0)[:, :, -skip.shape[-1] :])
            for block, skip in zip(self.blocks, code.levels, strict=False)
        ]
        return dataclasses.replace(code, levels=(*skips, code.levels[-1]), bridged=True)

    def __call__(self, code: Maps, drop: Drop) -> Maps:
        code = code if code.bridged else self.bridge(code)
        x, site = code.levels[-1], "bottleneck"
        for level in reversed(range(len(self.blocks))):
            block, skip = self.blocks[level], code.levels[level]
            valid = valid_pixels(code.size, skip.shape[1], skip.shape[2], self.net.settings.factor(level))
            x = drop(site, x)
            # A convolution of [upsampled, skip] is the sum of a convolution of each.
            x = convolve_upsampled(x, block.kernel(0)[:, :, : x.shape[-1]]) + skip
            x, site = block.finish(x, valid), f"decoder_{level}"
        x = x if self.blocks else drop(site, x)
        return Maps((x.transpose(3, 0, 1, 2),), code.size, code.shape)  # [F, B, h, w]: many readouts may follow


class Readout(nnx.Module):
    def __init__(self, net: BoundUNet, rngs: nnx.Rngs):
        self.net = net
        outputs = net.classes * (4 if net.settings.stem else 1)
        self.conv = nnx.Conv(net.settings.width, outputs, kernel_size=(1, 1), rngs=rngs)

    def __call__(self, features: Maps, drop: Drop) -> Array:
        assert self.conv.bias is not None
        x = features.levels[0].transpose(1, 2, 3, 0)  # [B, h, w, F]
        x, kernel = absorb(drop, "features", x, self.conv.kernel[0, 0])  # [F, G C]
        kernel, bias = (p.reshape(-1, self.net.per_cell, self.net.classes) for p in (kernel, self.conv.bias[...]))
        # The classes come first in memory, so that a softmax runs along the pixels.
        x = jnp.einsum("cgf,fbhw->cgbhw", kernel.transpose(2, 1, 0), x.transpose(3, 0, 1, 2))
        x = x + bias.transpose(2, 1, 0)[..., None, None]  # [C, G, B, h, w]
        if self.net.in_cells:
            return x.reshape(self.net.classes, -1, *x.shape[3:]).transpose(1, 2, 3, 0)  # [G B, h, w, C]
        side = self.net.settings.factor(0)  # B stays an axis of its own, or devices that share it gather all of it
        x = x.reshape(-1, side, side, *x.shape[2:]).transpose(3, 4, 1, 5, 2, 0)  # [B, h, side, w, side, C]
        (b, h, _, w, _, c), (height, width) = x.shape, features.shape
        return x.reshape(b, h * side, w * side, c)[:, :height, :width]


@dataclass(frozen=True)
class UNet:
    """U-Net with 3×3 convolutions; thin structures survive because logits come at full resolution."""

    width: int = 16
    """Channels of the finest level; each coarser level has twice as many."""
    depth: int = 2
    """How many times the maps are halved, the stem's halving not counted."""
    stem: bool = True
    """Fold 2×2 pixels into channels first and unfold the logits last: about three times cheaper on CPU."""
    norm: Kind = "none"
    """Normalisation: none (scale and shift only), group (over valid pixels), layer or rms (per pixel)."""

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 2**16 or not 0 <= self.depth <= DEEPEST:
            raise BadInput(
                f"a U-Net needs 1 ≤ width ≤ {2**16} and 0 ≤ depth ≤ {DEEPEST}, got {self.width} and {self.depth}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.width * 2**level for level in range(self.depth + 1))

    def factor(self, level: int) -> int:
        """Pixels of the image a side of one cell at `level`."""
        return 2**level * (2 if self.stem else 1)

    def bind(
        self, channels: int, classes: int, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
    ) -> BoundUNet:
        return BoundUNet(self, channels, classes, mean, std)


@dataclass(frozen=True)
class BoundUNet:
    """A U-Net that knows its images: `bal.posterior.nets.base.Net`, as three pure functions of its parameters.

    `drop` is called at the sites `encoder_<level>`, `bottleneck`, `decoder_<level>` and `features`; every level has
    one site, and none is visited twice.
    """

    settings: UNet
    channels: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    in_cells: bool = False

    @property
    def stride(self) -> int:
        return self.settings.factor(self.settings.depth)

    @property
    def per_cell(self) -> int:
        """G, pixels of the image a cell of the finest feature map."""
        return self.settings.factor(0) ** 2

    @property
    def cells(self) -> BoundUNet:
        """The same network with its logits left in cells: [G B, h, w, C], as if every G-th pixel were an image."""
        return dataclasses.replace(self, in_cells=True)

    def unfold(self, x: Array, shape: tuple[int, int]) -> Array:
        """[G B, h, w, …] → [B, H, W, …]."""
        (_, h, w, *rest), side = x.shape, self.settings.factor(0)
        x = x.reshape(side, side, -1, h, w, math.prod(rest)).transpose(2, 3, 0, 4, 1, 5)  # [B, h, side, w, side, …]
        b = len(x)
        return x.reshape(b, h * side, w * side, *rest)[:, : shape[0], : shape[1]]  # [B, H, W, …]

    def init(self, key: Key) -> Params:
        """He-normal kernels, unit scales, zero biases; all kernels are cut from one draw.

        A random generator for every layer would take XLA seconds to compile. He et al. (2015), "Delving Deep into
        Rectifiers".
        """
        like = {part: nnx.to_pure_dict(_graph(self, part)[1]) for part in PARTS}
        leaves, tree = jax.tree_util.tree_flatten_with_path(like)
        kernels = [math.prod(leaf.shape) if path[-1].key == "kernel" else 0 for path, leaf in leaves]
        draw, ends = jax.random.normal(key, (sum(kernels),)), np.cumsum(kernels)
        made = []
        for (path, leaf), count, end in zip(leaves, kernels, ends, strict=True):
            if count:
                fan_in = math.prod(leaf.shape[:-1])
                made.append(draw[end - count : end].reshape(leaf.shape) * math.sqrt(2 / fan_in))
            else:
                made.append(jnp.full(leaf.shape, float(path[-1].key == "scale")))
        return jax.tree.unflatten(tree, made)

    def encode(self, params: Params, x: Array, size: Array | None, drop: Drop) -> Maps:
        return _part(self, "encoder", params)(x, size, drop)

    def bridge(self, params: Params, code: Maps) -> Maps:
        return _part(self, "decoder", params).bridge(code)

    def decode(self, params: Params, code: Maps, drop: Drop) -> Maps:
        return _part(self, "decoder", params)(code, drop)

    def readout(self, params: Params, features: Maps, drop: Drop) -> Array:
        return _part(self, "readout", params)(features, drop)

    def features(self, features: Maps) -> Array:
        """What `readout` is given, as [B, H, W, F] at the resolution of the image."""
        side, x = self.settings.factor(0), features.levels[0].transpose(1, 2, 3, 0)  # [B, h, w, F]
        x = jnp.repeat(jnp.repeat(x, side, 1), side, 2)
        return x[:, : features.shape[0], : features.shape[1]]


@functools.lru_cache(maxsize=64)
def _graph(net: BoundUNet, part: str) -> tuple[Any, Any]:
    """The structure of one part, and its state in abstract; built once for each network."""
    module = {"encoder": Encoder, "decoder": Decoder, "readout": Readout}[part]
    return nnx.split(nnx.eval_shape(lambda: module(net, nnx.Rngs(0))), nnx.Param)


def _part(net: BoundUNet, part: str, params: Params) -> Any:
    """One part of the network with its parameters in it."""
    graph, abstract = _graph(net, part)
    state = jax.tree.map(lambda x: x, abstract)
    nnx.replace_by_pure_dict(state, params[part])
    return nnx.merge(graph, state)
