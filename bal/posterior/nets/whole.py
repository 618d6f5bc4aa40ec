"""A network in one piece: `init` and `apply` of any framework whose networks are functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.posterior.nets.base import Drop
from bal.types import Array, BadInput, Key, Params


@dataclass(frozen=True)
class WholeNet:
    """A network of your own in one call, not split into parts; for heads that need nothing inside it.

    Those are `deep_ensemble`, and `batch_ensemble` where kernels end in input and output channels, as Flax has them. A
    head that puts dropout into a network, or a posterior over its last layer, is refused before anything is trained:
    it needs a network in parts (`bal.Net`).

    `init` and `apply` are compared as functions are, so two networks of the same two functions are the same network. A
    run with a folder, or a command line, needs one that can be found again: a frozen dataclass of your own whose fields
    are hyper-parameters, with a method `bind` that ends in `bal.WholeNet(init, apply).bind(channels, classes, …)`.
    """

    init: Callable[[Key, Array], Params]
    """(key, x [1, H, W, Cin]) → parameters, a pytree of floating arrays; as `module.init` of Flax Linen."""
    apply: Callable[[Params, Array], Any]
    """(parameters, x [B, H, W, Cin]) → logits [B, H, W, C] at the resolution of x; as `module.apply` of Flax Linen."""
    stride: int = 1
    """Heights and widths that `apply` is given are multiples of this: 2 for each halving inside it."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise BadInput(f"a network needs stride ≥ 1, got {self.stride}")

    def bind(
        self, channels: int, classes: int, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
    ) -> BoundWholeNet:
        return BoundWholeNet(self, channels, classes, mean, std)


@dataclass(frozen=True)
class BoundWholeNet:
    """It with its images: `bal.Net`, all of which happens in `decode`. No site is ever visited.

    Images are brought to mean 0 and standard deviation 1 by channel, and are zero where they are padded.
    """

    settings: WholeNet
    channels: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def stride(self) -> int:
        return self.settings.stride

    def init(self, key: Key) -> Params:
        side = -(-64 // self.stride) * self.stride  # as large as a patch, for networks that look at the size
        made = self.settings.init(key, jnp.zeros((1, side, side, self.channels)))
        if isinstance(made, Mapping) and "batch_stats" in made:
            raise BadInput("the network keeps batch statistics, which are no parameters: take GroupNorm or LayerNorm")
        return {"encoder": {}, "decoder": made, "readout": {}}

    def encode(self, params: Params, x: Array, size: Array | None, drop: Drop) -> tuple[Array, tuple[int, int]]:
        height, width = x.shape[1:3]
        mean, std = (jnp.array(v, x.dtype)[None, None, None] for v in (self.mean, self.std))  # [1, 1, 1, Cin]
        x = (x - mean) / std
        if size is not None:
            rows = jnp.arange(height)[None, :] < size[:, :1]  # [B, H]
            columns = jnp.arange(width)[None, :] < size[:, 1:]  # [B, W]
            x = jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], x, jnp.zeros((), x.dtype))
        return jnp.pad(x, ((0, 0), (0, -height % self.stride), (0, -width % self.stride), (0, 0))), (height, width)

    def bridge(self, params: Params, code: Any) -> Any:
        return code

    def decode(self, params: Params, code: Any, drop: Drop) -> Array:
        x, (height, width) = code
        logits = self.settings.apply(params["decoder"], x)
        whole = _shape(logits)[1:3] == x.shape[1:3]
        return logits[:, :height, :width] if whole else logits  # of another resolution, it is refused as it is

    def readout(self, params: Params, features: Array, drop: Drop) -> Array:
        return features


def _shape(found: Any) -> tuple[int, ...]:
    """That of an array; of what somebody's network gives and is none, ()."""
    return found.shape if isinstance(found, jax.Array | np.ndarray) else ()
