"""BALD over a pool the way someone who tunes PyTorch by hand would write it for this very network.

What is done for speed, all of it exact: maps are channels-last and scales sit in the kernels; whatever lies before the
first mask is computed once; masks over channels are multiplied into the kernels that read those channels; a convolution
of `concat(upsampled, skip)` is a stride-two transposed convolution of the coarse map, with 4 × 4 kernels that are sums
of the 3 × 3 ones, plus a convolution of the skip that no sample changes; log-probabilities are planes [C, pixels], with
the four pixels that a cell of the features stands for never put in their places, since a tile's mean does not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from support.torch_net import TorchUNet
from torch import Tensor, nn
from torch.nn import functional as F

Masks = Mapping[str, np.ndarray]  # [F] by site
Starts = Literal["image", "code", "features"]  # the last thing that all samples have in common


class Weights(NamedTuple):
    """One sub-network: kernels and biases, finest level first."""

    down: list[tuple[Tensor, Tensor, Tensor, Tensor]]  # both convolutions of a block
    skip: list[tuple[Tensor, Tensor]]  # the part of a decoder block's first convolution that reads the skip
    coarse: list[Tensor]  # [in, out, 4, 4], the part of it that reads the coarser map
    second: list[tuple[Tensor, Tensor]]
    out: tuple[Tensor, Tensor]  # [4C, F] and [4C, 1]


def weights(model: TorchUNet, masks: Masks | None = None) -> Weights:
    """The sub-network of one set of masks; `model` has been through `torch_net.fused`."""

    def conv(layer: nn.Module) -> tuple[Any, Any]:
        return layer.weight, layer.bias

    def mask(site: str, size: int) -> Tensor:
        return torch.ones(size) if masks is None or site not in masks else torch.from_numpy(masks[site])

    skip, coarse = [], []
    for level, up in enumerate(model.up):
        kernel, bias = conv(up[0])
        features = kernel.shape[1] - kernel.shape[0]  # of the coarser map
        site = "bottleneck" if level == len(model.up) - 1 else f"decoder_{level + 1}"
        skip.append((kernel[:, features:].contiguous(memory_format=torch.channels_last), bias))
        coarse.append(transposed(kernel[:, :features] * mask(site, features)[:, None, None]))
    out, bias = conv(model.out)
    return Weights(
        [(*conv(down[0]), *conv(down[2])) for down in model.down],
        skip,
        coarse,
        [conv(up[2]) for up in model.up],
        (out[:, :, 0, 0] * mask("features", out.shape[1]), bias[:, None]),
    )


def transposed(kernel: Tensor) -> Tensor:
    """[out, in, 3, 3] → [in, out, 4, 4]: upsample twice, then convolve = convolve transposed, with stride two."""
    for axis in (2, 3):
        a, b, c = kernel.unbind(axis)
        kernel = torch.stack([c, b + c, a + b, a], axis)
    return kernel.transpose(0, 1).contiguous(memory_format=torch.channels_last)


def encode(own: Weights, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Folded image → the coarsest map, and what the skips add to each level of the decoder."""
    skips = []
    for level, (w1, b1, w2, b2) in enumerate(own.down):
        x = F.max_pool2d(x, 2) if level else x
        x = torch.relu_(F.conv2d(torch.relu_(F.conv2d(x, w1, b1, padding=1)), w2, b2, padding=1))
        if level < len(own.skip):
            skips.append(F.conv2d(x, *own.skip[level], padding=1))
    return x, skips


def decode(own: Weights, code: tuple[Tensor, list[Tensor]]) -> Tensor:
    """→ features [F, B·h·w], a view of channels-last ones."""
    x, skips = code
    for kernel, skip, second in reversed(list(zip(own.coarse, skips, own.second, strict=True))):
        x = torch.relu_(F.conv_transpose2d(x, kernel, stride=2, padding=1).add_(skip))
        x = torch.relu_(F.conv2d(x, *second, padding=1))
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).t()  # [F, B·h·w]


def fold(own: Weights, features: Tensor, total: Tensor, inner: Tensor) -> None:
    """Adds one sample's p to `total` [C, P] and its Σ_c p log p to `inner` [P]."""
    weight, bias = own.out
    logp = F.log_softmax(torch.addmm(bias, weight, features).view(total.shape), 0)  # [C, P]
    p = logp.exp()
    total += p
    inner += (p * logp).sum(0)


def _from_image(own: Weights, x: Tensor, total: Tensor, inner: Tensor) -> None:
    fold(own, decode(own, encode(own, x)), total, inner)


def _from_code(own: Weights, code: tuple[Tensor, list[Tensor]], total: Tensor, inner: Tensor) -> None:
    fold(own, decode(own, code), total, inner)


class TorchScorer:
    """Scores images in batches; two threads or as many as `torch.set_num_threads` says."""

    def __init__(self, model: TorchUNet, samples: Sequence[Weights], start: Starts, classes: int, tile: int = 16):
        """`samples` are all sub-networks; what lies before `start` is taken from the first."""
        self.mean, self.std, self.cells = model.mean, model.std, model.fold
        self.samples, self.start, self.classes, self.tile = samples, start, classes, tile // model.fold
        self.step: Callable[..., None] = {"image": _from_image, "code": _from_code, "features": fold}[start]

    def compiled(self) -> TorchScorer:
        """The same with one sample's pass through TorchInductor."""
        self.step = torch.compile(self.step, dynamic=False)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor, batch: int) -> np.ndarray:
        """[N, Cin, H, W] → mean BALD of each tile [N·R], image by image."""
        return np.concatenate([self._batch(x).numpy().ravel() for x in images.split(batch)])

    def _batch(self, x: Tensor) -> Tensor:
        x = F.pixel_unshuffle((x - self.mean) / self.std, self.cells).contiguous(memory_format=torch.channels_last)
        rows, columns = x.shape[2] // self.tile, x.shape[3] // self.tile
        total = torch.zeros(self.classes, self.cells**2 * len(x) * x.shape[2] * x.shape[3])  # [C, P]
        inner = torch.zeros(total.shape[1])
        cache: Any = x
        if self.start != "image":
            cache = encode(self.samples[0], x)
        if self.start == "features":
            cache = decode(self.samples[0], cache)
        for own in self.samples:
            self.step(own, cache, total, inner)
        mean = total / len(self.samples)
        bald = inner / len(self.samples) - torch.xlogy(mean, mean).sum(0)  # [P]
        cells = (self.cells**2, len(x), rows, self.tile, columns, self.tile)
        return bald.view(cells).mean((0, 3, 5))  # [B, rows, columns]
