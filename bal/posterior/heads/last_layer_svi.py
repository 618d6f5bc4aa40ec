"""Variational inference over the output layer, by numpyro."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bal.posterior.heads import _last_layer
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.types import Array, BadInput, Batch, Key, Params


class Reservoir(NamedTuple):
    """A random subsample of a stream of labelled pixels, up to k of each class; all shapes are static."""

    rank: Array  # [C, k] random numbers in [0, 1), the smallest of each class so far; infinite where there is no pixel
    feature: Array  # [C, k, F + 1]
    group: Array  # [C, k] int32, which of the G pixels of its cell
    count: Array  # [C] pixels of each class in the stream


@dataclass(frozen=True)
class LastLayerSVI:
    r"""A Gaussian over the output layer that explains the labels best: low rank and diagonal, by gradient ascent.

    A network is trained as usual. Then, for all weights θ [G, F + 1, C] of its output layer together,

        q(θ) = N(μ, U Uᵀ + diag(σ²)) maximises  E_q[ 1/m Σ_i w_i log softmax(θ_{g_i}ᵀ φ_i)_{y_i} ] − KL(q ‖ N(0, τ² I))

    over a subsample of the labelled pixels i, with features φ [F + 1], warm-started at the trained weights; μ takes
    their place. The subsample holds up to k pixels of every class, drawn without replacement; of a class with n pixels
    it keeps min(n, k), each of the weight w = n / min(n, k), so that the sum over the subsample is an unbiased estimate
    of the sum over all labelled pixels, whatever θ: rare classes are seen whole, and nothing is made more probable.

    m is `pixels_per_observation`: neighbouring pixels are not independent, and m divides the log-likelihood (a power
    likelihood). It is a guess, picked on well-log images. The features are taken as known, although they were learned
    from the same labels: what the posterior calls certain is certain *given them*.

    Reference:
        Kucukelbir et al. (2017), "Automatic Differentiation Variational Inference"; low rank and diagonal: Ong, Nott &
        Smith (2018), "Gaussian Variational Approximation with a Factor Covariance Structure".
    """

    samples: int = 20
    """S, output layers averaged for every prediction; all cost little more than one forward pass."""
    rank: int = 8
    """Columns of U."""
    pixels_per_observation: float = 8.0
    """m, how many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""
    prior_scale: float = 1.0
    """τ, standard deviation of a weight before any label is seen."""
    pixels_per_class: int = 8192
    """k, labelled pixels of each class that the posterior is fitted to; rarer classes are taken whole."""
    steps: int = 500
    """Gradient steps of Adam on the variational parameters."""
    rate: float = 1e-2
    """Its first learning rate; a cosine takes it to zero."""
    seed: int = 0
    """Seed of the samples, not of the run: sample s is the same function everywhere."""
    members = 1

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("samples", "rank", "pixels_per_class", "steps")}
        scales = {name: getattr(self, name) for name in ("pixels_per_observation", "prior_scale", "rate")}
        wrong = [f"{k}={v}" for k, v in counts.items() if v < 1] + [f"{k}={v}" for k, v in scales.items() if not v > 0]
        for name, most in (("rank", 2**10), ("pixels_per_class", 2**24), ("steps", 10**8)):
            if getattr(self, name) > most:
                raise ValueError(f"last-layer SVI needs {name} ≤ {most}, got {getattr(self, name)}")
        if wrong:
            raise BadInput(f"last-layer SVI needs positive {', '.join({**counts, **scales})}; got {', '.join(wrong)}")

    def init(self, net: Net, key: Key) -> Params:
        return net.init(key)

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        return _last_layer.plain_loss(net, params, batch, criterion)

    def finalize(self, net: Net, params: Params, labelled: Batch, key: Key) -> Params:
        """Puts μ in the place of the trained output layer and adds `posterior`: `factor` U and `scale` σ."""
        theta = _last_layer.weights(net, params["readout"])  # [G, F + 1, C]
        draw_key, fit_key = jax.random.split(key)
        chosen = empty(self.pixels_per_class, theta)
        for i, cells in enumerate(_last_layer.labelled_cells(net, params, labelled)):
            chosen = draw(chosen, cells, jax.random.fold_in(draw_key, i))
        mean, posterior = fit(self, theta, chosen, fit_key)
        return {**params, "readout": _last_layer.with_weights(params["readout"], mean), "posterior": posterior}

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        return _last_layer.features(net, params, x, size)

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        factor, scale = params["posterior"]["factor"], params["posterior"]["scale"]
        noise = jax.random.normal(_last_layer.noise_key(self.seed, s), (factor.shape[-1] + scale.size,), scale.dtype)
        change = factor @ noise[: factor.shape[-1]] + scale * noise[factor.shape[-1] :].reshape(scale.shape)
        return _last_layer.shifted(net, params, cache, change)


def empty(pixels: int, theta: Array) -> Reservoir:
    """A subsample of nothing, with room for so many pixels a class."""
    _, inputs, classes = theta.shape
    room = (classes, pixels)
    nothing = jnp.zeros((*room, inputs)), jnp.zeros(room, jnp.int32), jnp.zeros(classes)
    return Reservoir(jnp.full(room, jnp.inf, jnp.float32), *nothing)


@jax.jit
def draw(old: Reservoir, cells: _last_layer.Cells, key: Key) -> Reservoir:
    """The subsample of a stream that goes on with these pixels: every pixel so far is equally likely to be in it.

    Every pixel has a random number; the k smallest of a class stay.
    """
    classes, room = old.rank.shape
    label, count = cells.label.ravel(), len(cells.feature)  # [G P]
    mine = label[None] == jnp.arange(classes)[:, None]  # [C, G P]
    rank = jnp.where(mine, jax.random.uniform(key, label.shape)[None], jnp.inf)
    negative, best = jax.lax.top_k(-jnp.concatenate([old.rank, rank], axis=1), room)  # [C, k]
    new, kept = jnp.maximum(best - room, 0), jnp.minimum(best, room - 1)
    stays = best < room
    return Reservoir(
        rank=-negative,
        feature=jnp.where(
            stays[..., None],
            jnp.take_along_axis(old.feature, kept[..., None], axis=1),
            cells.feature[new % count],
        ),
        group=jnp.where(stays, jnp.take_along_axis(old.group, kept, axis=1), new // count),
        count=old.count + mine.sum(1),
    )


def importance(chosen: Reservoir) -> Array:
    """[C, k] how many labelled pixels each of the subsample stands for; 0 where there is none."""
    there = jnp.isfinite(chosen.rank)
    return jnp.where(there, (chosen.count / jnp.maximum(there.sum(1), 1))[:, None], 0.0)


@partial(jax.jit, static_argnames="head")
def fit(head: LastLayerSVI, theta: Array, chosen: Reservoir, key: Key) -> tuple[Array, dict[str, Array]]:
    """μ [G, F + 1, C], and U [G, F + 1, C, rank] with σ [G, F + 1, C]."""
    import numpyro  # here, so that whoever does not use this head does not wait for it
    from numpyro import distributions
    from numpyro.infer import SVI, Trace_ELBO, autoguide, initialization

    groups, inputs, classes = theta.shape
    weight = importance(chosen) / head.pixels_per_observation  # [C, k]
    of_group = jax.nn.one_hot(chosen.group, groups)[..., None] * chosen.feature[..., None, :]  # [C, k, G, F + 1]
    design = of_group.reshape(-1, groups * inputs)  # [C k, G (F + 1)], zero but for the pixel's own group

    def model() -> None:
        prior = distributions.Normal(jnp.zeros(theta.size), head.prior_scale).to_event(1)
        w = jnp.asarray(numpyro.sample("theta", prior)).reshape(-1, classes)
        logp = jax.nn.log_softmax(design @ w).reshape(classes, -1, classes)  # [C, k, C]
        own = jnp.diagonal(logp, axis1=0, axis2=2).T  # [C, k], of the pixels' own classes
        numpyro.factor("labels", jnp.sum(weight * own))

    start = initialization.init_to_value(values={"theta": theta.ravel()})
    guide = autoguide.AutoLowRankMultivariateNormal(model, init_loc_fn=start, init_scale=0.05, rank=head.rank)
    descent = optax.adam(optax.cosine_decay_schedule(head.rate, head.steps))
    with jax.numpy_rank_promotion("allow"):
        result = SVI(model, guide, descent, Trace_ELBO()).run(key, head.steps, progress_bar=False)
    q = guide.get_posterior(result.params)
    factor = q.cov_factor.reshape(*theta.shape, head.rank)
    return q.loc.reshape(theta.shape), {"factor": factor, "scale": jnp.sqrt(q.cov_diag).reshape(theta.shape)}
