"""Stacks of logits, [S, B, H, W, C], and the moments that they fold into."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from helpers import softmax
from hypothesis import strategies as st

from bal.posterior.calibrators import Identity
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.moments import OPTIONAL, Moments, predict_moments

SHAPE = (1, 2, 3)  # B, H, W
ask_posterior = jax.jit(predict_moments, static_argnames="needs")


@functools.cache
def pick(samples: int) -> FunctionHead:
    """A head whose parameters are the logits of its samples, [S, B, H, W, C]."""
    return FunctionHead(_pick, samples)


def _pick(params, x, s):
    return params[s]


def aims(samples: int, classes: int, scale: float = 3.0) -> np.ndarray:
    """[S, T, C] what samples might say of five targets, each sample something else."""
    rng = np.random.default_rng(samples)
    return softmax(scale * rng.standard_normal((samples, 5, classes))).astype(np.float32)


def folded(logits: np.ndarray, calibrator=None, state=None, needs=OPTIONAL, targets=None) -> Moments:
    """The moments of samples with these logits [S, B, H, W, C]."""
    if "joint" in needs and targets is None:
        targets = aims(len(logits), logits.shape[-1])
    calibrator = calibrator or Identity()
    state = calibrator.init(logits.shape[-1]) if state is None else state
    model = Model(pick(len(logits)), None, jnp.asarray(logits), calibrator, state)
    return ask_posterior(model, jnp.zeros((*SHAPE, 1)), needs=needs, targets=targets)


@st.composite
def stacks(draw) -> np.ndarray:
    """Logits of a few samples: moderate, extreme, equal or tied."""
    samples, classes = draw(st.sampled_from([(1, 3), (3, 2), (3, 6), (8, 2), (8, 4)]))  # each is compiled
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = draw(st.sampled_from([0.0, 0.1, 3.0, 80.0])) * rng.standard_normal((samples, *SHAPE, classes))
    extreme = rng.random(logits.shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))
    return np.where(extreme, rng.choice([-80.0, 80.0], logits.shape), logits).astype(np.float32)
