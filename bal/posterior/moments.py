"""Folds posterior samples into running moments, one sample at a time: nothing here ever holds [S, B, H, W, C].

The fold works on arrays with the classes first, so that a CPU's vector units run along the pixels, and, where a network
offers it, in the network's own cells, so that no sample is ever rearranged into an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.posterior.model import Model
from bal.posterior.nets.base import HasCells
from bal.posterior.samples import Samples, calibrated, classes_first, predictive, prepare
from bal.system import devices
from bal.types import TINY, Array, BadInput


class Moments(NamedTuple):
    """What posterior samples fold into; None where nobody asked for it. `p_s` is the softmax of one sample."""

    predictive: Array  # [..., C] calibrated predictive probabilities, from the pooled mean
    mean_p: Array  # [..., C] mean_s p_s
    mean_plogp: Array | None = None  # [..., C] mean_s p_s log p_s
    var_p: Array | None = None  # [..., C] variance over s of p_s
    votes: Array | None = None  # [..., C] share of the samples whose most likely class is c
    mean_qlogq: Array | None = None  # [..., C] mean_s (1 − p_s) log(1 − p_s)
    joint: Array | None = None  # [..., C T C] mean_s p_s(y) q_s(t, y*), with what the samples say of T target pixels


def or_nan(moments: Moments, value: Array) -> Array:
    """`value` [...] or [..., C], and NaN wherever the probabilities of some sample were no numbers.

    What is made of moments may not show it: samples that are NaN vote for a class, and agree on it. Of the logits of a
    pixel none may be NaN or +inf; −inf is a class of probability 0, and not all of them may be.
    """
    known = jnp.isfinite(moments.mean_p.sum(-1))  # a softmax with one such logit is NaN in every class
    return jnp.where(known if value.ndim == known.ndim else known[..., None], value, jnp.nan)


OPTIONAL = ("mean_plogp", "var_p", "votes", "mean_qlogq", "joint")
BLOCK = 4096  # pixels folded at a time: what is written for one pass is still in the nearest cache for the next


def fold(running: dict[str, Array], p: Array, logp: Array, s: Array | int, q: Array | None = None) -> dict[str, Array]:
    """The moments of samples 0 … s from those of samples 0 … s − 1 and the probabilities [C, P] of sample s.

        mean ← mean + (x − mean) / (s + 1)
        var  ← var + ((p − mean)² s / (s + 1) − var) / (s + 1), with the mean before this sample

    The variance is exact where samples nearly agree, which mean p² − (mean p)² is not in float32. `q` [T, C], the same
    sample's probabilities at the targets, is what `joint` multiplies p with.

    Reference:
        Welford (1962), "Note on a Method for Calculating Corrected Sums of Squares and Products".
    """
    share = 1.0 / (s + jnp.float32(1))
    new = {
        "mean_p": lambda: p,
        "mean_plogp": lambda: p * jnp.maximum(logp, jnp.log(TINY)),
        "votes": lambda: jax.nn.one_hot(jnp.argmax(logp, 0), len(p), axis=0, dtype=p.dtype),
        "mean_qlogq": lambda: jnp.maximum(1 - p, 0) * jnp.log(jnp.maximum(1 - p, TINY)),
        "var_p": lambda: (p - running["mean_p"]) * (p - running["mean_p"]) * (s * share),
    }
    if q is not None:
        new["joint"] = lambda: (p[:, None] * q.reshape(1, -1, 1)).reshape(-1, p.shape[1])  # [C T C, P]
    return {name: old + (new[name]() - old) * share for name, old in running.items()}


def in_blocks(f: Callable[[Any, Array], Any], running: Any, x: Array) -> Any:
    """`f(running, x)` of a function that treats every column alike, a few thousand columns of [C, P] at a time."""
    columns = x.shape[1]
    width = max(n for n in range(1, BLOCK + 1) if columns % n == 0)
    if width < BLOCK // 16 or width == columns:
        return f(running, x)

    def block(i: Array, running: Any) -> Any:
        cut = partial(jax.lax.dynamic_slice_in_dim, start_index=i * width, slice_size=width, axis=1)
        new = f(jax.tree.map(cut, running), cut(x))
        return jax.tree.map(lambda r, n: jax.lax.dynamic_update_slice_in_dim(r, n, i * width, 1), running, new)

    return jax.lax.fori_loop(0, columns // width, block, running)


def predict_moments(
    model: Model,
    x: Array,
    size: Array | None = None,
    needs: tuple[str, ...] = (),
    then: Callable[[Moments], Any] = lambda moments: moments,
    targets: Array | None = None,
) -> Any:
    """Runs all samples of a head over a batch.

        mean_p = 1/S Σ_s p_s,   mean_plogp = 1/S Σ_s p_s log p_s,   …

    The calibrator acts where its field `on` says: on every sample before the fold ("members"), or on the pooled mean
    after it ("pooled": pool, then calibrate). Either way `predictive` is what a person is shown and what predictive
    entropy is computed on; BALD and the other disagreements read the folded samples.

    Args:
        model: head, network, parameters, calibrator and its state, and how its samples are executed.
        x: [B, H, W, Cin] images.
        size: [B, 2] valid height and width, or None when every pixel is valid.
        needs: the optional moments to fold, of `mean_plogp`, `var_p`, `votes`, `mean_qlogq`, `joint`.
        then: what is wanted of the moments, pixel by pixel: [..., C] → [...] or [..., C]. An acquisition, say.
        targets: [S, T, C] what the s-th sample says of T other pixels, for `joint`; calibrated as these samples are.

    Returns:
        `then` of the moments over [B, H, W, C]: the moments themselves unless given; None for those nobody needs.

    Raises:
        BadInput: `joint` is needed, and there are no targets of this model's samples and classes.

    Reference:
        Rahaman & Thiery (2021), "Uncertainty Quantification and Deep Ensembles", on the order of the two.
    """
    how = model.execution.of(model.head.samples)
    if "joint" in needs and (targets is None or targets.ndim != 3 or len(targets) != model.head.samples):
        came = "none" if targets is None else str(targets.shape)
        raise BadInput(f"the moment `joint` needs targets [{model.head.samples}, T, C], one row a sample, got {came}")

    def on_one_device(shared: tuple[Model, Array | None], x: Array, size: Array | None) -> Any:
        (model, targets), shape = shared, (x.shape[1], x.shape[2])
        net = model.net
        samples = prepare(model, x, size, net.cells if isinstance(net, HasCells) else net)
        moments = _fold_samples(samples, how, needs, targets)
        result = then(Moments(predictive=predictive(model, moments["mean_p"]), **moments))
        return jax.tree.map(lambda y: net.unfold(y, shape), result) if isinstance(net, HasCells) else result

    return devices.rowwise(on_one_device, (model, targets), x, size, members=how.shards)


def _fold_samples(
    samples: Samples, how: devices.Plan, needs: tuple[str, ...], targets: Array | None
) -> dict[str, Array]:
    """The moments [..., C] of all samples, in the order of pixels that they come in."""
    first = jax.lax.axis_index(devices.MEMBERS) if how.shards > 1 else 0

    def which(i: Array | int) -> Array | int:
        return first + i * how.shards

    def logits(i: Array | int) -> Array:
        return samples.logits(which(i))

    def add(i: Array | int, running: dict[str, Array], sample: Array) -> dict[str, Array]:
        z = classes_first(sample)
        q = None if targets is None else targets[which(i)]
        return in_blocks(lambda old, z: fold(old, *calibrated(samples.model, z), i, q), running, z)

    *shape, classes = jax.eval_shape(logits, 0).shape
    rows = {n: classes for n in ("mean_p", *OPTIONAL) if n == "mean_p" or n in needs}
    if "joint" in rows and targets is not None:
        rows["joint"] = classes * math.prod(targets.shape[1:])
    none = {n: jnp.zeros((count, math.prod(shape)), jnp.float32) for n, count in rows.items()}
    moments = how.loop(logits, add, none)
    moments = merge(moments) if how.shards > 1 else moments
    return {n: m.T.reshape(*shape, len(m)) for n, m in moments.items()}


def merge(moments: dict[str, Array]) -> dict[str, Array]:
    """The moments of all samples from those of equal shares of them, one share a device of the axis of members."""
    whole = {name: jax.lax.pmean(m, devices.MEMBERS) for name, m in moments.items()}
    if "var_p" in moments:
        between = (moments["mean_p"] - whole["mean_p"]) * (moments["mean_p"] - whole["mean_p"])
        whole["var_p"] = whole["var_p"] + jax.lax.pmean(between, devices.MEMBERS)
    return whole
