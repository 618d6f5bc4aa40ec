"""Mutual information between the label of a pixel and the labels of target pixels elsewhere in the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from bal.posterior import samples
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.scoring.numbers import are_numbers, why_not
from bal.sources.base import Source, pixels
from bal.sources.batches import Loaded
from bal.types import TINY, Array, BadInput, Key, RegionPrediction

Aim = Literal["pixels", "errors"]
EPS = jnp.finfo(jnp.float32).eps


@dataclass(frozen=True)
class EPIG:
    """Expected predictive information gain: what a label here would tell about labels elsewhere.

        EPIG(x) = E_{x*} KL( E_θ[p(y | x) p(y* | x*)] ‖ E_θ p(y | x) · E_θ p(y* | x*) )

    In nats, at most BALD of the pixel: a label may tell much about the weights and nothing about what is to be
    predicted. The expectation is over T target pixels x*, drawn anew each round. The paper draws them from the inputs
    the model will be used on, which for thin structures is nearly all background; here half of them are predicted
    foreground, and `foreground=None` draws uniformly. All images that targets come from are padded to one shape.

    With `aim="errors"` a target is drawn, among the pixels it is drawn from, in proportion to the probability that the
    prediction is wrong there,

        π(x*) ∝ 1 − p(ŷ* | x*),   ŷ* = argmax_y p(y | x*),

    with p the calibrated prediction, which the audit has corrected: a label is then worth what it would tell about
    errors that the model makes, and not about pixels that are settled. `foreground=None` aims at all errors alike.

    Its moment holds C·T·C numbers a pixel where others hold C: 144 for 3 classes and 16 targets, 75 MB for a batch of
    2¹⁷ pixels in float32.

    Reference:
        Bickford Smith, Kirsch, Farquhar, Gal, Foster & Rainforth (2023), "Prediction-Oriented Bayesian Active
        Learning", arXiv:2304.08151: any distribution of targets. The one of errors is this project's own.
    """

    targets: int = 16
    """T, target pixels. Time and memory grow with it."""
    foreground: float | None = 0.5
    """Share of the targets drawn among pixels predicted as foreground, as far as there are any; the rest are predicted
    background. None: uniformly among all pixels."""
    images: int = 8
    """Images of the pool, drawn at random each round, that the targets come from."""
    aim: Aim = "pixels"
    """How targets are drawn: each pixel alike, or by the probability of an error there (`errors`)."""
    needs = ("mean_p", "joint")

    def __post_init__(self) -> None:
        if self.targets < 1 or self.images < 1:
            raise BadInput(f"epig needs targets ≥ 1 and images ≥ 1, got {self.targets} and {self.images}")
        if self.aim not in get_args(Aim):
            raise BadInput(f"epig.aim: expected pixels or errors, got {self.aim!r}")
        if not 0 <= (self.foreground or 0.0) <= 1:
            raise BadInput(f"epig.foreground is {self.foreground}; expected a share from 0 to 1, or null for uniform")

    def __call__(self, moments: Moments, state: Array) -> Array:
        assert moments.joint is not None
        p, q = moments.mean_p, state.mean(0)  # [..., C], [T, C]
        joint = moments.joint.reshape(*p.shape, q.size)  # [..., C, T C]
        apart = p[..., None] * q.reshape((1,) * p.ndim + (-1,))  # [..., C, T C]
        return divergence(joint, apart).sum((-1, -2)) / len(q)

    def learn(
        self, key: Key, model: Model, source: Source, ids: Sequence[str], seen: Sequence[RegionPrediction]
    ) -> Array:
        """[S, T, C]: the probabilities of the samples at the targets, calibrated where the calibrator acts on samples.

        Args:
            key: of the draw of images and pixels.
            model: the posterior; a sample is the same function here as where it is scored.
            source, ids: the pool.
            seen: not looked at.

        Raises:
            BadInput: there is no image to draw targets from, or a sample's probabilities are no numbers.
        """
        if not ids:
            raise BadInput("epig draws its targets from the pool, and the pool is empty")
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        names = [ids[int(n)] for n in sorted(rng.permutation(len(ids))[: self.images])]
        images = [pixels(source, id) for id in names]
        size = np.array([image.shape[:2] for image in images], np.int32)  # [images, 2]
        shape = -(-size.max(0) // model.net.stride) * model.net.stride
        batches = [(_pad(image, shape), s[None]) for image, s in zip(images, size, strict=True)]
        maps = [
            [np.asarray(y)[:height, :width].ravel() for y in _predicted(model, *batch)]
            for batch, (height, width) in zip(batches, size, strict=True)
        ]
        predicted, doubt = (np.concatenate(parts) for parts in zip(*maps, strict=True))
        doubt = np.nan_to_num(doubt, nan=1.0)  # what is no number is found out at the target
        start = np.cumsum([0, *(len(of[0]) for of in maps)])
        index = self.draw(rng, predicted, doubt if self.aim == "errors" else None)  # [T]
        image = np.searchsorted(start, index, "right") - 1  # [T]
        row, column = np.divmod(index - start[image], size[image, 1])
        q = np.zeros((model.head.samples, self.targets, model.net.classes), np.float32)
        for n in np.unique(image):
            q[:, image == n] = np.asarray(_at(model, *batches[n], row, column))[:, image == n]
            if not are_numbers(q):
                x, known = map(jnp.asarray, batches[n])
                raise why_not(model, Loaded([0], x, known, None), 0, names[n])
        return jnp.asarray(q)

    def draw(self, rng: np.random.Generator, predicted: np.ndarray, doubt: np.ndarray | None = None) -> np.ndarray:
        """[P] predicted classes → [T] which pixels are targets, without replacement where there are enough.

        `doubt`: [P] ≥ 0, in proportion to which they are drawn; None for each alike.
        """
        front, back = np.flatnonzero(predicted > 0), np.flatnonzero(predicted == 0)
        if self.foreground is None or not (len(front) and len(back)):
            return _some(rng, np.arange(len(predicted)), self.targets, doubt)
        count = round(self.foreground * self.targets)
        return np.concatenate([_some(rng, front, count, doubt), _some(rng, back, self.targets - count, doubt)])


def divergence(joint: Array, apart: Array) -> Array:
    """The terms of KL(joint ‖ apart) between equal totals, `apart · (r log r − r + 1)` with r = joint / apart.

    The terms r − 1 sum to nothing. With them every term is non-negative, and is exact where joint and apart nearly
    agree, which joint · log r is not in float32.
    """
    u = (joint - apart) / jnp.maximum(apart, TINY)
    return jnp.maximum(apart * ((1 + u) * jnp.log1p(jnp.maximum(u, EPS - 1)) - u), 0.0)


def _some(rng: np.random.Generator, pixels: np.ndarray, count: int, doubt: np.ndarray | None) -> np.ndarray:
    weight = None if doubt is None else doubt[pixels].astype(np.float64)
    if weight is None or not weight.any():
        return rng.choice(pixels, count, replace=len(pixels) < count)
    return rng.choice(pixels, count, replace=bool((weight > 0).sum() < count), p=weight / weight.sum())


def _pad(image: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """[H, W, Cin] → [1, *shape, Cin], zeros at the bottom and at the right."""
    x = np.zeros((1, *shape, image.shape[-1]), np.float32)
    x[0, : image.shape[0], : image.shape[1]] = image
    return x


@jax.jit
def _predicted(model: Model, x: Array, size: Array) -> tuple[Array, Array]:
    """Of one image [1, H, W, Cin]: [H, W] the most likely class, and [H, W] the probability that it is another."""
    drawn, none = samples.prepare(model, x, size), jnp.zeros((*x.shape[:3], model.net.classes), jnp.float32)
    total = jax.lax.fori_loop(0, model.head.samples, lambda s, p: p + jnp.exp(drawn.log_probs(s)), none)
    p = samples.predictive(model, total / model.head.samples)[0]
    return p.argmax(-1), jnp.maximum(1 - p.max(-1), 0.0)


@jax.jit
def _at(model: Model, x: Array, size: Array, row: Array, column: Array) -> Array:
    """[S, T, C] probabilities of every sample at T pixels of one image."""
    drawn = samples.prepare(model, x, size)
    return jax.lax.map(lambda s: jnp.exp(drawn.log_probs(s))[0, row, column], jnp.arange(model.head.samples))
