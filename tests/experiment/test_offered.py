"""What selectors may read besides descriptors, counted pixel by pixel, and made for who asks alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from runs import tiny

from bal.experiment import offered, query
from bal.experiment.setup import set_up
from bal.loop import propose, start
from bal.pool.coverage import APPEARANCE, appearance
from bal.pool.labels import AUDIT
from bal.pool.units.superpixel import Superpixel
from bal.scoring.acquisitions import Random
from bal.scoring.held_out import predict_probabilities
from bal.selection.selectors import GreedyOracle, TopK
from bal.types import BadInput


@dataclass(frozen=True)
class Reads(TopK):
    """A selector that asks for some names."""

    needs: tuple[str, ...] = ()
    """What it asks for."""


def ready(**changes):
    """An experiment whose first model has asked."""
    setup = set_up(tiny(acq=Random(), audit=0.3, **changes))
    state, _ = propose(setup, *start(setup), lambda event: None)
    return setup, state


@pytest.fixture(scope="module", params=["tile", "superpixel"])
def asked(request):
    if request.param == "tile":
        return ready()
    return ready(unit=Superpixel(8), cost="pixels", start=3000, budget=9000)


def naive(label, predicted, inside) -> list[int]:
    """Wrong pixels by class."""
    count = [0, 0, 0]
    for truth, guess, mine in zip(label.ravel(), predicted.ravel(), inside.ravel(), strict=True):
        if mine and truth not in (255, guess):
            count[truth] += 1
            count[guess] += 1
    return count


def test_errors_are_the_wrong_pixels_of_each_class(asked):
    setup, state = asked
    images = np.array([1, 4])
    found = offered.errors(setup, state.model, images)
    some = np.flatnonzero(np.isin(setup.regions.image, images))
    assert np.isfinite(found[some]).all()
    assert np.isnan(np.delete(found, some, axis=0)).all(), "what was not looked at has no reading"
    p = predict_probabilities(state.model, setup.source, setup.regions, some.tolist())
    wrong = 0
    for m, region in zip(some, setup.regions.describe(some, setup.source.image), strict=True):
        top, left, height, width = region.box
        mask = setup.source.mask(region.image)[top : top + height, left : left + width]
        inside = np.ones(mask.shape, bool) if region.mask is None else region.mask
        assert found[m].tolist() == naive(mask, p[m].argmax(-1), inside)
        wrong += ((mask != p[m].argmax(-1)) & inside).sum()
    assert found[some].sum() / 2 == wrong > 0


def test_audited_errors_are_those_of_the_audit_alone(asked):
    setup, state = asked
    answers = state.pool.bought(AUDIT)
    uneven = min(answers)
    found = offered.audited_errors(setup, state.pool._replace(stands_for={uneven: 2.5}), state.model)
    assert np.isfinite(found).all(1).nonzero()[0].tolist() == sorted(answers)
    for m, p in predict_probabilities(state.model, setup.source, setup.regions, list(answers)).items():
        count = np.array(naive(answers[m], p.argmax(-1), np.ones(answers[m].shape)))
        np.testing.assert_allclose(found[m], count * (2.5 if m == uneven else 1.0))


def test_only_what_is_asked_for_is_made(monkeypatch):
    def unwanted(*args):
        pytest.fail("nobody asked")

    setup = set_up(tiny(selector=Reads()))
    pool = start(setup)[0].pool
    for name in ("errors", "audited_errors", "shares", "styles"):
        monkeypatch.setattr(offered, name, unwanted)
    assert set(offered.offered(setup, pool, None, 1)) == {"labelled"}
    found = offered.offered(set_up(tiny(selector=Reads(needs=("appearance",)))), pool, None, 1)
    assert found["appearance"].shape == (setup.costs.size, APPEARANCE)


def test_what_an_image_looks_like():
    """Against sums over its pixels; the same of all regions of an image, and of no other."""
    setup = set_up(tiny())
    found = setup.appearance
    assert found.shape == (6, APPEARANCE)
    assert len(np.unique(found, axis=0)) == 6
    image = setup.source.image(setup.source.pool[2]).astype(np.float64)
    np.testing.assert_allclose(found[2, :2], [image.mean(), image.std()], rtol=1e-5)
    np.testing.assert_allclose(appearance(np.full((20, 30, 1), 0.25, np.float32))[:2], [0.25, 0.0], atol=1e-7)
    ramp = np.tile(np.linspace(0, 1, 200, dtype=np.float32)[None, :, None], (64, 1, 1))
    across = appearance(ramp)[2:8].reshape(3, 2)
    assert across[0, 0] == pytest.approx(np.log(0.7 / 199 + 1e-3), abs=0.05), "the slope along x, at the first scale"
    assert across[1, 0] == pytest.approx(np.log(1e-3), abs=0.05), "and none along y"


@pytest.mark.parametrize("name", ["truth", "error"])
def test_masks_that_are_missing_are_not_read(name):
    setup = set_up(tiny(selector=Reads(needs=(name,))))
    setup.source.unlabelled = setup.source.pool[:1]
    with pytest.raises(BadInput, match="the source has no mask for some images"):
        query.check(setup)


def test_errors_of_an_audit_need_one():
    with pytest.raises(BadInput, match="give --audit"):
        query.check(set_up(tiny(selector=Reads(needs=("audited",)), audit=0.0)))


def test_the_greedy_oracle_buys_what_is_wrong():
    setup, state = ready(selector=GreedyOracle(), budget=20)
    error = offered.errors(setup, state.model, np.arange(6)).sum(1) / 2
    steered = state.pending.purchase.index[state.pending.purchase.policy == "steered"]
    left = state.pool.eligible.copy()
    left[state.pending.purchase.index] = False
    assert steered.size
    assert error[steered].min() >= error[left].max()
