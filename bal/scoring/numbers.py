"""What is said of an image where a model's answer is no number, instead of a score that would rank it last.

Looked for only once something was found: the programs that score and evaluate say of a batch whether all is well.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bal.posterior.door import no_numbers
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.moments import predict_moments
from bal.posterior.samples import prepare
from bal.sources.batches import Loaded
from bal.system import devices
from bal.types import Array, BadInput


def are_numbers(x: np.ndarray) -> bool:
    """Whether nothing is NaN or +inf. A score of −inf is a number: what has it is never asked about."""
    return bool((x < np.inf).all())


def why_not(model: Model, loaded: Loaded, b: int, id: str) -> BadInput:
    """The error to raise for an image of a batch: which sample is to blame, if not the calibrator or the acquisition.

    Args:
        model: that was asked.
        loaded: the batch, whose pixels are numbers. b: the image's row in it. id: its name.
    """
    height, width = devices.fetch(loaded.size)[b]
    head, count = type(model.head).__name__, model.head.samples
    for s in range(count):
        z = devices.fetch(_logits(model, loaded.image, loaded.size, jnp.int32(s)))[b, :height, :width]
        odd = no_numbers(z)
        if odd.any():
            row, column = np.argwhere(odd)[0].tolist()
            what = "NaN" if np.isnan(z[row, column]).any() else "infinite"
            where = f"at {odd.sum()} of {odd.size} pixels, the first at row {row}, column {column}"
            who = f"sample s = {s} of the {count} of {head}"
            return BadInput(
                f"image '{id}': {who} has {what} logits {where}, though the image has numbers only; {_remedy(model)}"
            )
    p = devices.fetch(_predictive(model, loaded.image, loaded.size))[b, :height, :width]
    if not are_numbers(p):
        who = f"the calibrator {type(model.calibrator).__name__}"
        return BadInput(f"image '{id}': {who} gives NaN for probabilities that are numbers; try --calibrator identity")
    return BadInput(
        f"image '{id}': the acquisition gives NaN or +inf for probabilities that are numbers; give every pixel a "
        "number, or −inf where nobody must be asked about it"
    )


def _remedy(model: Model) -> str:
    if isinstance(model.head, FunctionHead):
        return "of a pixel's logits, none may be NaN or +inf, and not all of them −inf"
    return "its weights have diverged: fit it again with a lower train.rate"


@jax.jit
def _logits(model: Model, x: Array, size: Array, s: Array) -> Array:
    """[B, H, W, C] float32 of the s-th sample."""
    return prepare(model, x, size).logits(s).astype(jnp.float32)


@jax.jit
def _predictive(model: Model, x: Array, size: Array) -> Array:
    """[B, H, W, C]."""
    return predict_moments(model, x, size).predictive
