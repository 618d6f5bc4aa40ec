"""Laplace approximation of the output layer, with the curvature of all its weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from bal.posterior.heads import _last_layer
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.types import Array, BadInput, Batch, Key, Params

GRID = 97  # prior precisions tried, evenly spaced on a logarithmic scale


@dataclass(frozen=True)
class LastLayerLaplace:
    r"""A Gaussian over the output layer, centred at the trained weights, as wide as the likelihood is flat there.

    A network is trained as usual. Then, for the weights θ_g [F + 1, C] of each of the G pixels of a cell,

        q(θ_g) = N(θ̂_g, (H_g / m + λ I)⁻¹),   H_g = Σ_i φ_i φ_iᵀ ⊗ (diag(p_i) − p_i p_iᵀ)

    over the labelled pixels i, with features φ [F + 1] and predicted probabilities p [C]. H is the generalised
    Gauss–Newton matrix, exact here because the layer is linear; pixels of different g share no weight, so nothing
    between them is left out. The prior precision λ maximises the marginal likelihood of the data under a Gaussian
    prior around zero, with η the eigenvalues of all H_g and D their number:

        log p(data | λ) ≈ const + D/2 log λ − λ/2 ‖θ̂‖² − 1/2 Σ_d log(η_d / m + λ)

    m is `pixels_per_observation`. The labels of neighbouring pixels come from one stroke and their features from one
    receptive field: counted as independent (m = 1), they give a posterior that is too narrow. m divides the
    log-likelihood (a power likelihood) and so widens the posterior. The default was picked among six values by the
    likelihood of well-log test images, one seed each: a guess for other images. The trained weights are where early
    stopping and weight decay left them, near the mode but not at it, and the features are taken as known, although they
    were learned from the same labels: what the posterior calls certain is certain *given them*.

    Reference:
        Daxberger et al. (2021), "Laplace Redux – Effortless Bayesian Deep Learning". The precision: MacKay (1992),
        "The Evidence Framework Applied to Classification Networks".
    """

    samples: int = 20
    """S, output layers averaged for every prediction; all cost little more than one forward pass."""
    pixels_per_observation: float = 8.0
    """m, how many labelled pixels are worth one independent observation; 1 treats all pixels as independent."""
    lowest: float = 1e-2
    """Smallest prior precision allowed; the prior's standard deviation is at most 1/√lowest."""
    highest: float = 1e6
    """Largest prior precision allowed; with `lowest` equal to it, the precision is given and not estimated."""
    seed: int = 0
    """Seed of the samples, not of the run: sample s is the same function everywhere."""
    members = 1

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.pixels_per_observation > 0 or not 0 < self.lowest <= self.highest:
            raise BadInput(
                "last-layer Laplace needs samples ≥ 1, pixels_per_observation > 0 and 0 < lowest ≤ highest, got "
                f"{self.samples}, {self.pixels_per_observation}, {self.lowest} and {self.highest}"
            )

    def init(self, net: Net, key: Key) -> Params:
        return net.init(key)

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        return _last_layer.plain_loss(net, params, batch, criterion)

    def finalize(self, net: Net, params: Params, labelled: Batch, key: Key) -> Params:
        """Adds `posterior`: `root` [G, D, D], the symmetric root of the covariance, and `precision` λ."""
        theta = _last_layer.weights(net, params["readout"])  # [G, F + 1, C]
        size = theta[0].size  # D
        curvature = jnp.zeros((len(theta), size, size))
        for cells in _last_layer.labelled_cells(net, params, labelled):
            curvature = curvature + gauss_newton(theta, cells)
        root, precision = _root(self, theta, curvature)
        return {**params, "posterior": {"root": root, "precision": precision}}

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        return _last_layer.features(net, params, x, size)

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        root = params["posterior"]["root"]
        noise = jax.random.normal(_last_layer.noise_key(self.seed, s), root.shape[:2], root.dtype)
        change = jnp.einsum("gde,ge->gd", root, noise)
        return _last_layer.shifted(net, params, cache, change.reshape(len(root), -1, net.classes))


@jax.jit
def gauss_newton(theta: Array, cells: _last_layer.Cells) -> Array:
    """H [G, D, D] of the cross-entropy of labelled pixels, D = (F + 1) C with the class running fastest.

    One class at a time, so that memory grows with C and not with C².
    """
    groups, inputs, classes = theta.shape
    valid = (cells.label >= 0) & (cells.label < classes)  # [G, P]
    p = jax.nn.softmax(jnp.einsum("pf,gfc->cgp", cells.feature, theta), axis=0)  # [C, G, P]
    p = jnp.where(valid[None], p, 0.0)

    def rows_of_class(c: Array) -> Array:
        same = (jnp.arange(classes) == c).astype(p.dtype)[:, None, None]
        hessian = p[c][None] * (same - p)  # [C, G, P], row c of diag(p) − p pᵀ
        scaled = hessian[..., None] * cells.feature[None, None]  # [C, G, P, F + 1]
        return jnp.einsum("dgpj,pi->gijd", scaled, cells.feature)

    h = jax.lax.map(rows_of_class, jnp.arange(classes))  # [C, G, F + 1, F + 1, C]
    return h.transpose(1, 2, 0, 3, 4).reshape(groups, inputs * classes, inputs * classes)  # [G, D, D]


@partial(jax.jit, static_argnames="head")
def _root(head: LastLayerLaplace, theta: Array, curvature: Array) -> tuple[Array, Array]:
    """The symmetric root [G, D, D] of the covariance at the most probable prior precision, and that precision.

    The symmetric root does not depend on the signs and the order of the eigenvectors, which differ between machines.
    """
    values, vectors = jnp.linalg.eigh(curvature / head.pixels_per_observation)
    values = jnp.maximum(values, 0.0)  # [G, D]
    precision = most_probable_precision(values.ravel(), jnp.sum(theta * theta), head.lowest, head.highest)
    spread = jax.lax.rsqrt(values + precision)
    return jnp.einsum("gdk,gk,gek->gde", vectors, spread, vectors), precision


def most_probable_precision(values: Array, square: Array, lowest: float, highest: float) -> Array:
    """The prior precision in [lowest, highest] of the largest marginal likelihood, from a logarithmic grid.

    Args:
        values: [D] eigenvalues of the curvature of the negative log-likelihood.
        square: ‖θ̂‖².
        lowest, highest: bounds.
    """
    grid = jnp.geomspace(lowest, highest, GRID)[:, None]  # [GRID, 1]
    # D/2 log λ − 1/2 Σ log(η + λ), without the cancellation of the two
    evidence = -0.5 * jnp.log1p(values[None] / grid).sum(1) - 0.5 * grid[:, 0] * square
    return grid[jnp.argmax(evidence), 0]
