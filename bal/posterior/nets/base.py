"""What a network must be: three parts, bound to its input channels and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bal.types import Array, Key, Params

# What a head does to the activations at a named site of a network. It may also have `scale(site, x)`: factors [F] where
# all it does to x [B, h, w, F] is to multiply channels, alike in all examples, else None; a network may put them into
# its weights.
Drop = Callable[[str, Array], Array]


class Net(Protocol):
    """A segmentation network in three parts, bound to its input channels and classes. Pure: parameters go in.

    `params` is a mapping with the keys `encoder`, `decoder` and `readout`. `drop(site, x)` is called at every named
    site, so that a head can put dropout, noise or anything else there without the network knowing.
    """

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def stride(self) -> int:
        """Heights and widths that are multiples of this need no padding inside the network."""
        ...

    def init(self, key: Key) -> Params: ...

    def encode(self, params: Params, x: Array, size: Array | None, drop: Drop) -> Any:
        """[B, H, W, Cin] → a pytree of features, coarse and fine."""
        ...

    def bridge(self, params: Params, code: Any) -> Any:
        """What `decode` does before its first site: the encoder's pytree → another that `decode` takes as well."""
        ...

    def decode(self, params: Params, code: Any, drop: Drop) -> Any:
        """The encoder's pytree, bridged or not → a pytree of full-context features."""
        ...

    def readout(self, params: Params, features: Any, drop: Drop) -> Array:
        """→ logits [B, H, W, C] at the resolution of the image."""
        ...


class NetSettings(Protocol):
    """A family of networks; an entry of `bal.posterior.nets.NETS`."""

    def bind(
        self, channels: int, classes: int, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
    ) -> Net:
        """The network for images of `channels` channels with this mean and standard deviation, and `classes`."""
        ...
