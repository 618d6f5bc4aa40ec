"""Training losses of a segmentation network: a sum of terms, blind to pixels that nobody has labelled.

Every term reads `softmax(logits)`, since that is what the rest of the engine predicts with, and pools the
labelled pixels of the whole batch: no term is a mean over images. A pixel labelled IGNORE influences neither
the value nor the gradient, whatever its logits; a batch without a labelled pixel has loss 0 and gradient 0.

`class_weights` mean the same thing in every term: how much class c counts. In a term that is a mean over
pixels, a pixel weighs w_y, the weight of its true class; in a term that is a mean over classes, class c
weighs w_c. Both are weighted means, so doubling all weights changes nothing.

Optax supplies the pointwise losses. Its overlap losses know no mask, so those are written here.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from bal.types import IGNORE, Array, BadInput


@dataclass(frozen=True)
class Loss:
    """A weighted sum of terms, `Σ_k a_k term_k(logits, label)`; satisfies `bal.posterior.losses.Criterion`."""

    terms: str = "cross_entropy + 0.3*dice"
    """Sum of terms, e.g. "cross_entropy + 0.5*dice". Terms: cross_entropy, bce, dice, generalised_dice,
    tversky, focal, lovasz."""
    class_weights: tuple[float, ...] = ()
    """How much each class counts, background first; empty means that all count the same."""
    tversky_alpha: float = 0.3
    """Tversky: cost of a false positive."""
    tversky_beta: float = 0.7
    """Tversky: cost of a false negative; above tversky_alpha favours recall, as thin classes need."""
    focal_gamma: float = 2.0
    """Focal: how strongly easy pixels are discounted; 0 is cross-entropy."""
    smooth: float = 1.0
    """Dice and Tversky: pixels added to numerator and denominator; calms classes absent from a batch."""

    def __post_init__(self) -> None:
        parse(self.terms)
        for name in ("tversky_alpha", "tversky_beta", "focal_gamma", "smooth"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"loss.{name} is {value}; expected a finite number, zero or more")
        weights = self.class_weights
        if weights and not (all(math.isfinite(w) and w >= 0 for w in weights) and any(weights)):
            raise BadInput(f"loss.class_weights are {weights}; expected finite numbers, zero or more, not all zero")

    def check(self, classes: int) -> None:
        """Raises BadInput when this loss cannot be used with so many classes; needs no data."""
        if not 2 <= classes <= IGNORE:
            raise BadInput(f"a loss needs 2 to {IGNORE} classes (background is one), got {classes}")
        if self.class_weights and len(self.class_weights) != classes:
            raise BadInput(
                f"loss.class_weights has {len(self.class_weights)} numbers for {classes} classes; "
                "give one a class, background first, or none at all"
            )

    def __call__(self, logits: Array, label: Array) -> Array:
        """The loss of one batch.

        Args:
            logits: [B, H, W, C], any float type; computed in float32.
            label: [B, H, W] class ids. IGNORE, and anything else outside 0 … C−1, counts for nothing.

        Returns:
            Scalar float32, zero or more.

        Raises:
            BadInput: when shapes or class weights do not fit each other.
        """
        classes = logits.shape[-1]
        self.check(classes)
        if logits.shape[:-1] != label.shape:
            raise BadInput(f"logits {logits.shape} need labels {logits.shape[:-1]}, got {label.shape}")
        flat = label.reshape(-1)  # [P]
        valid = (flat >= 0) & (flat < classes)  # [P]
        # Masked before anything is computed: an ignored pixel has gradient zero even where its logits are NaN.
        # Classes go first: with two or three of them, XLA runs every later line several times faster that way.
        safe = jnp.where(valid[None], logits.reshape(-1, classes).T.astype(jnp.float32), 0.0)  # [C, P]
        target = (flat[None] == jnp.arange(classes)[:, None]).astype(jnp.float32)  # [C, P], ignored columns are 0
        weights = jnp.asarray(self.class_weights or (1.0,) * classes, jnp.float32)  # [C]
        pixels = Pixels(safe, target, valid, weights)
        return sum((a * LOSSES[name](pixels, self) for a, name in parse(self.terms)), jnp.zeros(()))


class Pixels(NamedTuple):
    """The pixels of a batch, ready for a term."""

    logits: Array  # [C, P] float32, 0 where ignored
    target: Array  # [C, P] one-hot float32, all 0 where ignored
    valid: Array  # [P] bool
    weights: Array  # [C] class weights


def cross_entropy(pixels: Pixels, loss: Loss) -> Array:
    """Class-weighted cross-entropy, `−Σ_i w_{y_i} log p_{i,y_i} / Σ_i w_{y_i}`."""
    return _pixel_mean(pixels, optax.softmax_cross_entropy(pixels.logits, pixels.target, axis=0))


def bce(pixels: Pixels, loss: Loss) -> Array:
    """Class-weighted one-vs-rest, `−Σ_i w_{y_i} Σ_c [t log p + (1−t) log(1−p)]_{i,c} / (C Σ_i w_{y_i})`.

    With p the softmax, not a sigmoid a class: minimised by the true probabilities, so predictions stay
    comparable. With two classes it equals `cross_entropy`, and weights (1, w) are what is elsewhere called a
    positive weight of w.
    """
    each = optax.sigmoid_binary_cross_entropy(_log_odds(pixels.logits), pixels.target)  # [C, P]
    return _pixel_mean(pixels, each.mean(0))


def focal(pixels: Pixels, loss: Loss) -> Array:
    """Focal loss, `−Σ_i w_{y_i} (1−p_{i,y_i})^γ log p_{i,y_i} / Σ_i w_{y_i}`; w is the paper's α.

    Reference: Lin et al. 2017, "Focal loss for dense object detection", arXiv:1708.02002.
    """
    odds = jnp.sum(_log_odds(pixels.logits) * pixels.target, 0)  # [P]
    each = optax.sigmoid_focal_loss(odds, jnp.ones_like(odds), gamma=loss.focal_gamma)
    return _pixel_mean(pixels, each)


def dice(pixels: Pixels, loss: Loss) -> Array:
    """Soft Dice per class, pooled over the batch, `Σ_c w_c (1 − (2 I_c + s) / (P_c + T_c + s)) / Σ_c w_c`.

    I, P and T are the sums over labelled pixels of p·t, p and t (no squares). Background is one of the
    classes; give it weight 0 to leave it out. Reference: Milletari et al. 2016, arXiv:1606.04797; pooled as
    in Sudre et al. 2017.
    """
    _, false_pos, false_neg, total = _overlap(pixels)
    return _class_mean(_ratio(false_pos + false_neg, total + loss.smooth), pixels.weights)


def generalised_dice(pixels: Pixels, loss: Loss) -> Array:
    """Generalised Dice, `1 − 2 Σ_c v_c I_c / Σ_c v_c (P_c + T_c)`, `v_c = w_c / T_c²`, pooled over the batch.

    A class absent from the batch gets the v of the rarest class present (1/T² would be infinite). No
    smoothing: the denominator is positive as soon as one pixel is labelled.

    Reference: Sudre et al. 2017, "Generalised Dice overlap as a deep learning loss function",
    arXiv:1707.03237.
    """
    _, false_pos, false_neg, total = _overlap(pixels)
    size = pixels.target.sum(1)  # [C]
    rarest = jnp.min(jnp.where(size > 0, size, jnp.inf))  # infinite when nothing is labelled
    v = pixels.weights * jnp.where(size > 0, rarest / jnp.maximum(size, 1.0), 1.0) ** 2  # [C], ∝ 1/T²
    return _ratio(jnp.sum(v * (false_pos + false_neg)), jnp.sum(v * total))


def tversky(pixels: Pixels, loss: Loss) -> Array:
    """Tversky per class, pooled over the batch, `Σ_c w_c (1 − (I_c+s) / (I_c + α FP_c + β FN_c + s)) / Σ_c w_c`.

    FP and FN are the sums over labelled pixels of p·(1−t) and (1−p)·t. α = β = ½ is Dice (with half its
    smoothing).

    Reference: Salehi et al. 2017, "Tversky loss function for image segmentation", arXiv:1706.05721.
    """
    hit, false_pos, false_neg, _ = _overlap(pixels)
    miss = loss.tversky_alpha * false_pos + loss.tversky_beta * false_neg
    return _class_mean(_ratio(miss, hit + miss + loss.smooth), pixels.weights)


def lovasz(pixels: Pixels, loss: Loss) -> Array:
    """Lovász-softmax, `Σ_c w_c ΔJ_c(m_c) / Σ_c w_c` over the classes present, `m_{i,c} = |t − p|_{i,c}`.

    ΔJ(m) = Σ_k m_(k) g_k over the errors sorted downwards, g the increments of the Jaccard loss as pixels are
    got wrong in that order. With G pixels of the class, and n_k wrong negatives and G − c_k right positives
    after step k, g_k = 1/(G + n_k) for a positive and (G − c_k) / ((G + n_k)(G + n_k − 1)) for a negative:
    the differences of the paper's Algorithm 1 without their cancellation, which in float32 costs two digits
    at 10⁵ pixels.

    Reference: Berman, Triki and Blaschko 2018, "The Lovász-softmax loss", arXiv:1705.08790.
    """
    error = jnp.abs(pixels.target - jax.nn.softmax(pixels.logits, axis=0))  # [C, P]
    steps = jax.vmap(_jaccard_increments, in_axes=(0, 0, None))
    g = steps(jax.lax.stop_gradient(error), pixels.target > 0, pixels.valid)  # [C, P]
    present = pixels.target.sum(1) > 0  # [C]
    return _class_mean(jnp.sum(error * g, 1), jnp.where(present, pixels.weights, 0.0))


LOSSES: dict[str, Callable[[Pixels, Loss], Array]] = {
    "cross_entropy": cross_entropy,
    "bce": bce,
    "dice": dice,
    "generalised_dice": generalised_dice,
    "tversky": tversky,
    "focal": focal,
    "lovasz": lovasz,
}

_TERM = re.compile(r"\s*(?:(?P<factor>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*\*\s*)?(?P<name>[A-Za-z_]\w*)\s*")


@lru_cache
def parse(terms: str) -> tuple[tuple[float, str], ...]:
    """`"cross_entropy + 0.5*dice"` → `((1.0, "cross_entropy"), (0.5, "dice"))`. Raises BadInput."""
    found: list[tuple[float, str]] = []
    at = 0
    while True:
        term = _TERM.match(terms, at)
        if term is None or terms[term.end() : term.end() + 1] not in ("", "+"):
            raise BadInput(
                f"loss.terms {terms!r} cannot be read at {terms[at:]!r}; expected a sum of names with "
                f'optional factors, such as "cross_entropy + 0.5*dice"; the names are {", ".join(LOSSES)}'
            )
        name = term["name"]
        factor = float(term["factor"] or 1.0)
        if name not in LOSSES:
            near = difflib.get_close_matches(name, LOSSES, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"loss.terms has no term {name!r}{hint}; the terms are {', '.join(LOSSES)}")
        if not (math.isfinite(factor) and factor > 0):
            raise BadInput(f"loss.terms {terms!r}: the factor of {name} is {factor}; expected a positive number")
        found.append((factor, name))
        at = term.end() + 1
        if term.end() == len(terms):
            return tuple(found)


def _log_odds(logits: Array) -> Array:
    """One-vs-rest log-odds, `log p_c − log(1 − p_c)`, exact where p_c rounds to 1; [C, P] → [C, P]."""
    classes = jnp.arange(logits.shape[0])[:, None]  # [C, 1]
    top = classes == jnp.argmax(logits, 0)[None]  # [C, P]
    rest = jax.nn.logsumexp(logits, axis=0, where=~top, keepdims=True)  # [1, P]
    log_p = jax.nn.log_softmax(logits, axis=0)
    below = jnp.where(top, 0.0, jnp.exp(log_p))  # at most ½ where it is used
    return jnp.where(top, logits - rest, log_p - jnp.log1p(-below))


def _overlap(pixels: Pixels) -> tuple[Array, Array, Array, Array]:
    """Sums over labelled pixels a class: hits p·t, false positives, false negatives, and p + t; each [C]."""
    p = jnp.where(pixels.valid[None], jax.nn.softmax(pixels.logits, axis=0), 0.0)  # [C, P]
    t = pixels.target
    hit, false_pos, false_neg = (p * t).sum(1), (p * (1 - t)).sum(1), ((1 - p) * t).sum(1)
    return hit, false_pos, false_neg, 2 * hit + false_pos + false_neg


def _jaccard_increments(error: Array, positive: Array, valid: Array) -> Array:
    """The increments g of `lovasz` for one class, in pixel order; [P] each. Ignored pixels get 0."""
    order = jnp.argsort(-jnp.where(valid, error, -1.0))  # [P], ignored pixels last
    hit = positive[order]
    wrong_pos = jnp.cumsum(hit, dtype=jnp.int32)
    wrong_neg = jnp.cumsum(~hit, dtype=jnp.int32)
    size = wrong_pos[-1]
    union = (size + wrong_neg).astype(jnp.float32)
    left = (size - wrong_pos).astype(jnp.float32)
    step = jnp.where(hit, 1.0 / jnp.maximum(union, 1.0), left / jnp.maximum(union * (union - 1.0), 1.0))
    return jnp.where(valid, jnp.zeros_like(error).at[order].set(step, unique_indices=True), 0.0)


def _pixel_mean(pixels: Pixels, each: Array) -> Array:
    """`Σ_i w_{y_i} each_i / Σ_i w_{y_i}`, where an ignored pixel weighs 0."""
    weight = pixels.weights @ pixels.target  # [P]
    return _ratio(jnp.sum(weight * each), jnp.sum(weight))


def _class_mean(each: Array, weights: Array) -> Array:
    """`Σ_c w_c each_c / Σ_c w_c`."""
    return _ratio(jnp.sum(weights * each), jnp.sum(weights))


def _ratio(numerator: Array, denominator: Array) -> Array:
    """`numerator / denominator`, and 0 with gradient 0 where the denominator is 0 (nothing was labelled)."""
    some = denominator > 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1.0), 0.0)


class Criterion(Protocol):
    def __call__(self, logits: Array, label: Array) -> Array:
        """[B, H, W, C], [B, H, W] → scalar; pixels labelled IGNORE count for nothing."""
        ...
