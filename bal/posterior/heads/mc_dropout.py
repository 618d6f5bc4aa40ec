"""Monte Carlo dropout over the channels of chosen feature maps."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax

from bal.posterior.heads._plain import keep
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.types import Array, BadInput, Batch, Key, Params


@dataclass(frozen=True)
class MCDropout:
    r"""Monte Carlo dropout: one network, S random sub-networks, each the same for every image.

    A sample is a set of channel masks m ~ Bernoulli(1 − rate) / (1 − rate), one mask a site, drawn from (seed, s)
    alone; training draws new masks for every example.

        p(y | x) ≈ 1/S Σ_s softmax f(x; θ ⊙ m_s)

    Reference:
        Gal & Ghahramani (2016), "Dropout as a Bayesian Approximation". Masks over channels: Tompson et al. (2015),
        "Efficient Object Localization Using Convolutional Networks".
    """

    samples: int = 20
    """S, sub-networks averaged for every prediction."""
    rate: float = 0.1
    """Share of the channels that is dropped at each site."""
    where: Literal["features", "decoder", "all"] = "decoder"
    """Sites that drop: the features before the output layer, the whole decoder, or every level of the network.
    Whatever lies before the first of them is computed once for all samples."""
    seed: int = 0
    """Seed of the masks, not of the run: sample s is the same sub-network everywhere."""
    members = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate < 1.0 or self.samples < 1:
            raise BadInput(
                f"MC dropout needs 0 ≤ rate < 1 and samples ≥ 1, got rate={self.rate}, samples={self.samples}"
            )

    def init(self, net: Net, key: Key) -> Params:
        return net.init(key)

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        drop = Masks(self, key, examples=batch.image.shape[0])
        code = net.encode(params, batch.image, batch.size, drop)
        return criterion(net.readout(params, net.decode(params, code, drop), drop), batch.label)

    def masks(self, s: Array | int) -> Masks:
        """Of the s-th sample."""
        return Masks(self, jax.random.fold_in(jax.random.key(self.seed), s), examples=1)

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        if self.where == "all":
            return x, size
        code = net.encode(params, x, size, keep)
        return net.bridge(params, code) if self.where == "decoder" else net.decode(params, code, keep)

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        drop = self.masks(s)
        if self.where == "all":
            cache = net.encode(params, cache[0], cache[1], drop)
        if self.where != "features":
            cache = net.decode(params, cache, drop)
        return net.readout(params, cache, drop)


class Masks(NamedTuple):
    """The channel masks of one sample, for so many examples, or one for all of them: a `bal.Drop`."""

    head: MCDropout
    key: Key
    examples: int

    def __call__(self, site: str, x: Array) -> Array:
        return x * self._mask(site, x)[:, None, None] if self._drops(site) else x

    def scale(self, site: str, x: Array) -> Array | None:
        return self._mask(site, x)[0] if self.examples == 1 and self._drops(site) else None

    def _drops(self, site: str) -> bool:
        prefixes = {"features": ("features",), "decoder": ("bottleneck", "decoder", "features"), "all": ("",)}
        return site.startswith(prefixes[self.head.where])

    def _mask(self, site: str, x: Array) -> Array:
        """[examples, F]."""
        key, keep = jax.random.fold_in(self.key, zlib.crc32(site.encode())), 1.0 - self.head.rate
        mask = jax.random.bernoulli(key, keep, (self.examples, 1, 1, x.shape[-1]))
        return (mask / keep).astype(x.dtype)[:, 0, 0]
