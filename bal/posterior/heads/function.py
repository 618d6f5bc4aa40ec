"""A user's own network and posterior, as a head that can be asked but not trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from bal.posterior.losses import Criterion
from bal.types import Array, BadInput, Batch, Key, Params


@dataclass(frozen=True)
class FunctionHead:
    """`fn(params, x [B, H, W, Cin], s) → logits [B, H, W, C]`, any framework's weights in `params`.

    The function must be traceable by JAX, which is checked on the shape of the first batch, before anything is read. A
    logit of −inf is a class of probability 0; NaN, +inf, and −inf for every class of a pixel stop the scoring.

    Images are padded with zeros, at the bottom and at the right, to a few common shapes (`bal.sources.batches.bucket`);
    a function that must not see padding has to recognise it by its zeros. What it says of padding is not looked at.
    """

    fn: Callable[[Params, Array, Array | int], Array]
    samples: int = 1
    members = 1

    def __post_init__(self) -> None:
        if isinstance(self.samples, bool) or not isinstance(self.samples, Integral) or self.samples < 1:
            raise BadInput(f"a FunctionHead needs a whole number of samples ≥ 1, got {self.samples!r:.80}")

    def init(self, net: Any, key: Key) -> Params:
        raise BadInput("a FunctionHead has no parameters of its own: pass the ones you trained")

    def loss(self, net: Any, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        return criterion(self.fn(params, batch.image, 0), batch.label)

    def prepare(self, net: Any, params: Params, x: Array, size: Array | None) -> Any:
        return x

    def logits(self, net: Any, params: Params, cache: Any, s: Array | int) -> Array:
        return self.fn(params, cache, s)
