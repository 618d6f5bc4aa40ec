"""Batch ensembles: members that share their weights but for a rank-one factor in each layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from bal.posterior.heads._plain import keep, rows_of
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.types import Array, BadInput, Batch, Key, Params

PARTS = ("encoder", "decoder", "readout")


@dataclass(frozen=True)
class BatchEnsemble:
    r"""E networks that share every kernel W and differ in its scales by input and by output channel.

        W_e = W ∘ (r_e s_eᵀ),   r, s ~ N(1, spread²) at the start;   p(y | x) = 1/E Σ_e softmax f(x; W_e)

    All of it is trained together, member e on a stream of examples of its own; the s-th sample is the s-th member. An
    ensemble takes little more memory than one network, and as much time as E of them.

    Reference:
        Wen, Tran & Ba (2020), "BatchEnsemble: an Alternative Approach to Efficient Ensemble and Lifelong Learning".
    """

    members: int = 4
    """E, networks trained together; also the number of posterior samples."""
    spread: float = 0.5
    """Standard deviation of the factors around 1 before training: what sets the members apart."""

    def __post_init__(self) -> None:
        if self.members < 1 or not self.spread >= 0:
            raise BadInput(f"a batch ensemble needs members ≥ 1 and spread ≥ 0, got {self.members}, {self.spread}")

    @property
    def samples(self) -> int:
        return self.members

    def init(self, net: Net, key: Key) -> Params:
        """The network's own parameters, and `factors`: of kernels [.., F, G] the factors [E, F] and [E, G], of vectors
        [F] (biases, scales) what each member adds to them [E, F], nothing at first."""
        weights_key, factors_key = jax.random.split(key)
        shared = net.init(weights_key)
        leaves, tree = jax.tree.flatten({part: shared[part] for part in PARTS})
        sizes = [sum(p.shape[-2:]) if p.ndim > 1 else 0 for p in leaves]
        drawn = 1 + self.spread * jax.random.normal(factors_key, (self.members, sum(sizes)))  # one draw for all
        factors = []
        for i, (leaf, size) in enumerate(zip(leaves, sizes, strict=True)):
            own = drawn[:, sum(sizes[:i]) : sum(sizes[:i]) + size]
            zero = jnp.zeros((self.members, *leaf.shape))
            factors.append(own if size else zero)
        return {**shared, "factors": jax.tree.unflatten(tree, factors)}

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        total = jnp.zeros(())
        for e in range(self.members):
            own = jax.tree.map(partial(rows_of, e=e, members=self.members), batch)
            total = total + criterion(self.logits(net, params, (own.image, own.size), e), own.label)
        return total

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        return x, size

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        member = jax.tree.map(lambda p, f: apply(p, f[s]), {part: params[part] for part in PARTS}, params["factors"])
        return net.readout(member, net.decode(member, net.encode(member, cache[0], cache[1], keep), keep), keep)


def apply(shared: Array, own: Array) -> Array:
    """A member's parameter from the shared one: [.., F, G] scaled by factors [F + G], or [F] plus [F]."""
    if shared.ndim == 1:
        return shared + own
    into, out = own[: shared.shape[-2]], own[shared.shape[-2] :]
    return shared * (into[:, None] * out[None]).reshape((1,) * (shared.ndim - 2) + shared.shape[-2:])
