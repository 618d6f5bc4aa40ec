"""One way to a posterior sample: whoever reads one reads the one that is scored.

The s-th sample of a model over a batch is computed in the compute type of the run (`model.execution`), becomes
log-probabilities in float32, and is calibrated where the calibrator acts on members. Region descriptors, the targets of
an acquisition and the fit of a calibrator read single samples (`Samples.log_probs`). The moments fold all of them, a
block of pixels at a time and with the classes first (`calibrated`): the same numbers but for rounding, faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from bal.posterior.model import Model
from bal.posterior.nets.base import Drop, HasFeatures, Net
from bal.types import TINY, Array, BadInput, Key, Params


class Samples(NamedTuple):
    """The samples of a model over one batch; what they share has been computed. Not for a `jax.jit` to return."""

    model: Model
    net: Net  # the one that reads out: the model's own, or that in another order of pixels
    params: Params  # in the compute type of the run
    cache: Any  # what the head prepared

    def logits(self, s: Array | int) -> Array:
        """[B, H, W, C] of the s-th sample, in the compute type of the run."""
        return self.model.head.logits(self.net, self.params, self.cache, s)

    def log_probs(self, s: Array | int) -> Array:
        """[B, H, W, C] float32 of the s-th sample, calibrated where the calibrator acts on members."""
        raw, calibrator = self.raw_log_probs(s), self.model.calibrator
        return calibrator.log_probs(self.model.state, raw) if calibrator.on == "members" else raw

    def raw_log_probs(self, s: Array | int) -> Array:
        """[B, H, W, C] float32 of the s-th sample, which a calibrator of members is fitted to."""
        return jax.nn.log_softmax(self.logits(s).astype(jnp.float32))


def prepare(model: Model, x: Array, size: Array | None, net: Net | None = None) -> Samples:
    """Computes what all samples of a batch share.

    Args:
        model: head, network, parameters, calibrator and its state, and the compute type.
        x: [B, H, W, Cin] images.
        size: [B, 2] valid height and width, or None when every pixel is valid.
        net: what reads out, where that is not the model's own network.
    """
    x, params = model.execution.cast(x), model.execution.cast(model.params)
    return Samples(model, net or model.net, params, model.head.prepare(model.net, params, x, size))


def features(model: Model, x: Array, size: Array | None) -> Array:
    """[B, H, W, F] float32: the features before the output layer, of sample 0, at the resolution of the image.

    Raises:
        BadInput: the network does not show them.
    """
    if not isinstance(model.net, HasFeatures):
        raise BadInput(f"{type(model.net).__name__} has no `features`; see bal.posterior.nets.UNet")
    return prepare(model, x, size, Trunk(model.net)).logits(0).astype(jnp.float32)


def classes_first(logits: Array) -> Array:
    """[..., C] → [C, P], so that a CPU's vector units run along the pixels; free where the network made them so."""
    return jnp.moveaxis(logits, -1, 0).reshape(logits.shape[-1], -1)  # [C, …]


def log_softmax(logits: Array) -> tuple[Array, Array]:
    """[C, …] logits → probabilities and log-probabilities, with one exponential a class.

    The barriers stop XLA:CPU from computing the exponentials anew for every output they are fused into.
    """
    once = jax.lax.optimization_barrier
    z = logits.astype(jnp.float32)
    z = once(z - z.max(0, keepdims=True))
    e = once(jnp.exp(z))
    total = e.sum(0, keepdims=True)
    inverse, log = once((1.0 / total, jnp.log(total)))
    return e * inverse, z - log


def calibrated(model: Model, logits: Array) -> tuple[Array, Array]:
    """Probabilities and log-probabilities [C, P] of one sample, calibrated where the calibrator acts on members."""
    p, logp = log_softmax(logits)
    if model.calibrator.on == "members":
        logp = model.calibrator.log_probs(model.state, logp.T).T
        p = jnp.exp(logp)
    return p, logp


def predictive(model: Model, mean_p: Array) -> Array:
    """Calibrated predictive probabilities [..., C] from the mean [..., C] of all samples."""
    if model.calibrator.on == "members":
        return mean_p
    return jnp.exp(model.calibrator.log_probs(model.state, jnp.log(jnp.maximum(mean_p, TINY))))


class _Shown(Net, HasFeatures, Protocol):
    """A network and its ability, as one type."""


@dataclass(frozen=True)
class Trunk:
    """A network whose output is the features before its output layer, so that any head can be asked for them."""

    net: _Shown

    @property
    def channels(self) -> int:
        return self.net.channels

    @property
    def classes(self) -> int:
        return self.net.classes

    @property
    def stride(self) -> int:
        return self.net.stride

    def init(self, key: Key) -> Params:
        return self.net.init(key)

    def encode(self, params: Params, x: Array, size: Array | None, drop: Drop) -> Any:
        return self.net.encode(params, x, size, drop)

    def bridge(self, params: Params, code: Any) -> Any:
        return self.net.bridge(params, code)

    def decode(self, params: Params, code: Any, drop: Drop) -> Any:
        return self.net.decode(params, code, drop)

    def readout(self, params: Params, features: Any, drop: Drop) -> Array:
        return self.net.features(features)
