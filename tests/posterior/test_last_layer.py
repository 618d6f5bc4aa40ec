"""Posteriors over the output layer: against float64 formulas written out pixel by pixel, and in their limits."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CLASSES, HEADS_SMALL, ask, forward, labelled_noise, sample, softmax

from bal.posterior.heads import LastLayerLaplace, LastLayerSVI, _last_layer, last_layer_svi
from bal.posterior.heads.last_layer_laplace import gauss_newton, most_probable_precision
from bal.posterior.nets import UNet
from bal.posterior.training import finish
from bal.types import IGNORE, Batch

KEY = jax.random.key(0)
SVI = HEADS_SMALL["last_layer_svi"]


@pytest.fixture(scope="module")
def plain(net):
    """A network's own parameters."""
    return jax.jit(net.init)(jax.random.key(1))


def toy(pixels: int = 40, groups: int = 2, inputs: int = 4, seed: int = 0) -> tuple[jax.Array, _last_layer.Cells]:
    """Weights [G, F + 1, C] and labelled cells, some labels missing and some no class at all."""
    rng = np.random.default_rng(seed)
    feature = np.concatenate([rng.random((pixels, inputs - 1)), np.ones((pixels, 1))], 1)
    label = rng.choice([0, 0, 0, 1, 2, IGNORE, 7], (groups, pixels))
    cells = _last_layer.Cells(jnp.asarray(feature, jnp.float32), jnp.asarray(label, jnp.int32))
    return jnp.asarray(rng.standard_normal((groups, inputs, CLASSES)), jnp.float32), cells


def naive_gauss_newton(theta: np.ndarray, cells: _last_layer.Cells) -> np.ndarray:
    """[G, D, D] in float64: one Kronecker product a pixel."""
    theta, feature = np.asarray(theta, np.float64), np.asarray(cells.feature, np.float64)
    groups, inputs, classes = theta.shape
    h = np.zeros((groups, inputs * classes, inputs * classes))
    for g in range(groups):
        for phi, label in zip(feature, np.asarray(cells.label[g]), strict=True):
            if label < classes:
                p = softmax(phi @ theta[g])
                h[g] += np.kron(np.outer(phi, phi), np.diag(p) - np.outer(p, p))
    return h


# What the output layer sees


@pytest.mark.parametrize("shape", [(16, 16), (18, 21)])
@pytest.mark.parametrize("stem", [True, False])
def test_cells_are_what_the_readout_multiplies(shape, stem):
    net = UNet(width=4, depth=1, stem=stem).bind(1, CLASSES)
    params = jax.jit(net.init)(KEY)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, *shape, 1)), jnp.float32)
    number = jnp.arange(x.size).reshape(x.shape[:3]) + 1000  # every pixel's own
    (cells,) = _last_layer.labelled_cells(net, params, Batch(x, number))
    theta = _last_layer.weights(net, params["readout"])
    logits = np.asarray(forward(net, params, x)).reshape(-1, CLASSES)
    found = np.argwhere(np.asarray(cells.label) >= 1000)
    assert sorted(np.asarray(cells.label)[tuple(found.T)]) == sorted(number.ravel().tolist())
    groups, columns = found.T
    own = np.einsum("nf,nfc->nc", cells.feature[columns], theta[groups])
    np.testing.assert_allclose(own, logits[np.asarray(cells.label)[groups, columns] - 1000], rtol=1e-4, atol=1e-4)


def test_weights_and_back(net, plain):
    readout = plain["readout"]
    theta = _last_layer.weights(net, readout)
    assert theta.shape == (4, 9, CLASSES)
    jax.tree.map(np.testing.assert_array_equal, _last_layer.with_weights(readout, theta), readout)
    with pytest.raises(ValueError, match="readout is one 1×1 convolution"):
        _last_layer.weights(net, {"dense": readout["conv"]})


@pytest.mark.parametrize("head", [SVI, HEADS_SMALL["last_layer_laplace"]], ids=["svi", "laplace"])
def test_a_fit_is_compiled_once_whatever_the_number_of_labels(head, net, plain):
    few, many = labelled_noise(net, rows=3), labelled_noise(net, rows=_last_layer.ROOM // 256 + 1)
    assert len(list(_last_layer.labelled_cells(net, plain, many))) == 2
    finish(head, net, plain, few, KEY)
    functions = _last_layer._cells, gauss_newton, last_layer_svi.draw, last_layer_svi.fit
    compiled = [f._cache_size() for f in functions]
    params = finish(head, net, plain, many, KEY)
    assert [f._cache_size() for f in functions] == compiled
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


# Laplace


def test_the_curvature_is_that_of_the_formula():
    theta, cells = toy()
    expected = naive_gauss_newton(np.asarray(theta), cells)
    np.testing.assert_allclose(gauss_newton(theta, cells), expected, rtol=1e-4, atol=1e-5)


def test_the_covariance_is_the_inverse_of_the_curvature(net, plain):
    labelled, head = labelled_noise(net), LastLayerLaplace(pixels_per_observation=4.0, lowest=0.5, highest=0.5)
    root = np.asarray(finish(head, net, plain, labelled, KEY)["posterior"]["root"], np.float64)
    (cells,) = _last_layer.labelled_cells(net, plain, labelled)
    h = naive_gauss_newton(np.asarray(_last_layer.weights(net, plain["readout"])), cells)
    covariance = np.linalg.inv(h / 4 + 0.5 * np.eye(h.shape[-1]))
    np.testing.assert_allclose(root @ root, covariance, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(root, root.transpose(0, 2, 1), atol=1e-5)


def test_the_precision_has_the_largest_marginal_likelihood():
    theta, cells = toy(pixels=200)
    h = naive_gauss_newton(np.asarray(theta), cells)
    square, size = float((theta**2).sum()), h.shape[-1]

    def evidence(precision: float) -> float:
        log_prior = 0.5 * theta.size * np.log(precision) - 0.5 * precision * square
        return log_prior - 0.5 * np.linalg.slogdet(h + precision * np.eye(size))[1].sum()

    values = jnp.asarray(np.linalg.eigvalsh(h).ravel(), jnp.float32)
    best = float(most_probable_precision(values, jnp.float32(square), 1e-3, 1e3))
    assert 1e-2 < best < 1e2
    tried = np.geomspace(1e-3, 1e3, 61)
    assert evidence(best) > max(evidence(x) for x in tried) - 0.05
    assert float(most_probable_precision(values, jnp.float32(square), 7.0, 7.0)) == pytest.approx(7.0)


def spread_of(head, net, params) -> float:
    """Mean standard deviation of the logits between samples."""
    x = np.random.default_rng(3).standard_normal((2, 16, 16, 1)).astype(np.float32)
    return float(np.std([sample(head, net, params, x, None, jnp.int32(s)) for s in range(head.samples)], axis=0).mean())


@pytest.mark.parametrize(
    "certain",
    [LastLayerLaplace(samples=3, lowest=1e12, highest=1e12), LastLayerLaplace(samples=3, pixels_per_observation=1e-10)],
    ids=["prior", "data"],
)
def test_samples_collapse_to_the_trained_network(certain, net, plain):
    """Where the prior is infinitely precise, and where labels are plentiful."""
    params = finish(certain, net, plain, labelled_noise(net), KEY)
    x = labelled_noise(net, rows=2).image
    expected = softmax(np.asarray(forward(net, plain, x)))
    for s in range(certain.samples):
        np.testing.assert_allclose(softmax(sample(certain, net, params, x, None, jnp.int32(s))), expected, atol=2e-3)


def test_without_labels_the_posterior_is_the_prior(net, plain):
    labelled = labelled_noise(net)._replace(label=jnp.full((4, 16, 16), IGNORE))
    posterior = finish(LastLayerLaplace(lowest=0.25), net, plain, labelled, KEY)["posterior"]
    assert float(posterior["precision"]) == pytest.approx(0.25)
    np.testing.assert_allclose(posterior["root"], np.broadcast_to(2 * np.eye(27), (4, 27, 27)), atol=1e-5)
    head = LastLayerSVI(steps=600, rate=3e-2, rank=1, pixels_per_class=32, prior_scale=0.5)
    posterior = finish(head, net, plain, labelled, KEY)["posterior"]
    variance = posterior["scale"] ** 2 + (posterior["factor"] ** 2).sum(-1)
    np.testing.assert_allclose(np.sqrt(variance).mean(), 0.5, rtol=0.15)


# Variational inference


def test_the_subsample_is_unbiased():
    """Its weighted sum of anything is, over many draws, the sum over all labelled pixels of two chunks."""
    theta, first = toy(pixels=150)
    _, second = toy(pixels=150, seed=1)

    def value(feature, group, c):
        return feature[..., 0] ** 2 + group + c

    exact, counts = 0.0, np.zeros(CLASSES)
    for cells in (first, second):
        for g, p in np.argwhere(np.asarray(cells.label) < CLASSES):
            c = int(cells.label[g, p])
            exact, counts[c] = exact + value(np.asarray(cells.feature[p]), g, c), counts[c] + 1
    estimates = []
    for n in range(300):
        chosen = last_layer_svi.empty(20, theta)
        for i, cells in enumerate((first, second)):
            chosen = last_layer_svi.draw(chosen, cells, jax.random.fold_in(jax.random.key(n), i))
        weight = np.asarray(last_layer_svi.importance(chosen))
        np.testing.assert_allclose(weight.sum(1), counts, rtol=1e-5)
        assert ((weight > 0).sum(1) == np.minimum(counts, 20)).all()
        classes = np.arange(CLASSES)[:, None]
        estimates.append((weight * value(np.asarray(chosen.feature), np.asarray(chosen.group), classes)).sum())
    error = np.std(estimates) / len(estimates) ** 0.5
    assert error > 0
    assert abs(np.mean(estimates) - exact) < 4 * error


def test_a_rare_class_is_taken_whole():
    theta, cells = toy(pixels=30)
    chosen = last_layer_svi.draw(last_layer_svi.empty(64, theta), cells, KEY)
    chosen, cells = jax.device_get((chosen, cells))
    weight = np.asarray(last_layer_svi.importance(chosen))
    for c in range(CLASSES):
        groups, columns = np.nonzero(cells.label == c)
        there = np.isfinite(chosen.rank[c])
        found = {(int(g), *f.tolist()) for g, f in zip(chosen.group[c][there], chosen.feature[c][there], strict=True)}
        assert found == {(g, *cells.feature[p].tolist()) for g, p in zip(groups, columns, strict=True)}
        assert set(weight[c]) == {0.0, 1.0}


def test_more_labels_leave_less_doubt(net, plain):
    head = dataclasses.replace(SVI, steps=300, rate=3e-2, pixels_per_class=2048)
    few, many = (finish(head, net, plain, labelled_noise(net, rows), KEY) for rows in (2, 60))
    assert spread_of(head, net, few) > 1.5 * spread_of(head, net, many)


def test_svi_finds_the_mode_and_the_width_of_laplace():
    """Many pixels, so that the posterior is Gaussian: the same mean log-odds and nearly the same spread of logits."""
    theta, cells = toy(pixels=2000, groups=1)
    head = LastLayerSVI(steps=3000, rate=2e-2, rank=6, pixels_per_observation=1.0, pixels_per_class=2000)
    chosen = last_layer_svi.draw(last_layer_svi.empty(2000, theta), cells, KEY)
    mean, q = last_layer_svi.fit(head, theta, chosen, KEY)
    h = naive_gauss_newton(np.asarray(mean), cells)[0] + np.eye(theta.size)
    covariance = np.linalg.inv(h)
    u, d = np.asarray(q["factor"]).reshape(theta.size, -1), np.asarray(q["scale"]).ravel()
    phi = np.asarray(cells.feature[:50], np.float64)
    contrast = np.kron(phi, np.array([[1.0, -1.0, 0.0]]))  # log-odds of class 0 against class 1
    ours = np.einsum("nd,de,ne->n", contrast, u @ u.T + np.diag(d**2), contrast)
    exact = np.einsum("nd,de,ne->n", contrast, covariance, contrast)
    assert 0.7 < np.sqrt(ours / exact).mean() < 1.5
    label = np.asarray(cells.label[0])
    shares = np.bincount(label[label < CLASSES], minlength=CLASSES) / (label < CLASSES).sum()
    predicted = softmax(np.asarray(cells.feature, np.float64) @ np.asarray(mean[0]))[label < CLASSES].mean(0)
    np.testing.assert_allclose(predicted, shares, atol=0.02)


def test_the_trained_layer_is_where_samples_are_centred(net):
    """`readout` is the posterior's mean: samples are symmetric around it."""
    for name in ("last_layer_svi", "last_layer_laplace"):
        head = dataclasses.replace(HEADS_SMALL[name], samples=200)
        params = ask(HEADS_SMALL[name], net).params
        x = labelled_noise(net, rows=1).image
        samples = np.stack([sample(head, net, params, x, None, jnp.int32(s)) for s in range(200)])
        gap = np.abs(samples.mean(0) - np.asarray(forward(net, params, x)))
        assert (gap < 5 * samples.std(0) / 200**0.5 + 1e-4).mean() > 0.99
