"""Folds posterior samples into running moments, one sample at a time: nothing here ever holds [S, B, H, W, C]."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from bal.types import Array, Model, Moments

TINY = jnp.finfo(jnp.float32).tiny
OPTIONAL = ("mean_plogp", "var_p", "votes")


def fold(running: dict[str, Array], logp: Array, s: Array | int) -> dict[str, Array]:
    """The moments of samples 0 … s from those of samples 0 … s − 1 and the log-probabilities [..., C] of sample s.

        mean ← mean + (x − mean) / (s + 1)
        var  ← var + ((p − mean)² s / (s + 1) − var) / (s + 1), with the mean before this sample

    The variance is exact where samples nearly agree, which mean p² − (mean p)² is not in float32.

    Reference:
        Welford (1962), "Note on a Method for Calculating Corrected Sums of Squares and Products".
    """
    p = jnp.exp(logp)
    new = {
        "mean_p": lambda: p,
        "mean_plogp": lambda: p * jnp.maximum(logp, jnp.log(TINY)),
        "votes": lambda: jax.nn.one_hot(jnp.argmax(logp, -1), logp.shape[-1], dtype=p.dtype),
        "var_p": lambda: (p - running["mean_p"]) * (p - running["mean_p"]) * s / (s + 1),
    }
    return {name: old + (new[name]() - old) / (s + 1) for name, old in running.items()}


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
        needs: the optional moments to fold, of `mean_plogp`, `var_p`, `votes`.

    Returns:
        Moments over [B, H, W, C]; None for those nobody needs.

    Reference:
        Rahaman & Thiery (2021), "Uncertainty Quantification and Deep Ensembles", on the order of the two.
    """
    cache = model.head.prepare(model.net, model.params, x, size)

    def sample(s: Array | int) -> Array:
        logp = jax.nn.log_softmax(model.head.logits(model.net, model.params, cache, s).astype(jnp.float32))
        return model.calibrator.log_probs(model.state, logp) if model.calibrator.on == "members" else logp

    like = jax.eval_shape(sample, 0)
    none = {name: jnp.zeros(like.shape, like.dtype) for name in ("mean_p", *(n for n in OPTIONAL if n in needs))}
    moments = jax.lax.fori_loop(0, model.head.samples, lambda s, running: fold(running, sample(s), s), none)
    return Moments(predictive=_predictive(model, moments["mean_p"]), **moments)


def _predictive(model: Model, mean_p: Array) -> Array:
    """Calibrated predictive probabilities [..., C] from the pooled mean [..., C]."""
    if model.calibrator.on == "members":
        return mean_p
    return jnp.exp(model.calibrator.log_probs(model.state, jnp.log(jnp.maximum(mean_p, TINY))))
