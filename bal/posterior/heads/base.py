"""What a posterior over a network must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.types import Array, Batch, Key, Params


class Head(Protocol):
    """A posterior over a network; an entry of `bal.posterior.heads.HEADS`.

    The s-th sample is the same function for every image, batch size, sharding and device. A head may also be one that
    `Finalizes` or one that `Joins`.
    """

    @property
    def samples(self) -> int:
        """S, how many posterior samples are folded into the moments."""
        ...

    @property
    def members(self) -> int:
        """E, how many interleaved sets of examples a training batch holds: member e is trained on rows e::E."""
        ...

    def init(self, net: Net, key: Key) -> Params: ...

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        """Scalar training loss of one batch; the sum over members, so that members do not slow each other."""
        ...

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        """Everything that does not depend on the sample, computed once per batch."""
        ...

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        """[B, H, W, C] of the s-th posterior sample; `s` may be traced.

        What it does to the result of `net.readout` it does pixel by pixel: scoring may ask with a network whose pixels
        are in another order (`bal.posterior.nets.base.HasCells`).
        """
        ...


@runtime_checkable
class Finalizes(Protocol):
    """An ability of a head: a step of its own once the network is trained, as post-hoc posteriors have."""

    def finalize(self, net: Net, params: Params, labelled: Batch, key: Key) -> Params:
        """The parameters with the posterior among them; called once, with every labelled region in a patch."""
        ...


@runtime_checkable
class Joins(Protocol):
    """An ability of a head: members that know nothing of each other can be trained one at a time."""

    @property
    def solo(self) -> Head | None:
        """The head that trains one member alone; None where, with these settings, all are trained together."""
        ...

    def join(self, params: Sequence[Params]) -> Params:
        """The parameters of this head from those of its members, each trained by `solo`."""
        ...

    def split(self, params: Params) -> Sequence[Params]:
        """The inverse of `join`."""
        ...
