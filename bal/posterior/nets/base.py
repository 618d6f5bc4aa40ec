"""What a network must be: three parts, bound to its input channels and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from bal.types import Array, Key, Params

Drop = Callable[[str, Array], Array]  # what a head does to the activations at a named site of a network


@runtime_checkable
class Scales(Protocol):
    """A `Drop` that says where all it does is to multiply channels, which a network may put into its weights."""

    def __call__(self, site: str, x: Array) -> Array: ...

    def scale(self, site: str, x: Array) -> Array | None:
        """Factors [F] of x [B, h, w, F] at a site, alike in all examples; None where it does anything else."""
        ...


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


@runtime_checkable
class HasCells(Protocol):
    """An ability of a network: its logits can be left where its last layer makes them, for what is pointwise."""

    @property
    def cells(self) -> Net:
        """The same network with its logits in cells: [G B, h, w, C], as if every G-th pixel were an image."""
        ...

    def unfold(self, x: Array, shape: tuple[int, int]) -> Array:
        """[G B, h, w, …] in cells → [B, H, W, …]."""
        ...


@runtime_checkable
class HasFeatures(Protocol):
    """An ability of a network: what its output layer is given can be seen."""

    def features(self, features: Any) -> Array:
        """What `readout` is given, as [B, H, W, F] at the resolution of the image."""
        ...


@runtime_checkable
class NetSettings(Protocol):
    """A family of networks; an entry of `bal.posterior.nets.NETS`."""

    def bind(
        self, channels: int, classes: int, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
    ) -> Net:
        """The network for images of `channels` channels with this mean and standard deviation, and `classes`."""
        ...
