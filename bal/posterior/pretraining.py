"""Pre-training on images that nobody has labelled: a network mends patches that were spoilt, and keeps what it learns.

The head is trained as it will be, each member on patches of its own, only with another readout: of the channels of the
image instead of the classes. A cold start then begins with the encoder and decoder that came of it.

References:
    Vincent et al. 2010, "Stacked denoising autoencoders" (`denoise`); He et al. 2022, "Masked autoencoders are scalable
    vision learners", arXiv:2111.06377 (`mask`); Brempong et al. 2022, "Denoising pretraining for semantic
    segmentation", arXiv:2205.11423, for encoder and decoder together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from bal.posterior.descent import Progress, descend, descents
from bal.posterior.heads.base import Head
from bal.posterior.nets.base import Net
from bal.posterior.recipe import Pretrain, Train
from bal.types import Array, BadInput, Batch, Key, Params

NOISE = 0.5  # largest standard deviation, in those of the images
BLOCK, MASKED = 4, 0.5  # side of the squares that are blotted out, and the share of them


@dataclass(frozen=True)
class Reconstruction:
    """Mean squared error over the pixels that there are; a `bal.posterior.losses.Criterion` of images."""

    def __call__(self, logits: Array, label: Array) -> Array:
        """[B, H, W, Cin] twice → scalar; NaN in the second is padding. Raises BadInput for other logits."""
        if logits.shape != label.shape:
            raise BadInput(
                f"train.pretrain: the network gives {logits.shape[-1]} channels for images of {label.shape[-1]}, "
                "however many it is bound to: give --train.pretrain none"
            )
        real = jnp.isfinite(label)
        error = jnp.where(real, logits - jnp.where(real, label, 0.0), 0.0)
        return (error**2).sum() / jnp.maximum(real.sum(), 1)


def spoil(image: np.ndarray, how: Pretrain, rng: np.random.Generator) -> np.ndarray:
    """Standardised patches [B, P, P, Cin], with noise or with squares of them blotted out."""
    count, side = image.shape[:2]
    if how == "denoise":
        size = rng.uniform(0, NOISE, (count, 1, 1, 1)).astype(np.float32)
        return image + size * rng.standard_normal(image.shape, np.float32)
    squares = rng.random((count, -(-side // BLOCK), -(-side // BLOCK))) < MASKED
    gone = squares.repeat(BLOCK, 1).repeat(BLOCK, 2)[:, :side, :side, None]
    return np.where(gone, np.float32(0), image)


def examples(
    images: Sequence[np.ndarray], how: Pretrain, train: Train, rows: int, members: int, key: Key
) -> Iterator[Batch]:
    """Endless batches of `rows` spoilt patches a member; what they were is in the place of the labels.

    Args:
        images: [H, W, Cin] each, standardised.
        how: in which way they are spoilt.
        train: side of the patches, and whether they are mirrored.
        rows, members, key: as of `bal.posterior.sampling.batches`.
    """
    rng, patch = np.random.default_rng(np.asarray(jax.random.key_data(key))), train.patch
    small = any(min(image.shape[:2]) < patch for image in images)
    while True:
        clean = np.full((rows * members, patch, patch, images[0].shape[-1]), np.nan, np.float32)
        size = np.full((rows * members, 2), patch, np.int32)
        for row in range(rows * members):
            image = images[int(rng.integers(len(images)))]
            top, left = (int(rng.integers(max(1, side - patch + 1))) for side in image.shape[:2])
            window = image[top : top + patch, left : left + patch]
            if train.flip:
                window = window[:: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]
            height, width = window.shape[:2]
            size[row] = height, width
            clean[row, :height, :width] = window
        yield Batch._make((np.nan_to_num(spoil(clean, how, rng)), clean, size if small else None))


def pretrain(
    head: Head,
    net: Net,
    train: Train,
    images: Sequence[np.ndarray],
    key: Key,
    watch: Callable[[Progress], None] | None = None,
) -> Params:
    """Trains a head to repair images.

    Args:
        head: whose parameters are wanted.
        net: bound to as many classes as the images have channels.
        train: for `train.pretrain_steps` steps; `train.pretrain` says how images are spoilt.
        images: [H, W, Cin] each, standardised.
        key: of the weights and the patches.
        watch: called every few dozen steps.

    Returns:
        The head's parameters, for `bal.posterior.training.transplant`.
    """
    stream = functools.partial(examples, images, train.pretrain, train)
    own = train.pretraining()
    return descend(head, descents(head, net, Reconstruction(), own, stream, key), own.steps, watch)()
