"""Metrics, calibration and maps of whole images, streamed."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import pick
from helpers import HEADS_SMALL, Pictures, ask, sample

from bal.metrics import evaluate, summary, tally as metrics
from bal.metrics.detection import auroc
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import Identity, Temperature, Vector
from bal.posterior.calibrators.temperature import TemperatureState
from bal.posterior.moments import predict_moments
from bal.scoring import held_out, score
from bal.scoring.acquisitions import BALD, Entropy, MeanStd, Random
from bal.sources import batches
from bal.types import IGNORE

ONCE = jax.jit(predict_moments, static_argnames="needs")


@pytest.fixture(scope="module")
def even():
    """Images of one size, so that they can be stacked; of odd sides, so that they are padded."""
    return Pictures([(18, 22)] * 5, test=5)


def close(left: metrics.Tally, right: metrics.Tally) -> None:
    fields = [f"{family}.{name}" for family, sums in left.items() for name in sums._fields]
    for name, a, b in zip(fields, jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        if ".mass" in name or ".score" in name:  # a rounding moves a pixel to the next of many bins
            assert np.abs(np.cumsum(a, -1) - np.cumsum(b, -1)).max() < 3, name
            continue
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-2 if "bin_excess" in name else 1e-4, err_msg=name)


@pytest.mark.parametrize("on", ["pooled", "members"])
def test_a_tally_is_that_of_the_whole_stack(net, even, on):
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature(on=on))
    model = dataclasses.replace(model, state=TemperatureState(jnp.float32(3.0)))
    plain = ask(HEADS_SMALL["mc_dropout"], net)
    x = np.stack([even.image(id) for id in even.test])
    label = np.stack([even.mask(id) for id in even.test])
    moments = ONCE(model, x, needs=BALD().needs)
    found = jnp.stack([Entropy()(moments), BALD()(moments)], -1)
    whole = metrics.total(metrics.tally_images(moments.predictive, ONCE(plain, x).predictive, label, found))
    told = []
    got = evaluate.tally(model, even, even.test, lambda *done: told.append(done))
    close(got, whole)
    assert told[-1] == (5, 5)
    assert got["overlap"].confusion.sum() == label.size
    assert np.diff(got["calibration"].nll), "calibrated and raw differ"


def test_a_tally_does_not_depend_on_batches_or_order(model, monkeypatch):
    pictures = Pictures([(18, 22), (13, 13), (18, 22), (18, 22), (13, 13)])
    ids = pictures.pool + pictures.test
    one = evaluate.tally(model, pictures, ids)
    monkeypatch.setattr(batches, "PIXELS", 1)
    close(evaluate.tally(model, pictures, ids[::-1]), one)
    parts = [evaluate.tally(model, pictures, part) for part in (pictures.pool, pictures.test)]
    close(metrics.add(*parts), one)


def test_a_region_that_stands_for_three_counts_as_three(net, pictures):
    """A weight is as good as so many copies: of two regions of one image, and of the same labels."""
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature(pixels_per_observation=16.0))
    regions = lay_out(Tile(8), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    chosen = [0, 7]
    answers = {}
    for m, (id, _, (top, left, height, width), _) in zip(chosen, regions.describe(chosen), strict=True):
        answers[m] = pictures.mask(id)[top : top + height, left : left + width]
    even = held_out.calibrate(model, pictures, regions, answers)
    same = held_out.calibrate(model, pictures, regions, answers, {0: 1.0, 7: 1.0})
    one = held_out.calibrate(model, pictures, regions, answers, {0: 1.0, 7: 1e-6})
    alone = held_out.calibrate(model, pictures, regions, {0: answers[0]})
    assert even.state.temperature == same.state.temperature
    assert float(one.state.temperature) == pytest.approx(float(alone.state.temperature), rel=1e-3)
    assert float(one.state.temperature) != pytest.approx(float(even.state.temperature), rel=1e-3)


def test_nothing_to_learn_from_changes_nothing(net, pictures):
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature())
    regions = lay_out(Tile(8), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    for answers in ({}, {3: np.full(regions.box[3, 2:], IGNORE, np.int32)}):
        fitted = held_out.calibrate(model, pictures, regions, answers)
        assert float(fitted.state.temperature) == 1.0
    assert held_out.calibrate(ask(HEADS_SMALL["mc_dropout"], net, Identity()), pictures, regions, {}).state == ()


@pytest.mark.parametrize("on", ["pooled", "members"])
def test_calibration_sees_the_answered_pixels_and_no_others(net, pictures, on):
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature(on=on, pixels_per_observation=16.0))
    regions = lay_out(Tile(8), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    chosen = [regions.image.size - 1, 0, 7, 20]
    answers, logp, label = {}, [], []
    for m, (id, _, (top, left, height, width), _) in zip(chosen, regions.describe(chosen), strict=True):
        window = np.s_[top : top + height, left : left + width]
        answers[m] = pictures.mask(id)[window]
        image = pictures.image(id)[None]
        if on == "pooled":
            maps = [jnp.log(ONCE(model, image).mean_p)]
        else:
            samples = range(model.head.samples)
            maps = [
                jax.nn.log_softmax(sample(model.head, net, model.params, image, None, jnp.int32(s))) for s in samples
            ]
        logp.append(np.stack([np.asarray(each)[0][window].reshape(-1, 3) for each in maps], 1))  # [P, S, 3]
        label.append(answers[m].ravel())
    seen = np.concatenate(logp)
    seen = seen[:, 0] if on == "pooled" else seen
    expected = model.calibrator.fit(jnp.asarray(seen), jnp.asarray(np.concatenate(label)))
    fitted = held_out.calibrate(model, pictures, regions, answers)
    assert fitted.calibrator == model.calibrator
    assert float(expected.temperature) != 1.0
    np.testing.assert_allclose(fitted.state.temperature, expected.temperature, rtol=1e-3)
    shuffled = {m: answers[m] for m in sorted(chosen)}
    np.testing.assert_array_equal(
        held_out.calibrate(model, pictures, regions, shuffled).state.temperature, fitted.state.temperature
    )


def test_calibrating_again_starts_from_the_raw_prediction(net, pictures):
    model = ask(HEADS_SMALL["mc_dropout"], net, Temperature())
    regions = lay_out(Tile(8), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    answers = {0: pictures.mask(pictures.pool[0])[:8, :8]}
    once = held_out.calibrate(model, pictures, regions, answers)
    twice = held_out.calibrate(once, pictures, regions, answers)
    np.testing.assert_array_equal(once.state.temperature, twice.state.temperature)


def test_maps_have_the_size_of_their_image(model, pictures):
    for id in pictures.pool[:2]:
        prediction, found = score.inspect(model, pictures, BALD(), id)
        assert prediction.shape == found.shape == pictures.shape(id)
        moments = ONCE(model, pictures.image(id)[None], needs=BALD().needs)
        np.testing.assert_allclose(found, BALD()(moments)[0], atol=1e-5)
        assert (prediction == np.asarray(moments.predictive.argmax(-1))[0]).mean() > 0.99
    assert not score.inspect(model, pictures, Random(), pictures.pool[0])[1].any()


def test_tallies_of_images_are_in_the_order_of_their_ids(model):
    pictures = Pictures([(18, 22), (13, 13), (18, 22), (18, 22), (13, 13)])
    ids = pictures.pool + pictures.test
    each = evaluate.tally_each(model, pictures, ids)
    for n, id in enumerate(ids):
        close(pick(each, n), evaluate.tally(model, pictures, [id]))


def test_another_acquisition_is_judged_too(model, pictures):
    for acquisition, count in ((None, 2), (BALD(), 2), (Entropy(), 2), (Random(), 2), (MeanStd(), 3)):
        assert len(evaluate.scores_of(acquisition)) == count
    found = evaluate.tally(model, pictures, pictures.test, acquisition=MeanStd())
    wrong, score = [], []
    for id in pictures.test:
        moments = ONCE(model, pictures.image(id)[None], needs=MeanStd().needs)
        wrong.append((np.asarray(moments.predictive.argmax(-1))[0] != pictures.mask(id)).ravel())
        score.append(np.asarray(MeanStd()(moments)).ravel())
    row = summary.summary(found, pictures.classes)
    expected = auroc(np.concatenate(score), np.concatenate(wrong))
    np.testing.assert_allclose(row["auroc_acquisition"], expected, atol=1e-3)


def test_a_few_labels_are_all_kept():
    label = np.array([0, 1, IGNORE, 2])
    index, weight = held_out.thin(label, 3, 4)
    assert index.tolist() == [0, 1, 2, 3]
    assert weight.tolist() == [1, 1, 1, 1]


def test_a_subsample_is_stratified_and_weighted():
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 2, IGNORE], 50_000, p=[0.9, 0.04, 0.001, 0.059]).astype(np.int32)
    index, weight = held_out.thin(label, 3, 6000)
    assert len(index) == 6000
    assert len(set(index)) == 6000
    for c in range(3):
        np.testing.assert_allclose(weight[label[index] == c].sum(), (label == c).sum(), rtol=1e-5)
    assert (weight[label[index] == 2] == 1).all(), "a rare class is kept whole"
    again = held_out.thin(label, 3, 6000)
    np.testing.assert_array_equal(index, again[0])


@pytest.mark.parametrize("calibrator", [Temperature(), Vector()])
def test_a_fit_to_a_subsample_is_near_the_full_fit(net, calibrator, monkeypatch):
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((60_000, 3)) + np.array([4.0, 0.0, -1.0])
    label = (logits + rng.gumbel(size=logits.shape)).argmax(-1).astype(np.int32)
    wrong = (2 * logits).astype(np.float32)
    model = ask(HEADS_SMALL["mc_dropout"], net, calibrator)
    even, fits = np.ones(len(label), np.float32), []
    for cap in (2**14, 2**17):
        monkeypatch.setattr(held_out, "CAP", cap)
        fits.append(np.concatenate([np.ravel(x) for x in jax.tree.leaves(held_out._fit(model, wrong, label, even))]))
    np.testing.assert_allclose(*fits, rtol=0.05, atol=0.1)
    if isinstance(calibrator, Vector):
        index, _ = held_out.thin(label, 3, 2**14)
        plain = np.concatenate([np.ravel(x) for x in jax.tree.leaves(calibrator.fit(wrong[index], label[index]))])
        assert np.abs(plain - fits[1]).max() > 0.2, "without weights, rare classes look common"
