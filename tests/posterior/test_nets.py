"""What every network promises, and the U-Net's own parts."""

from __future__ import annotations

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import bucketed, check_protocol, check_settings, forward, slow_where
from hypothesis import given, settings, strategies as st

from bal.posterior.heads._plain import keep
from bal.posterior.nets import NETS, UNet
from bal.posterior.nets._convolve import FEW, convolve, convolve_upsampled
from bal.posterior.nets._norms import Norm, _group_statistics, valid_pixels
from bal.posterior.nets.base import Net, NetSettings
from bal.posterior.nets.unet import max_pool, space_to_depth

VARIANTS = {
    f"unet-{norm}-{'stem' if stem else 'plain'}": UNet(width=8, depth=1, stem=stem, norm=norm)
    for norm in ("none", "group", "layer", "rms")
    for stem in (True, False)
} | {"unet-deep": UNet(width=8, depth=3, norm="group"), "unet-flat": UNet(width=8, depth=0)}
DISTINCT = ("unet-none-stem", "unet-group-plain", "unet-flat")  # of these, the others are combinations
SMALL = VARIANTS | {name: cls() for name, cls in NETS.items() if name != "unet"}  # every network of the table


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def started(net: Net, seed: int = 0):
    """Initial parameters with biases and scales away from 0 and 1, where they could hide mistakes."""
    params = jax.jit(net.init)(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + 0.3 * rng.standard_normal(p.shape).astype(np.float32), params)


def through(net: Net, params, x, drop):
    return net.readout(params, net.decode(params, net.encode(params, x, None, drop), drop), drop)


@pytest.mark.parametrize("name", NETS)
def test_settings(name):
    check_settings(NETS[name])
    check_protocol(NETS[name], NetSettings)
    check_protocol(type(NETS[name]().bind(1, 2)), Net)


@pytest.mark.parametrize("name", slow_where(lambda name: name in VARIANTS and name not in DISTINCT, SMALL))
def test_logits_have_the_shape_of_the_image(name):
    for channels, classes, shape in ((1, 2, (16, 16)), (3, 3, (17, 9)), (1, 5, (1, 33)), (3, 4, (7, 8))):
        net = SMALL[name].bind(channels, classes)
        x = jax.ShapeDtypeStruct((2, *shape, channels), jnp.float32)
        params = jax.eval_shape(net.init, jax.random.key(0))
        logits = jax.eval_shape(lambda p, x, net=net: through(net, p, x, keep), params, x)
        assert logits.shape == (2, *shape, classes)
        assert logits.dtype == jnp.float32


@pytest.mark.parametrize("name", slow_where(lambda name: name in VARIANTS and name not in DISTINCT, SMALL))
def test_an_image_has_the_same_logits_alone_padded_and_beside_others(name):
    net = SMALL[name].bind(1, 3, mean=(0.4,), std=(0.2,))
    params = started(net)
    images = [noise(*shape, 1, seed=n) for n, shape in enumerate([(13, 10), (32, 32), (5, 31)])]
    x, size = bucketed(images, (32, 32), fill=30.0)
    together = forward(net, params, x, size)
    for n, image in enumerate(images[:2]):
        height, width = image.shape[:2]
        alone = forward(net, params, image[None])[0]
        largest = np.abs(alone).max()
        np.testing.assert_allclose(together[n, :height, :width] / largest, alone / largest, atol=1e-5)


def test_padding_may_hold_anything():
    net = UNet(width=8, depth=1).bind(1, 3)
    images = [noise(13, 10, 1)]
    clean, size = bucketed(images, (32, 32), fill=0.0)
    dirty = clean.copy()
    dirty[:, 13:], dirty[:, :, 10:] = np.nan, np.inf
    params = started(net)
    np.testing.assert_array_equal(
        forward(net, params, clean, size)[:, :13, :10], forward(net, params, dirty, size)[:, :13, :10]
    )


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("stem", [True, False])
def test_every_site_is_visited_once(depth, stem):
    net = UNet(width=8, depth=depth, stem=stem).bind(1, 2)
    visited = Counter()

    def note(site, x):
        visited[site] += 1
        assert x.ndim == 4
        return x

    params = jax.eval_shape(net.init, jax.random.key(0))
    jax.eval_shape(lambda p, x: through(net, p, x, note), params, jnp.zeros((1, 16, 16, 1)))
    expected = {"bottleneck", "features", *(f"encoder_{n}" for n in range(depth))}
    assert visited == Counter(expected | {f"decoder_{n}" for n in range(1, depth)})


@pytest.mark.parametrize("norm", ["none", "group"])
def test_every_site_and_parameter_matters_and_gradients_are_finite(norm):
    net = UNet(width=8, depth=2, norm=norm).bind(1, 3)
    sites = ("encoder_0", "encoder_1", "bottleneck", "decoder_1", "features")

    @jax.jit
    def slopes(params, scales, x):
        def total(params, scales):
            return (through(net, params, x, lambda site, x: x * scales[sites.index(site)]) ** 2).mean()

        return jax.grad(total, (0, 1))(params, scales)

    of_params, of_scales = slopes(started(net), jnp.ones(len(sites)), noise(2, 13, 10, 1))
    assert (np.abs(of_scales) > 0).all()
    for path, leaf in jax.tree_util.tree_leaves_with_path(of_params):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


def test_gradient_of_constant_and_empty_images_is_finite():
    for norm in ("group", "layer", "rms"):
        net = UNet(width=8, depth=0, norm=norm).bind(1, 2)
        grad = jax.jit(jax.grad(lambda p, x, net=net: through(net, p, x, keep).sum()))
        for leaf in jax.tree.leaves(grad(jax.jit(net.init)(jax.random.key(0)), np.zeros((1, 8, 8, 1), np.float32))):
            assert np.isfinite(leaf).all()


def test_initial_weights_are_he_normal_and_follow_the_key():
    net = UNet(width=32, depth=2).bind(1, 3)
    init = jax.jit(net.init)
    one, same, other = init(jax.random.key(0)), init(jax.random.key(0)), init(jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    kernels = 0
    for (path, leaf), different in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        if path[-1].key == "kernel":
            kernels += 1
            fan_in = np.prod(leaf.shape[:-1])
            np.testing.assert_allclose(np.std(leaf), np.sqrt(2 / fan_in), rtol=0.15)
            assert np.abs(leaf - different).max() > 0
        else:
            np.testing.assert_array_equal(leaf, float(path[-1].key == "scale"))
    assert kernels == 2 * 3 + 2 * 2 + 1


def test_group_statistics_are_those_of_the_valid_pixels():
    x = noise(3, 6, 7, 16) + 3
    size = np.array([[6, 7], [1, 1], [4, 5]])
    valid = np.asarray(valid_pixels(size, 6, 7, 1))
    mean, variance = _group_statistics(x, valid)
    for n, (height, width) in enumerate(size):
        groups = x[n, :height, :width].astype(np.float64).reshape(-1, 2, 8)
        np.testing.assert_allclose(mean[n, 0, 0], np.repeat(groups.mean((0, 2)), 8), rtol=1e-5)
        np.testing.assert_allclose(variance[n, 0, 0], np.repeat(groups.var((0, 2)), 8), rtol=1e-4)
    mean, variance = _group_statistics(x, None)
    groups = x.astype(np.float64).reshape(3, -1, 2, 8)
    np.testing.assert_allclose(mean[:, 0, 0], np.repeat(groups.mean((1, 3)), 8, -1), rtol=1e-5)
    np.testing.assert_allclose(variance[:, 0, 0], np.repeat(groups.var((1, 3)), 8, -1), rtol=1e-4)


def test_group_normalisation_needs_whole_groups():
    Norm(4, "group")
    with pytest.raises(ValueError, match="multiple of 8"):
        Norm(12, "group")


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4]))
@settings(max_examples=50)
def test_a_cell_is_valid_when_it_covers_a_valid_pixel(height, width, factor):
    pixels = np.zeros((40, 40))
    pixels[:height, :width] = 1
    cells = pixels.reshape(40 // factor, factor, 40 // factor, factor).max((1, 3))
    valid = valid_pixels(np.array([[height, width]]), 40 // factor, 40 // factor, factor)
    np.testing.assert_array_equal(valid[0, ..., 0], cells)


def test_space_to_depth_and_back():
    x = noise(2, 6, 8, 3)
    folded = np.asarray(space_to_depth(x))
    assert folded.shape == (2, 3, 4, 12)
    np.testing.assert_array_equal(folded[1, 2, 3], x[1, 4:6, 6:8].reshape(-1))
    net = UNet(width=8, depth=1).bind(1, 3)
    cells = np.moveaxis(folded.reshape(2, 3, 4, 4, 3), 3, 0).reshape(8, 3, 4, 3)
    np.testing.assert_array_equal(net.unfold(cells, (6, 8)), x)
    np.testing.assert_array_equal(net.unfold(cells, (5, 7)), x[:, :5, :7])
    np.testing.assert_array_equal(net.unfold(cells[..., 0], (6, 8)), x[..., 0])


@pytest.mark.parametrize("name", slow_where(lambda name: name not in DISTINCT, VARIANTS))
def test_logits_in_cells_are_the_logits_of_the_image(name):
    net = VARIANTS[name].bind(1, 3)
    params, x = started(net), noise(2, 13, 10, 1)

    @functools.partial(jax.jit, static_argnums=0)
    def logits(net, params, x):
        return through(net, params, x, keep)

    cells = logits(net.cells, params, x)
    assert cells.shape[0] == 2 * net.per_cell
    np.testing.assert_allclose(net.unfold(cells, (13, 10)), logits(net, params, x), atol=1e-4)


def test_pooling():
    x = noise(2, 6, 8, 3)
    np.testing.assert_array_equal(max_pool(x), x.reshape(2, 3, 2, 4, 2, 3).max((2, 4)))


def nine_neighbours(x, kernel):
    """A 3×3 convolution, written out."""
    height, width = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [around[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
    return sum(taps)


@pytest.mark.parametrize("channels", [(3, FEW), (FEW, FEW), (5, FEW + 1), (FEW + 1, 4)])
@pytest.mark.parametrize("width", [6, 7])
def test_convolutions_and_their_gradients_are_sums_over_nine_neighbours(channels, width):
    x, kernel, weight = noise(2, 5, width, channels[0]), noise(3, 3, *channels, seed=1), noise(2, 5, width, channels[1])
    slopes = jax.jit(jax.grad(lambda f, x, k: (f(x, k) * weight).sum(), (1, 2)), static_argnums=0)
    np.testing.assert_allclose(convolve(x, kernel), nine_neighbours(x, kernel), atol=1e-4)
    for found, expected in zip(slopes(convolve, x, kernel), slopes(nine_neighbours, x, kernel), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_convolving_what_was_never_upsampled():
    x, kernel, weight = noise(2, 5, 3, 4), noise(3, 3, 4, 6, seed=1), noise(2, 10, 6, 6, seed=2)

    def naive(x, kernel):
        return nine_neighbours(x.repeat(2, 1).repeat(2, 2), kernel)

    slopes = jax.jit(jax.grad(lambda f, x, k: (f(x, k) * weight).sum(), (1, 2)), static_argnums=0)
    np.testing.assert_allclose(convolve_upsampled(x, kernel), naive(x, kernel), atol=1e-4)
    for found, expected in zip(slopes(convolve_upsampled, x, kernel), slopes(naive, x, kernel), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": -1}])
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(ValueError, match="1 ≤ width ≤ 65536 and 0 ≤ depth ≤ 12"):
        UNet(**wrong)
