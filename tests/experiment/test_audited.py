"""Runs without a test set: what is said from the audit, and how audits and start sets are drawn."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from helpers import Pictures
from hypothesis import given, strategies as st
from runs import TINY, curve, ledger, run, tiny

from bal import BadInput, run_loop
from bal.experiment import answers, audited, query
from bal.experiment.audited import LEAST, AuditView, candid, halves, tally_audit, widened
from bal.experiment.setup import set_up
from bal.experiment.state import State
from bal.loop import propose, select, start, start_set
from bal.metrics import tally
from bal.metrics.evaluate import tally_each
from bal.metrics.lure import lure_weights
from bal.pool.contrast import TOP, UNIFORM, contrast, mixed, rich
from bal.pool.labels import AUDIT
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.report.lines import round_parts
from bal.report.page import page
from bal.report.publish import republish
from bal.report.terminal import summary_table
from bal.scoring.held_out import calibrate, predict_probabilities
from bal.sources import WellLog

BLIND = tiny(source=WellLog(height=48, width=48, pool=6, test=0), start=16, budget=48, audit=0.5, rounds=1)


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """A run that has no test set."""
    out = tmp_path_factory.mktemp("blind") / "run"
    records = run(BLIND, out)
    republish(out)
    return records, out


@pytest.fixture(scope="module")
def begun():
    """Its start set, answered, and the model trained on it."""
    setup = set_up(BLIND)
    state, info = start(setup)
    state, info = propose(setup, state, info, lambda event: None)
    return setup, state


def test_a_run_without_a_test_set_speaks_from_the_audit(blind):
    records, out = blind
    for row, audits in zip(curve(out), (8, 24), strict=True):
        assert (row["test_images"], row["regions_audit"]) == ("0", str(audits))
    row = records[-1].row
    assert 0 < row["iou_background"] <= 1
    assert math.isfinite(row["nll"]) and math.isfinite(row["ece_foreground"])  # noqa: PT018
    assert "on 24 audited regions" in (out / "report.html").read_text()


def test_a_run_without_both_is_refused():
    with pytest.raises(BadInput, match=r"no test set and no audit, so nothing could be said .*: give --audit 0\.25"):
        run_loop(tiny(source=BLIND.source, audit=0))


def test_every_pixel_of_the_audit_is_judged_once_by_a_calibrator_of_the_other_half(begun):
    setup, state = begun
    answers = state.pool.bought(AUDIT)
    each = tally_audit(setup, state.model, state.pool)
    pixels = each["overlap"].confusion.sum((-1, -2))
    assert pixels.tolist() == [answer.size for answer in answers.values()]
    for m, row in zip(answers, each["overlap"].confusion, strict=True):
        np.testing.assert_array_equal(row.sum(1), np.bincount(answers[m].ravel(), minlength=3))
    (one, two), (_, again) = halves(setup.regions, list(answers))
    assert (sorted(one + two), again) == (sorted(answers), one)
    assert not set(setup.regions.image[one]) & set(setup.regions.image[two])
    view = AuditView(setup.source, setup.regions, answers)
    naive = tally_each(state.model, view, view.test, None, BLIND.acq)  # by a calibrator that has seen them all
    assert (naive["overlap"].confusion.sum((-1, -2)) == pixels).all()
    assert tally.total(naive)["calibration"].nll[1] == pytest.approx(tally.total(each)["calibration"].nll[1], rel=1e-4)


def test_whether_calibration_helps_is_judged_by_the_other_half(begun):
    setup, state = begun
    answers = state.pool.bought(AUDIT)
    found = audited.calibration_gain(setup, state.pool, state.model)
    gains, pixels = [], []
    for mine, others in halves(setup.regions, list(answers)):
        judge = calibrate(state.model, setup.source, setup.regions, {m: answers[m] for m in others})
        for m in mine:
            nll = []
            for model in (state.model.uncalibrated(), judge):
                p = predict_probabilities(model, setup.source, setup.regions, [m])[m].astype(np.float64)
                nll.append(-np.log(np.take_along_axis(p, answers[m][..., None], -1)).sum())
            gains.append(nll[0] - nll[1])
            pixels.append(answers[m].size)
    mean, n = sum(gains) / sum(pixels), len(gains)
    rest = sum((gain - mean * size) ** 2 for gain, size in zip(gains, pixels, strict=True))
    assert found == pytest.approx((mean, math.sqrt(n / (n - 1) * rest) / sum(pixels)), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(("gain", "raw"), [(0.01, False), (-0.01, True), (math.nan, True)])
def test_probabilities_stay_raw_where_calibration_is_not_proven(begun, monkeypatch, gain, raw):
    setup, state = begun
    monkeypatch.setattr(audited, "calibration_gain", lambda *_: audited.Helped(gain, 0.0))
    assert not audited.calibrated(setup, state.pool, state.model).is_raw(), "always, unless it has to be proven"
    proven = dataclasses.replace(setup, config=dataclasses.replace(setup.config, calibrate="proven"))
    model = audited.calibrated(proven, state.pool, state.model)
    assert model.is_raw() == raw
    each = tally_audit(proven, model, state.pool)
    same = tally.total(each)["calibration"].nll
    assert (abs(same[0] - same[1]) < 1e-6 * same[0]) == raw, "and so they are judged"


def test_what_an_audited_region_shows_is_its_whole_image():
    source = Pictures([(20, 30), (33, 17)], test=1)
    regions = lay_out(Tile(16), source.pool, [source.shape(id) for id in source.pool])
    m = regions.image.size - 1
    top, left, height, width = regions.box[m]
    label = source.mask(source.pool[0])[top : top + height, left : left + width]
    view = AuditView(source, regions, {m: label})
    np.testing.assert_array_equal(view.image(view.test[0]), source.image(source.pool[0]))
    mask = view.mask(view.test[0])
    assert mask.shape == view.shape(view.test[0]) == source.shape(source.pool[0])
    np.testing.assert_array_equal(mask[top : top + height, left : left + width], label)
    assert (mask != 255).sum() == label.size


def test_halves_are_even_and_keep_images_together():
    source = Pictures([(64, 64), (32, 32), (16, 48), (16, 16)], test=0)
    regions = lay_out(Tile(16), source.pool, [source.shape(id) for id in source.pool])
    index = list(range(regions.image.size))
    (one, two), _ = halves(regions, index)
    assert sorted(map(len, (one, two))) == [8, 16]
    assert halves(regions, [0, 1]) == [([0, 1], [])], "of one image there is no other half"
    assert halves(regions, []) == []


def test_an_interval_does_not_promise_what_a_few_regions_cannot_know():
    each = tally.zeros(2, 12, scores=2)
    each["overlap"].iou_images[:, 0] = 1
    each["overlap"].iou_images[: LEAST - 1, 1] = 1
    row = {"iou_a_low": 0.0, "iou_a_high": 0.0, "iou_b_low": 0.2, "iou_b_high": 0.3, "iou_a": 0.0, "iou_b": 0.25}
    found = candid(row, each, ("a", "b"))
    assert found["iou_a_high"] == pytest.approx(1 - 0.025 ** (1 / 12))
    assert found["iou_a_low"] == found["iou_a"] == 0.0
    assert math.isnan(found["iou_b_low"]) and math.isnan(found["iou_b_high"])  # noqa: PT018
    assert candid({"x": 1.0, "x_low": 1.0, "x_high": 1.0}, each, ("a", "b"))["x_low"] == 0.025 ** (1 / 12)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted), st.integers(LEAST, 400), st.integers(1, 400))
def test_an_interval_is_widened_the_more_the_fewer_regions_it_rests_on(ends, n, more):
    low, value, high = ends
    few, many = widened(value, low, high, n), widened(value, low, high, n + more)
    assert 0 <= few[0] <= many[0] + 1e-9 <= low + 2e-3 or low == high
    assert 1 >= few[1] >= many[1] - 1e-9 >= high - 2e-3 or low == high
    almost = widened(value, low, high, 10**6)
    assert almost == pytest.approx((low, high), abs=2e-3)


def test_what_is_known_too_badly_is_not_shown(blind):
    records, out = blind
    row = dict(records[-1].row) | {"iou_curve_1": 0.41, "iou_curve_1_low": 0.22, "iou_curve_1_high": 0.51}
    row |= {"iou_curve_2": 0.41, "iou_curve_2_low": 0.35, "iou_curve_2_high": 0.6}
    vague = {**row, "iou_curve_1_low": 0.1}
    lines = "".join(round_parts(row, None, BLIND)), "".join(round_parts(vague, None, BLIND))
    assert "curve_1 0.410 (0.22 … 0.51) curve_2 0.410 (0.35 … 0.60) on 24 audited regions" in lines[0]
    assert "curve_1 too few to say curve_2 0.410" in lines[1]
    assert "test" not in summary_table([row]).title
    for shown, text in ((row, "curve_1 0.41 (0.22 … 0.51)"), (vague, "curve_1 too few to say")):
        told = page([shown], ledger([], out), [], {}, ("background", "curve_1", "curve_2"))
        assert "there being no test set" in told
        assert text in re.sub(r"<[^>]*>", "", told)
        assert "test images against" not in told


# How regions are drawn


def test_contrast_is_the_spread_of_brightness_within_regions():
    rng = np.random.default_rng(0)
    image, unit = rng.random((40, 24, 3), np.float32), Tile(16)
    cut = unit.cut((40, 24))
    grey = image.mean(-1)
    np.testing.assert_allclose(contrast(image, cut), [grey[cut == r].std() for r in range(cut.max() + 1)], rtol=1e-6)


def test_weights_of_a_mixture():
    able = np.array([True] * 8 + [False])
    values = np.arange(9.0)
    weight = mixed(values, able)
    assert weight.sum() == pytest.approx(1)
    assert weight[8] == 0
    assert weight[0] == pytest.approx(UNIFORM / 8)
    assert mixed(np.zeros(9), able).tolist() == [1 / 8] * 8 + [0.0]
    top = rich(values, able)
    assert (top > UNIFORM / 8 * 1.01).sum() == TOP * 8
    assert rich(np.full(9, 3.0), able)[:8].tolist() == [1 / 8] * 8


@pytest.mark.parametrize("by", ["contrast", "coverage"])
def test_a_start_set_by_what_is_seen_has_known_probabilities_and_a_uniform_audit(by):
    setup = set_up(tiny(start_by=by, start=30, audit=0.2))
    pool = start(set_up(TINY))[0].pool._replace(split=np.zeros(setup.costs.size, np.uint8))
    pool = pool._replace(answers={}, spent=0.0, audited=0.0)
    purchase = start_set(setup, pool)
    audits = purchase.policy == "audit"
    left = setup.costs.size - np.arange(audits.sum())
    np.testing.assert_allclose(purchase.probability[audits], 1 / left)
    weight = query.start_weights(setup, pool, by)
    gone = purchase.index[audits].tolist()
    for m, q in zip(purchase.index[~audits].tolist(), purchase.probability[~audits], strict=True):
        assert q == pytest.approx(weight[m] / np.delete(weight, gone).sum(), rel=1e-5)
        gone.append(m)


def test_a_purchase_is_chosen_from_the_images_that_were_looked_at(tmp_path):
    out = tmp_path / "run"
    run(tiny(look=2, rounds=2), out)
    setup = set_up(tiny(look=2, rounds=2))
    for number in (1, 2):
        looked = {setup.source.pool[n] for n in setup.looked_at(number)}
        bought = {line["image"] for line in ledger([], out) if line["round"] == number}
        assert len(looked) == 2
        assert bought <= looked
    assert setup.looked_at(0).size == 6, "a uniform start set needs no look at anything"
    assert {row["risk_lure"] for row in curve(out)[:2]} != {"nan"}
    assert set_up(tiny(look=99)).looked_at(3).size == 6


def test_what_was_looked_at_stands_for_the_pool(begun):
    """Over all looks, weights times the inverse of their probability add up to the population."""
    state = begun[1]
    looked = set_up(tiny(source=BLIND.source, look=2, start=16, budget=48, audit=0.5, rounds=1))
    sizes = [int(looked.offered(state.pool, number).sum()) for number in range(1, 200)]
    assert np.mean(sizes) * 6 / 2 == pytest.approx(state.pool.eligible.sum(), rel=0.05)


def test_audits_by_predicted_foreground_are_weighted_by_what_they_stand_for(begun):
    config = tiny(source=BLIND.source, start=16, budget=48, audit=0.5, rounds=1, audit_by="foreground")
    setup, state = set_up(config), begun[1]
    table = {"predicted": np.random.default_rng(0).dirichlet((3, 1, 1), setup.costs.size)}
    scores = query.PoolScores(np.zeros(setup.costs.size), setup.costs, setup.costs, table)
    weight = query.audit_weights(scores, state.pool.eligible)
    purchase = select(setup, state.pool, 1, scores, 0.0)
    asked = State(1, state.pool, state.pending._replace(purchase=purchase), state.model, state.objective)
    found = answers._weights(setup, asked)
    audits = purchase.policy == "audit"
    q = purchase.probability[audits]
    assert q[0] == pytest.approx(weight[purchase.index[0]] / weight.sum(), rel=1e-5)
    np.testing.assert_allclose(found[audits], lure_weights(q, int(state.pool.eligible.sum())))
    assert (found[~audits] == 1).all()
    assert found[audits].std() > 0.05


def test_audits_by_predicted_foreground_run_through_and_resume(tmp_path):
    config = tiny(source=BLIND.source, start=16, budget=48, audit=0.5, rounds=2, audit_by="foreground")
    run(config, tmp_path / "once")
    loop = run_loop(config, tmp_path / "twice")
    next(loop)
    next(loop)
    loop.close()
    run(config, tmp_path / "twice", resume=True)
    drop = ("seconds_fit", "seconds_score")
    one, two = (
        [{k: v for k, v in row.items() if k not in drop} for row in curve(tmp_path / n)] for n in ("once", "twice")
    )
    assert one == two
    assert (tmp_path / "once/queries.jsonl").read_bytes() == (tmp_path / "twice/queries.jsonl").read_bytes()
    with pytest.raises(BadInput, match="needs equal prices"):
        tiny(audit_by="foreground", cost="effort")
