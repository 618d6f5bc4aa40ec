"""Folds posterior samples into running moments, one sample at a time: nothing here ever holds [S, B, H, W, C]."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from bal.types import Array, Model, Moments

TINY = jnp.finfo(jnp.float32).tiny
OPTIONAL = ("mean_plogp", "mean_p2", "votes")


def terms(logp: Array, needs: tuple[str, ...]) -> dict[str, Array]:
    """What one sample adds to each moment in `needs`, from its log-probabilities [..., C]."""
    p = jnp.exp(logp)
    every = {
        "mean_p": lambda: p,
        "mean_plogp": lambda: p * jnp.maximum(logp, jnp.log(TINY)),
        "mean_p2": lambda: p * p,
        "votes": lambda: jax.nn.one_hot(jnp.argmax(logp, -1), logp.shape[-1], dtype=p.dtype),
    }
    return {name: every[name]() for name in ("mean_p", *(n for n in OPTIONAL if n in needs))}


def posterior(model: Model, x: Array, size: Array | None = None, needs: tuple[str, ...] = ()) -> Moments:
    """Runs all samples of a head over a batch.

        mean_p = 1/S Σ_s p_s,   mean_plogp = 1/S Σ_s p_s log p_s,   …

    The calibrator acts where its field `on` says: on every sample before the fold ("members"), or on the pooled mean
    after it ("pooled": pool, then calibrate). Either way `predictive` is what a person is shown and what predictive
    entropy is computed on; BALD and the other disagreements read the folded samples.

    Args:
        model: head, network, parameters, calibrator and its state.
        x: [B, H, W, Cin] images.
        size: [B, 2] valid height and width, or None when every pixel is valid.
        needs: the optional moments to fold, of `mean_plogp`, `mean_p2`, `votes`.

    Returns:
        Moments over [B, H, W, C]; None for those nobody needs.

    Reference:
        Rahaman & Thiery (2021), "Uncertainty Quantification and Deep Ensembles", on the order of the two.
    """
    cache = model.head.prepare(model.net, model.params, x, size)

    def sample(s: Array | int) -> dict[str, Array]:
        logp = jax.nn.log_softmax(model.head.logits(model.net, model.params, cache, s).astype(jnp.float32))
        return terms(model.calibrator.log_probs(model.state, logp) if model.calibrator.on == "members" else logp, needs)

    def fold(s: Array, total: dict[str, Array]) -> dict[str, Array]:
        return jax.tree.map(jnp.add, total, sample(s))

    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(sample, 0))
    total = jax.lax.fori_loop(0, model.head.samples, fold, zeros)
    mean = jax.tree.map(lambda a: a / model.head.samples, total)
    return Moments(predictive=_predictive(model, mean["mean_p"]), **mean)


def _predictive(model: Model, mean_p: Array) -> Array:
    """Calibrated predictive probabilities [..., C] from the pooled mean [..., C]."""
    if model.calibrator.on == "members":
        return mean_p
    return jnp.exp(model.calibrator.log_probs(model.state, jnp.log(jnp.maximum(mean_p, TINY))))
