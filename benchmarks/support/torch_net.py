"""The U-Net of `bal.posterior.nets.unet` once more in PyTorch, with the same weights: what the engine is compared with.

Only `norm="none"` is known here: a convolution, a scale and a shift of each channel, a ReLU. The scale is multiplied
into the kernel, not into the map, which is what someone who tunes PyTorch does; the function stays the same.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bal.posterior.nets.unet import BoundUNet
from bal.types import Params


class Scaled(nn.Conv2d):
    """A 3×3 convolution whose outputs are scaled and shifted channel by channel."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(outputs))

    def forward(self, input: Tensor) -> Tensor:
        """[B, inputs, h, w] → [B, outputs, h, w]."""
        return F.conv2d(input, self.weight * self.scale[:, None, None, None], self.bias, padding=1)


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Twice: convolution, scale and shift, ReLU."""
    return nn.Sequential(Scaled(inputs, outputs), nn.ReLU(True), Scaled(outputs, outputs), nn.ReLU(True))


class TorchUNet(nn.Module):
    """[B, Cin, H, W] → logits [B, C, H, W]; sides must be multiples of the network's stride."""

    def __init__(self, net: BoundUNet, params: Params, dropped: tuple[str, ...] = (), rate: float = 0.0):
        """The twin of `net`.

        Args:
            net: the network.
            params: of it, as `net.init` gives them.
            dropped: sites that get an `nn.Dropout2d`, by the first letters of their names, as in
            `bal.posterior.heads.MCDropout`. rate: of that dropout.
        """
        super().__init__()
        settings = net.settings
        if settings.norm != "none":
            raise ValueError(f"the twin knows norm='none' alone, got {settings.norm!r}")
        self.fold, widths = (2 if settings.stem else 1), settings.widths
        inputs, outputs = (n * self.fold**2 for n in (net.channels, net.classes))
        self.down = nn.ModuleList(block(a, b) for a, b in itertools.pairwise([inputs, *widths]))
        self.up = nn.ModuleList(block(coarse + fine, fine) for fine, coarse in itertools.pairwise(widths))
        self.out = nn.Conv2d(widths[0], outputs, 1)
        sites = [f"encoder_{n}" for n in range(settings.depth)] + ["bottleneck", "features"]
        sites += [f"decoder_{n}" for n in range(1, settings.depth)]
        self.drop = nn.ModuleDict({s: nn.Dropout2d(rate) if s.startswith(dropped) else nn.Identity() for s in sites})
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(net, name))[:, None, None], persistent=False)
        self.load_state_dict(converted(net, params))

    def encode(self, x: Tensor) -> list[Tensor]:
        """[B, Cin, H, W] → feature maps, finest first; the last is as it is before dropout."""
        x = F.pixel_unshuffle((x - self.mean) / self.std, self.fold)
        levels = []
        for level, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if level else x)
            x = x if level == len(self.down) - 1 else self.drop[f"encoder_{level}"](x)
            levels.append(x)
        return levels

    def decode(self, levels: list[Tensor]) -> Tensor:
        """Feature maps → features [B, F, h, w]."""
        x = self.drop["bottleneck"](levels[-1])
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([F.interpolate(x, scale_factor=2.0), levels[level]], 1))
            x = self.drop[f"decoder_{level}"](x) if level else x
        return x

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.out(self.drop["features"](self.decode(self.encode(x)))), self.fold)


def converted(net: BoundUNet, params: Params) -> dict[str, Tensor]:
    """The `state_dict` of `TorchUNet(net, …)` from the parameters of `net`.

    Kernels [3, 3, in, out] become [out, in, 3, 3]. JAX's folding of 2×2 pixels has the channel last, [2, 2, C], and
    PyTorch's has it first, [C, 2, 2], so the channels of the first kernel and of the last are put in another order.
    """
    state: dict[str, np.ndarray] = {}
    for name, part in (("down", "encoder"), ("up", "decoder")):
        for i, own in params[part]["blocks"].items():
            for j in range(2):
                to = f"{name}.{i}.{2 * j}"
                state[f"{to}.weight"] = np.transpose(own["convs"][j]["kernel"], (3, 2, 0, 1))
                state[f"{to}.scale"], state[f"{to}.bias"] = own["norms"][j]["scale"], own["norms"][j]["bias"]
    last = params["readout"]["conv"]
    state["out.weight"], state["out.bias"] = np.transpose(last["kernel"], (3, 2, 0, 1)), np.asarray(last["bias"])
    if net.settings.stem:
        first = state["down.0.0.weight"]
        state["down.0.0.weight"] = _channel_first(first, net.channels, axis=1)
        for name in ("out.weight", "out.bias"):
            state[name] = _channel_first(state[name], net.classes, axis=0)
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def _channel_first(x: Any, channels: int, axis: int) -> np.ndarray:
    """An axis laid out as [4, channels] becomes [channels, 4]."""
    x = np.asarray(x)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return np.swapaxes(x.reshape(*before, 4, channels, *after), axis, axis + 1).reshape(x.shape)


@torch.no_grad()
def fused(model: TorchUNet) -> TorchUNet:
    """The same function for inference: scales are multiplied into the kernels once, and maps are channels-last."""
    for blocks in (model.down, model.up):
        for own in blocks:
            for i in (0, 2):
                scaled = own[i]
                plain = nn.Conv2d(scaled.in_channels, scaled.out_channels, 3, padding=1)
                plain.weight.copy_(scaled.weight * scaled.scale[:, None, None, None])
                plain.bias.copy_(scaled.bias)
                own[i] = plain
    return model.eval().to(memory_format=torch.channels_last)
