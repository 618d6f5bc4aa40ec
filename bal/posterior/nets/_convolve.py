"""3×3 convolutions, arranged for the machine: each equals the plain sum over nine neighbours, and is tested against it.

XLA's convolutions on a CPU multiply patches [pixels, 9 F] with a kernel [9 F, G]; with few output channels G the time
goes into gathering patches. Measured times are in `benchmarks/README.md`.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bal.types import Array

FEW = 16  # output channels up to which two neighbours are better computed as one
# Of nearest-neighbour upsampling by two, the three taps of a kernel fall on two coarse cells; which on which depends on
# whether the fine row is even or odd: [odd, coarse cell, tap].
TAPS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)


def _conv(x: Array, kernel: Array, stride: tuple[int, int], pad: int) -> Array:
    around = ((pad, pad), (pad, pad))
    return jax.lax.conv_general_dilated(x, kernel, stride, around, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _paired(x: Array, kernel: Array) -> Array:
    """Two neighbouring columns as one output of 2 G channels, from a window of 3 × 4.

    A third more products, but half the patches: with 16 output channels 1.4 times faster, its weight gradient twice.
    """
    b, h, w, _ = x.shape
    f, g = kernel.shape[2:]
    left, right = (jnp.pad(kernel, ((0, 0), ends, (0, 0), (0, 0))) for ends in ((0, 1), (1, 0)))  # [3, 4, F, G]
    both = jnp.stack([left, right], axis=3).reshape(3, 4, f, 2 * g)
    return _conv(x, both, (1, 2), 1).reshape(b, h, w, g)  # [B, H, W/2, 2G] → [B, H, W, G]


def _best(x: Array, kernel: Array) -> Array:
    pays = kernel.shape[-1] <= FEW and x.shape[2] % 2 == 0 and jax.default_backend() == "cpu"
    return _paired(x, kernel) if pays else _conv(x, kernel, (1, 1), 1)


@jax.custom_vjp
def convolve(x: Array, kernel: Array) -> Array:
    """x [B, H, W, F] with a kernel [3, 3, F, G], zeros beyond the border → [B, H, W, G].

    Differentiable in reverse only: both gradients are again convolutions whose arrangement is chosen by their own
    number of channels, which forward differentiation of one arrangement would not give.
    """
    return _best(x, kernel)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _best(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    (dk,) = jax.linear_transpose(partial(_best, x), kernel)(dy)
    return _best(dy, kernel[::-1, ::-1].swapaxes(2, 3)), dk


convolve.defvjp(_forward, _backward)


def upsample(x: Array) -> Array:
    """Nearest neighbour, ×2, by broadcasting: `jax.image.resize` has a slow gradient on CPU."""
    b, h, w, f = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, 2, w, 2, f))
    return x.reshape(b, 2 * h, 2 * w, f)  # [B, 2h, 2w, F]


@jax.custom_vjp
def convolve_upsampled(x: Array, kernel: Array) -> Array:
    """`convolve` of x [B, h, w, F] upsampled ×2 (nearest), which is never made: [3, 3, F, G] → [B, 2h, 2w, G].

    One 2×2 convolution at the coarse resolution gives all four fine cells of a coarse one: 4/9 of the products, in both
    directions. What automatic differentiation makes of it is eight times slower than the plain form, so the gradients
    are written out.

    Reference:
        Shi et al. (2016), "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network", on convolving before upsampling.
    """
    b, h, w, _ = x.shape
    y = _conv(x, _four(kernel), (1, 1), 1).reshape(b, h + 1, w + 1, 2, 2, -1)
    # Window (i, j) reads the coarse cells i − 1, i and j − 1, j.
    rows = [jnp.stack([y[:, a : a + h, c : c + w, a, c] for c in (0, 1)], axis=3) for a in (0, 1)]  # [B, h, w, 2, G]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, -1)  # [B, h, 2, w, 2, G] → [B, 2h, 2w, G]


def _four(kernel: Array) -> Array:
    """The kernel of all four fine cells of a coarse one, [3, 3, F, G] → [2, 2, F, 4G]."""
    taps = TAPS.astype(kernel.dtype)
    return jnp.einsum("atk,bul,klfg->tufabg", taps, taps, kernel).reshape(2, 2, kernel.shape[2], -1)


def _upsampled(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve_upsampled(x, kernel), (x, kernel)


def _upsampled_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    b, h, w, f = x.shape
    fine = dy.reshape(b, h, 2, w, 2, -1)
    ends = ((0, 1), (1, 0))  # where the windows of even and of odd cells begin
    rows = [
        jnp.stack([jnp.pad(fine[:, :, a, :, c], ((0, 0), ends[a], ends[c], (0, 0))) for c in (0, 1)], axis=3)
        for a in (0, 1)
    ]  # [B, h + 1, w + 1, 2, G]
    windows = jnp.stack(rows, axis=3).reshape(b, h + 1, w + 1, -1)  # [B, h + 1, w + 1, 4G]
    four, taps = _four(kernel), TAPS.astype(kernel.dtype)
    dx = _conv(windows, four[::-1, ::-1].swapaxes(2, 3), (1, 1), 0)
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # padded by the convolution it would be thirty times slower
    (dfour,) = jax.linear_transpose(lambda k: _conv(around, k, (1, 1), 0), four)(windows)
    return dx, jnp.einsum("atk,bul,tufabg->klfg", taps, taps, dfour.reshape(2, 2, f, 2, 2, -1))


convolve_upsampled.defvjp(_upsampled, _upsampled_backward)
