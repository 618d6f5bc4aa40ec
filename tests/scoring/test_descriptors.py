"""What is read of a region equals what a loop over its pixels would read, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, ask, forward, sample, slow_where

from bal.pool.cost import boundary
from bal.pool.regions import lay_out
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import Temperature
from bal.posterior.moments import predict_moments
from bal.posterior.samples import features
from bal.scoring import descriptors
from bal.scoring.acquisitions import BALD, Entropy, Margin, Random
from bal.scoring.descriptors import DESCRIPTORS
from bal.scoring.objective import Objective, as_objective
from bal.scoring.score import score_regions, survey
from bal.types import BadInput

NAMES = tuple(DESCRIPTORS)
UNITS = [Tile(6), Superpixel(6)]
KEY = jax.random.key(0)


def ones(shape) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.fixture(scope="module", params=UNITS, ids=["tile", "superpixel"])
def found(request, model, pictures):
    """The regions of a small pool and all that is read of them by entropy."""
    unit = request.param
    regions = lay_out(unit, pictures.pool, [pictures.shape(id) for id in pictures.pool], pictures.image)
    return unit, regions, survey(model, pictures, regions, Entropy(), NAMES)


def by_pixel(model, image) -> dict[str, np.ndarray]:
    """Maps of one image, float64: calibrated p [H, W, C], its entropy [H, W], features, and every sample."""
    x = jnp.asarray(image)[None]
    p = np.asarray(jax.jit(predict_moments)(model, x).predictive, np.float64)[0]
    samples = [sample(model.head, model.net, model.params, x, None, s) for s in range(model.head.samples)]
    return {
        "p": p,
        "score": -(p * np.log(p)).sum(-1),
        "each": np.stack([np.asarray(jax.nn.softmax(z))[0] for z in samples]).astype(np.float64),  # [S, H, W, C]
    }


def test_readings_are_those_of_a_loop(found, model, pictures):
    unit, regions, table = found
    for n, id in enumerate(pictures.pool):
        maps, cut = by_pixel(model, pictures.image(id)), unit.cut(pictures.shape(id), pictures.image(id))
        p, score, each = maps["p"], maps["score"], maps["each"]
        for m in range(*regions.start[n : n + 2]):
            inside = cut == regions.region[m]
            expected = {
                "score": score[inside].mean(),
                "by_class": -(p * np.log(p))[inside].mean(0),
                "by_predicted": (score[..., None] * p)[inside].mean(0),
                "predicted": np.eye(p.shape[-1])[p.argmax(-1)][inside].mean(0),
                "frequency": p[inside].mean(0),
                "boundary": total_variation(p, inside),
                "joint": (each * score[..., None])[:, inside].sum(1) / score[inside].sum(),
            }
            for name, value in expected.items():
                np.testing.assert_allclose(table[name][m], value, rtol=2e-4, atol=2e-6, err_msg=name)


def total_variation(p: np.ndarray, inside: np.ndarray) -> float:
    """½ Σ |p_i − p_j| over neighbours that are both in a region."""
    total = 0.0
    for row, column in np.argwhere(inside):
        for other in ((row + 1, column), (row, column + 1)):
            if other[0] < inside.shape[0] and other[1] < inside.shape[1] and inside[other]:
                total += np.abs(p[row, column] - p[other]).sum() / 2
    return total


def test_the_gradient_is_that_of_the_output_layer(found, model, pictures):
    """∂/∂W of cross-entropy to the predicted class is (p − e_ŷ) ⊗ (features, 1)."""
    unit, regions, table = found
    id = pictures.pool[0]
    image, cut = pictures.image(id), unit.cut(pictures.shape(id), pictures.image(id))
    features = table["embedding"].shape[1]
    classes = model.net.classes
    gradient = table["gradient"].reshape(-1, classes, features + 1)
    p = by_pixel(model, image)["p"]
    residual = p - np.eye(classes)[p.argmax(-1)]
    for m in range(*regions.start[:2]):
        inside = cut == regions.region[m]
        np.testing.assert_allclose(gradient[m, :, -1], residual[inside].mean(0), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(gradient[m].sum(0), 0.0, atol=1e-5)  # p and e_ŷ both sum to one


@pytest.mark.parametrize("name", slow_where(lambda name: "-" in name, HEADS_SMALL))
def test_every_head_shows_its_features(name, net, pictures):
    """What the output layer makes of the features of sample 0 is the logits of sample 0, before noise on the layer."""
    model = ask(HEADS_SMALL[name], net)
    regions = lay_out(Tile(6), pictures.pool[:1], [pictures.shape(pictures.pool[0])])
    table = survey(model, pictures, regions, Random(), ("embedding", "joint"))
    assert table["embedding"].shape == (regions.image.size, 8)
    assert np.isfinite(table["embedding"]).all()
    assert table["embedding"].std(0).max() > 0
    np.testing.assert_allclose(table["joint"].sum(-1), 1.0, rtol=1e-4)


def test_features_are_what_the_readout_reads(model, pictures):
    """A linear map of features at full resolution, one for each place in a cell, is the logits."""
    net, x = model.net, jnp.asarray(pictures.image(pictures.pool[0]))[None]
    f, z = np.asarray(features(model, x, None))[0], np.asarray(sample(model.head, net, model.params, x, None, 0))[0]
    corner = f[::2, ::2].reshape(-1, f.shape[-1]), z[::2, ::2].reshape(-1, z.shape[-1])
    inputs = np.concatenate([corner[0], np.ones((len(corner[0]), 1))], 1)
    left = corner[1] - inputs @ np.linalg.lstsq(inputs, corner[1], rcond=None)[0]
    assert np.abs(left).max() < 1e-3
    assert forward(net, model.params, x).shape[:3] == (1, *f.shape[:2])


def test_a_hard_mask_has_the_boundary_that_is_charged():
    label = np.random.default_rng(0).integers(0, 3, (7, 9))
    assert total_variation(np.eye(3)[label], np.ones(label.shape, bool)) == boundary(label)


def test_scores_are_the_same_with_readings_and_without(model, pictures):
    regions = lay_out(Tile(6), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    alone = score_regions(model, pictures, regions, BALD(), KEY)
    beside = survey(model, pictures, regions, BALD(), ("by_class", "predicted"))
    np.testing.assert_allclose(beside["score"], alone, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(beside["by_class"].sum(-1), alone, rtol=1e-4, atol=1e-6)


def test_weighted_classes_add_up_to_the_score(model, pictures):
    regions = lay_out(Tile(6), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    plain = survey(model, pictures, regions, Entropy(), ("by_class",))
    weight = jnp.array([0.0, 2.0, 0.5])
    routed = survey(model, pictures, regions, Objective(Entropy(), weight=weight), ("by_class",))
    np.testing.assert_allclose(routed["by_class"], plain["by_class"] * np.asarray(weight), rtol=1e-5)
    np.testing.assert_allclose(routed["score"], routed["by_class"].sum(-1), rtol=1e-4)


def test_a_score_that_is_no_sum_is_split_by_probability(model):
    moments = jax.jit(predict_moments)(model, ones((1, 8, 8, 1)))
    objective = as_objective(Margin())
    assert as_objective(objective) is objective
    np.testing.assert_allclose(objective.per_class(moments).sum(-1), Margin()(moments), rtol=1e-5)


def test_members_are_read_as_they_are_calibrated(net, pictures):
    """`joint` of a head whose samples are calibrated is of calibrated samples."""
    regions = lay_out(Tile(6), pictures.pool[:1], [pictures.shape(pictures.pool[0])])
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature(on="members"))
    flat = model.calibrator.fit(jnp.zeros((4, 3)), jnp.array([0, 1, 2, 0]))
    cold = jax.tree.map(lambda x: jnp.full_like(x, 3.0), flat)
    import dataclasses

    tables = [
        survey(dataclasses.replace(model, state=state), pictures, regions, Random(), ("joint",))["joint"]
        for state in (model.state, cold)
    ]
    assert np.abs(tables[0] - tables[1]).max() > 1e-3


def test_unknown_readings_are_refused(net):
    with pytest.raises(BadInput, match="nothing called 'colour'"):
        descriptors.check(("colour",), net)
    with pytest.raises(BadInput, match="has no `features`"):
        descriptors.check(("embedding",), object())
    descriptors.check(NAMES, net)
