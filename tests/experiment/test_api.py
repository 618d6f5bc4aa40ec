"""The three functions for a notebook: scores from any model, a purchase from any scores, a run from a Config."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Pictures
from runs import ledger, tiny

import bal
from bal.pool.units.tile import Tile
from bal.posterior.heads import MCDropout
from bal.scoring.acquisitions import Entropy


def linear(params, x, s):
    """A user's own posterior: a 1x1 convolution whose weights depend on the sample."""
    return x @ params["w"][s] + params["b"]


PARAMS = {
    "w": np.random.default_rng(0).standard_normal((4, 1, 3)).astype(np.float32),
    "b": np.zeros((1, 1, 1, 3), np.float32),
}


@pytest.fixture
def square():
    """Images of one size, of whole tiles."""
    return Pictures([(32, 32)] * 5)


def by_hand(image: np.ndarray, size: int) -> list[float]:
    """BALD of every tile of one image, written out."""
    p = np.stack([np.asarray(jax.nn.softmax(linear(PARAMS, image[None], s))[0], np.float64) for s in range(4)])
    mean = p.mean(0)
    score = -(mean * np.log(mean)).sum(-1) + (p * np.log(p)).sum(-1).mean(0)
    tiles = score.reshape(score.shape[0] // size, size, score.shape[1] // size, size)
    return tiles.mean((1, 3)).ravel().tolist()


def test_a_function_of_ones_own(square, capsys):
    head = bal.FunctionHead(linear, samples=4)
    regions, scores = bal.score_pool(head, None, PARAMS, square, unit=Tile(16))
    assert scores.shape == regions.image.shape == (12,)
    expected = [score for id in square.pool for score in by_hand(square.images[id], 16)]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
    assert regions.describe([5])[0] == (square.pool[1], 1, (0, 16, 16, 16), None)
    assert capsys.readouterr() == ("", "")


def test_a_network_of_ours(net, params, logs, capsys):
    head = MCDropout(samples=2)
    seen = []
    how = {"ids": logs.pool[:2], "watch": lambda done, total: seen.append((done, total))}
    regions, scores = bal.score_pool(head, net, params, logs, acquisition="entropy", **how)
    again = bal.score_pool(head, net, params, logs, acquisition=Entropy(), ids=logs.pool[:2])[1]
    np.testing.assert_array_equal(scores, again)
    assert regions.ids == logs.pool[:2]
    assert np.isfinite(scores).all()
    assert seen[-1] == (2, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["epig", "conformal_set_size"])
def test_an_acquisition_that_learns_does_so_from_the_pool(square, name):
    regions, scores = bal.score_pool(bal.FunctionHead(linear, samples=4), None, PARAMS, square, acquisition=name)
    assert scores.shape == regions.image.shape
    assert np.isfinite(scores).all()
    assert scores.std() > 0


def test_masks_are_never_read(square, monkeypatch):
    monkeypatch.delattr(Pictures, "mask")
    bal.score_pool(bal.FunctionHead(linear, 4), None, PARAMS, square)


def test_unknown_names(square):
    with pytest.raises(bal.BadInput, match="did you mean 'entropy'"):
        bal.score_pool(bal.FunctionHead(linear, 4), None, PARAMS, square, acquisition="entropie")
    with pytest.raises(bal.BadInput, match="did you mean 'top_k'"):
        bal.select([1.0], [1.0], 1, selector="topk")


@pytest.mark.parametrize("name", ["k_center", "badge", "batch_bald", "stratified", "foreground_power"])
def test_what_a_selector_reads_comes_with_the_scores(net, params, logs, name):
    head, selector = MCDropout(samples=2), bal.SELECTORS[name]()
    how = {"ids": logs.pool[:2], "acquisition": "entropy"}
    regions, scores, about = bal.score_pool(head, net, params, logs, about=selector.needs, **how)
    alone = bal.score_pool(head, net, params, logs, **how)[1]
    np.testing.assert_allclose(scores, alone, atol=1e-6)
    assert set(about) == set(selector.needs) - {"labelled"}
    eligible = np.arange(scores.size) % 4 > 0
    query = bal.select(scores, np.ones(scores.size), 3, eligible=eligible, selector=selector, about=about)
    bought = np.asarray(query.index)[np.asarray(query.valid)]
    assert len(set(bought.tolist())) == 3
    assert eligible[bought].all()
    assert len(regions.image) == scores.size


def test_random_scores_come_with_descriptors_too(net, params, logs):
    how = {"ids": logs.pool[:2], "acquisition": "random"}
    _, scores, about = bal.score_pool(MCDropout(samples=2), net, params, logs, about=("predicted",), **how)
    np.testing.assert_array_equal(scores, bal.score_pool(MCDropout(samples=2), net, params, logs, **how)[1])
    np.testing.assert_allclose(about["predicted"].sum(1), 1, atol=1e-5)
    assert bal.score_pool(MCDropout(samples=2), net, params, logs, about=(), **how)[2] == {}


def test_descriptors_that_there_are_not(square):
    head = bal.FunctionHead(linear, 4)
    with pytest.raises(bal.BadInput, match="nothing called 'colour' can be read"):
        bal.score_pool(head, None, PARAMS, square, about=("colour",))
    with pytest.raises(bal.BadInput, match="no `features`, which the selector needs"):
        bal.score_pool(head, None, PARAMS, square, about=bal.SELECTORS["badge"]().needs)


def test_what_is_not_eligible_is_labelled_unless_it_is_said():
    seen = {}

    class Looks:
        needs = ("labelled",)

        def __call__(self, key, scores, offer, about):
            seen["labelled"] = about["labelled"]

    eligible = np.array([True, False, True])
    bal.select([3.0, 2.0, 1.0], [1.0] * 3, 1, eligible=eligible, selector=Looks())
    assert seen["labelled"].tolist() == [False, True, False]
    bal.select([3.0, 2.0, 1.0], [1.0] * 3, 1, eligible=eligible, selector=Looks(), about={"labelled": eligible})
    assert seen["labelled"].tolist() == [True, False, True]


def test_select():
    scores, costs = np.array([0.3, np.nan, 0.9, 0.5, 0.1]), np.ones(5)
    query = bal.select(scores, costs, 2.5)
    assert np.asarray(query.index)[np.asarray(query.valid)].tolist() == [2, 3]
    query = bal.select(jnp.asarray(scores), costs, 3, eligible=np.array([True, True, False, True, True]))
    assert np.asarray(query.index)[np.asarray(query.valid)].tolist() == [3, 0, 4]
    np.testing.assert_array_equal(scores, [0.3, np.nan, 0.9, 0.5, 0.1])
    assert not np.asarray(bal.select(scores, costs, 0).valid).any()


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf"), 1e300, None, "5", True])
def test_select_refuses_what_is_no_budget(budget):
    with pytest.raises(bal.BadInput, match=r"budget: expected a number from 0 to 3\.4e\+38, got"):
        bal.select([1.0, 2.0], [1.0, 1.0], budget)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"eligible": np.arange(3)}, r"eligible: expected \[M\] bool, one of each region, got int"),
        ({"eligible": np.full(3, 0.5)}, "got float64"),
        ({"costs": [1, 0, 1]}, r"expected prices above 0, got 0\.0 of region 1"),
        ({"costs": [1, 1, -2]}, r"got -2\.0 of region 2"),
        ({"costs": [np.nan, 1, 1]}, "got nan of region 0"),
        ({"scores": ["a", "b", "c"]}, r"scores: expected \[M\] real numbers, got <U1"),
        ({"scores": np.array([1j, 2, 3])}, "got complex128"),
        ({"scores": [[1], [2, 3], []]}, "rows of different lengths"),
        ({"selector": None}, "selector None is no selector"),
        ({"selector": bal.SELECTORS["power"]}, r"selector Power is a class; give an instance, Power\(\)"),
        ({"scores": np.arange(3) * 1e300}, r"scores: 1e\+300 is more than a float32 can hold"),
        ({"costs": [1, 1, 1e300]}, "costs: 1e"),
        ({"image": [0, 0]}, r"image: expected \[M\] indices from 0"),
        ({"image": [0, -1, 0]}, r"image: expected \[M\] indices from 0"),
        ({"image": [0.0, 1.0, 2.0]}, r"image: expected \[M\] indices from 0"),
        ({"cap": 1}, "needs `image`"),
        ({"image": [0, 0, 1], "cap": 0}, "cap: expected a whole number from 1, got 0"),
        ({"images": [0, 0, 1]}, "unknown argument 'images'; did you mean 'image'?"),
        ({"about": [1.0]}, r"about: expected \[M, …\] by name"),
        ({"selector": "best"}, "unknown selector 'best'"),
    ],
)
def test_select_refuses_what_it_cannot_read(changed, message):
    given = {"scores": [3.0, 2.0, 1.0], "costs": [1.0, 1.0, 1.0], **changed}
    with pytest.raises(bal.BadInput, match=message):
        bal.select(budget=1, **given)


def test_select_never_buys_what_is_masked_or_beyond_price():
    scores = np.ma.array([3.0, 2.0, 1.0], mask=[True, False, False])
    query = bal.select(scores, [1, np.inf, 1], 3)
    assert np.asarray(query.index)[np.asarray(query.valid)].tolist() == [2]


def test_select_buys_as_much_of_an_image_as_it_may_and_nothing_that_is_masked():
    query = bal.select([3.0, 2.0, 1.0], [1.0] * 3, 3, image=[0, 0, 1], cap=1)
    assert np.asarray(query.index)[np.asarray(query.valid)].tolist() == [0, 2]
    eligible = np.ma.array(np.ones(3, bool), mask=[True, False, False])
    query = bal.select([3.0, 2.0, 1.0], [1.0] * 3, 3, eligible=eligible)
    assert np.asarray(query.index)[np.asarray(query.valid)].tolist() == [1, 2]


def constant(params, x, s):
    return jnp.zeros((*x.shape[:3], 3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": ["pool-00000", "pool-00000"]}, "'pool-00000' is there twice, and would be bought twice"),
        ({"acquisition": None}, "acquisition None is no acquisition: it has no"),
        ({"acquisition": Entropy}, r"acquisition Entropy is a class; give an instance, Entropy\(\)"),
        ({"unit": "tiles"}, "unknown unit 'tiles'; did you mean 'tile'?"),
        ({"calibrator": "cold"}, "unknown calibrator 'cold'"),
        ({"source": None}, "source None is no source: it has no"),
        ({"source": tiny().source}, r"is not opened: give source\.open\(\)"),
        ({"net": tiny().net}, r"is not bound: give net\.bind\(1, 3\)"),
        ({"head": "mc_dropout"}, "head 'mc_dropout' is no head: it has no"),
    ],
)
def test_score_pool_refuses_what_is_none(changed, message):
    given = {"head": bal.FunctionHead(constant, 1), "net": None, "params": (), "source": tiny().source.open()} | changed
    with pytest.raises(bal.BadInput, match=message):
        bal.score_pool(**given)


@pytest.mark.parametrize("samples", [0, "4", None, 1.5, float("nan"), True])
def test_a_head_of_no_samples(samples):
    with pytest.raises(bal.BadInput, match="a FunctionHead needs a whole number of samples ≥ 1"):
        bal.FunctionHead(constant, samples)


@pytest.mark.parametrize(
    ("config", "out", "message"),
    [
        (None, None, r"config: expected a bal\.Config, got None"),
        ({}, None, "got {}"),
        (tiny(), 3, "out: expected the name of a folder, got 3"),
        (tiny(), "a\0b", "out: expected the name of a folder"),
    ],
)
def test_run_loop_refuses_what_is_none(config, out, message):
    with pytest.raises(bal.BadInput, match=message):
        bal.run_loop(config, out)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": "96"}, "budget: expected a number, got '96'"),
        ({"rounds": 2.5}, "rounds: expected a number, got 2.5"),
        ({"seed": True}, "seed: expected a number, got True"),
        ({"head": "mc_dropout"}, r"Config\.head is a name; give the head itself, such as \w+\(\)"),
        ({"net": nn.Dense(3)}, r"Config\.net is a module: give bal\.WholeNet\(module\.init, module\.apply\)"),
    ],
)
def test_config_refuses_what_is_none(changed, message):
    with pytest.raises(bal.BadInput, match=message):
        bal.Config(**changed)


def test_select_refuses_arrays_that_do_not_fit():
    with pytest.raises(bal.BadInput, match=r"got \(2,\), \(3,\), \(2,\)"):
        bal.select([1.0, 2.0], [1.0, 1.0, 1.0], 1)


def test_a_run_prints_nothing_and_runs_do_not_touch_each_other(capsys):
    config = tiny(acq=Entropy(), rounds=1, budget=20)
    alone = list(bal.run_loop(config))
    one, two = bal.run_loop(config), bal.run_loop(tiny(acq=Entropy(), rounds=1, budget=20, seed=1))
    mixed = [record for pair in zip(one, two, strict=True) for record in pair]
    assert ledger(mixed[::2]) == ledger(alone)
    assert ledger(mixed[1::2]) != ledger(alone)
    assert [r.row["nll"] for r in mixed[::2]] == [r.row["nll"] for r in alone]
    assert capsys.readouterr() == ("", "")


def test_what_is_public():
    assert all(hasattr(bal, name) for name in bal.__all__)
    assert {"Config", "run_loop", "score_pool", "select"} <= set(bal.__all__)
