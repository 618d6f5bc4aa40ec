"""A signal that is no number stops whoever reads it, with the image and the sample named; it never ranks last."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, TINY, Pictures, ask, slow_where

import bal
from bal.experiment.api import Bare
from bal.metrics.evaluate import tally
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import CALIBRATORS, Isotonic, Temperature
from bal.scoring.acquisitions import ACQUISITIONS, BALD, Entropy, Random
from bal.scoring.held_out import calibrate, predict_probabilities, predict_regions
from bal.scoring.numbers import are_numbers
from bal.scoring.score import best_regions, score_regions, survey
from bal.system.devices import Execution

KEY = jax.random.key(0)
HOT = 2.0  # the value of the one pixel that a network cannot bear
LOOKING = [name for name in ACQUISITIONS if name != "random"]


@pytest.fixture
def source():
    """Five images in two batches, with a pixel of HOT in the fourth."""
    found = Pictures([(20, 30), (33, 17), (20, 30), (16, 16), (33, 17)], test=1)
    found.images["picture-3"][5, 7] = HOT
    return found


def breaks(value, sample=2, padding=0.0):
    """Logits of which sample 2 has `value`, in all classes of the hot pixel, and all samples `padding` where x is 0."""

    def logits(params, x, s):
        z = jnp.concatenate([x, 2 * x, 3 * x], -1) * (1 + s)
        z = jnp.where((x == HOT) & (s == sample), value, z)
        return jnp.where(x == 0, padding, z)

    return bal.FunctionHead(logits, samples=4)


def laid_out(source, ids=None):
    ids = source.pool if ids is None else ids
    return lay_out(Tile(8), ids, [source.shape(id) for id in ids], source.image)


def diverged(source, net=TINY, member=1, **how):
    """An ensemble whose second member is NaN in one weight."""
    model = ask(HEADS_SMALL["deep_ensemble"], net)
    bias = model.params["readout"]["conv"]["bias"].at[member, 0].set(jnp.nan)
    params = {**model.params, "readout": {"conv": {**model.params["readout"]["conv"], "bias": bias}}}
    return dataclasses.replace(model, params=params, **how)


@pytest.mark.parametrize(
    "name", slow_where(lambda n: n not in ("bald", "variation_ratio", "conformal_set_size"), LOOKING)
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_one_pixel_of_one_sample_is_named(source, name, value):
    what = "NaN" if np.isnan(value) else "infinite"
    expected = rf"'picture-3': sample s = 2 of the 4 of FunctionHead has {what} logits at 1 of 256 .* row 5, column 7,"
    with pytest.raises(bal.BadInput, match=expected):
        bal.score_pool(breaks(value), None, {}, source, acquisition=name)


@pytest.mark.parametrize("reduction", ["max", "top", "sum"])
def test_no_reduction_hides_it(source, reduction):
    with pytest.raises(bal.BadInput, match="'picture-3': sample s = 2"):
        bal.score_pool(breaks(np.nan), None, {}, source, unit=Tile(8, reduction))


def test_what_a_function_says_of_padding_is_nobodys_business(source):
    source.images["picture-3"][5, 7] = 0.5
    same = [bal.score_pool(breaks(0, padding=p), None, {}, source, acquisition="bald")[1] for p in (np.nan, 0.0)]
    assert np.isfinite(same[0]).all()
    np.testing.assert_array_equal(*same)
    table = bal.score_pool(breaks(0, padding=np.nan), None, {}, source, about=("boundary", "by_class", "joint"))[2]
    assert all(np.isfinite(values).all() for values in table.values())


def impossible(params, x, s):
    """Class 2 is impossible wherever it is dark, and class 0 is where it is bright."""
    z = jnp.concatenate([x, 1 - x, jnp.where(x < 0.5, -jnp.inf, x)], -1) * (1 + s)
    return z.at[..., 0].set(jnp.where(x[..., 0] > 0.8, -jnp.inf, z[..., 0]))


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_a_class_may_be_impossible(source, name):
    scores = bal.score_pool(bal.FunctionHead(impossible, 2), None, {}, source, acquisition=name)[1]
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("on", ["pooled", "members"])
@pytest.mark.parametrize("name", CALIBRATORS)
def test_calibrators_bear_an_impossible_class(source, name, on):
    fields = {field.name for field in dataclasses.fields(CALIBRATORS[name])}
    calibrator = CALIBRATORS[name](**({"on": on} if "on" in fields else {}))
    model = bal.Model(bal.FunctionHead(impossible, 2), Bare(1, 3), {}, calibrator, calibrator.init(3))
    regions = laid_out(source)
    answers = {m: np.full(regions.box[m][2:], m % 3, np.int32) for m in (0, 5, 9)}
    fitted = calibrate(model, source, regions, answers)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted.state))
    assert np.isfinite(score_regions(fitted, source, regions, Entropy(), KEY)).all()
    assert np.isfinite(survey(fitted, source, regions, BALD(), ("joint",))["joint"]).all()


def test_a_member_that_diverged_is_named_wherever_it_is_asked(source):
    model, regions = diverged(source), laid_out(source)
    answers = {m: np.zeros(regions.box[m][2:], np.int32) for m in (0, 5)}
    readers = [
        lambda: score_regions(model, source, regions, BALD(), KEY),
        lambda: best_regions(model, source, regions, BALD(), 3, KEY),
        lambda: survey(model, source, regions, Random(), ("predicted",)),
        lambda: calibrate(model, source, regions, answers),
        lambda: calibrate(dataclasses.replace(model, calibrator=Temperature("members")), source, regions, answers),
        lambda: predict_regions(model, source, regions, answers, Random()),
        lambda: predict_probabilities(model, source, regions, [0]),
        lambda: tally(model, source, source.test),
        lambda: bal.score_pool(model.head, model.net, model.params, source, acquisition="epig"),
    ]
    for reader in readers:
        with pytest.raises(bal.BadInput, match=r"^image 'picture-\d': sample s = 1 .*(DeepEnsemble)"):
            reader()


def test_half_precision_has_no_infinities_of_its_own(source):
    model = ask(HEADS_SMALL["deep_ensemble"], TINY)
    half = dataclasses.replace(model, execution=Execution(compute="bfloat16"))
    assert np.isfinite(score_regions(half, source, laid_out(source), BALD(), KEY)).all()
    with pytest.raises(bal.BadInput, match=r"sample s = 1 of the 3 of DeepEnsemble .* lower train.rate"):
        score_regions(diverged(source, execution=half.execution), source, laid_out(source), BALD(), KEY)


def test_isotonic_does_not_hide_it(source):
    pytest.importorskip("sklearn")
    model = diverged(source, calibrator=Isotonic(), state=Isotonic().init(3))
    for reader in (
        lambda: score_regions(model, source, laid_out(source), Entropy(), KEY),
        lambda: tally(model, source, source.test),
    ):
        with pytest.raises(bal.BadInput, match="sample s = 1"):
            reader()


def test_a_calibrator_that_is_no_number_is_named(source):
    calibrator = Temperature()
    model = ask(HEADS_SMALL["deep_ensemble"], TINY, calibrator)
    state = jax.tree.map(lambda leaf: leaf * jnp.nan, calibrator.init(3))
    with pytest.raises(bal.BadInput, match=r"'picture-0': the calibrator Temperature gives NaN"):
        score_regions(dataclasses.replace(model, state=state), source, laid_out(source), Entropy(), KEY)


@dataclass(frozen=True)
class Odd:
    """Gives every pixel the same."""

    value: float = 0.0
    """What."""
    needs = ("mean_p",)

    def __call__(self, moments):
        return jnp.full_like(moments.mean_p[..., 0], self.value)


def test_scores_of_an_acquisition(source):
    model, regions = ask(HEADS_SMALL["deep_ensemble"], TINY), laid_out(source)
    for value in (0.0, 3.0, -np.inf):  # constant, and: never to be asked
        assert (score_regions(model, source, regions, Odd(value), KEY) == value).all()
    for value in (np.nan, np.inf):
        with pytest.raises(bal.BadInput, match=r"'picture-0': the acquisition gives NaN or \+inf"):
            score_regions(model, source, regions, Odd(value), KEY)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_pixels_that_are_no_numbers_are_named_before_a_network_sees_them(source, value):
    source.images["picture-2"][3, 4] = value
    source.images["picture-2"][9, 1] = value
    expected = r"'picture-2': 2 of its 600 pixels are NaN or infinite, the first at row 3, column 4;"
    model, regions = ask(HEADS_SMALL["deep_ensemble"], TINY), laid_out(source)
    for reader in (
        lambda: score_regions(model, source, regions, BALD(), KEY),
        lambda: calibrate(model, source, regions, {
            int(m): np.zeros(regions.box[m][2:], np.int32) for m in np.flatnonzero(regions.image == 2)[:1]
        }),
        lambda: tally(model, source, ["picture-2"]),
        lambda: bal.score_pool(breaks(0), None, {}, source, acquisition="epig"),
    ):  # fmt: skip
        with pytest.raises(bal.BadInput, match=expected):
            reader()


def test_an_image_that_nobody_asks_about_may_be_anything(source):
    source.images["picture-2"][3, 4] = np.nan
    part = laid_out(source).subset([0, 1])
    assert np.isfinite(score_regions(ask(HEADS_SMALL["deep_ensemble"], TINY), source, part, BALD(), KEY)).all()


def test_are_numbers():
    assert are_numbers(np.array([0.0, -np.inf]))
    assert are_numbers(np.zeros((0, 3)))
    assert not are_numbers(np.array([0.0, np.inf]))
    assert not are_numbers(np.array([0.0, np.nan]))
