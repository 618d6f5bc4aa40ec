"""What a round asks and finds, in whole runs of seconds: routes, prices, what selectors are offered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from helpers import slow_where
from runs import TINY, assert_same_run, ledger, run, tiny

from bal import Config, run_loop
from bal.experiment import offered, prices, query
from bal.experiment.setup import set_up
from bal.loop import propose, start
from bal.pool.cost import Effort, boundary, error_boundary
from bal.pool.labels import AUDIT, TRAINING, empty
from bal.pool.units.image import Image
from bal.pool.units.pixel import Pixel
from bal.pool.units.superpixel import Superpixel
from bal.scoring import class_weights
from bal.scoring.acquisitions import ACQUISITIONS, BALD, Entropy, Margin, Random
from bal.scoring.acquisitions.base import Learns, SumOverClasses
from bal.scoring.class_weights import Routing
from bal.scoring.held_out import predict_probabilities
from bal.selection.selectors import SELECTORS, ForegroundRandom, OracleForegroundRandom, Stratified, TopK
from bal.selection.selectors.base import NOTHING
from bal.types import BadInput


def steered(lines: list[dict]) -> list[dict]:
    return [line for line in lines if line["policy"] == "steered"]


@dataclass(frozen=True)
class TwoStyles:
    """Well logs of which every other one is said to look old."""

    def open(self):
        source = tiny().source.open()
        source.styles, source.style = ("new", "old"), lambda id: ("new", "old")[int(id[-1]) % 2]
        return source


@pytest.mark.parametrize("name", slow_where(lambda name: name not in ("power", "badge"), SELECTORS))
def test_every_selector_is_offered_what_it_reads(name):
    records = run(tiny(source=TwoStyles(), rounds=1, selector=SELECTORS[name]()))
    lines = steered(ledger(records))
    assert len(lines) == 16, "20 regions after the start set, 4 of them audited"
    assert len({(line["image"], line["region"]) for line in lines}) == 16
    assert all(sum(line["for"].values()) == pytest.approx(1, abs=1e-3) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ACQUISITIONS if issubclass(ACQUISITIONS[n], Learns)])
def test_what_an_acquisition_learns_survives_a_resume(name, tmp_path):
    config = tiny(rounds=2, acq=ACQUISITIONS[name]())
    run(config, tmp_path / "whole")
    records = run_loop(config, tmp_path / "cut")
    next(records)
    records.close()
    run(config, tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
    assert steered(ledger([], tmp_path / "whole"))


@pytest.mark.parametrize("unit", [Superpixel(8), Image()], ids=["superpixel", "image"])
def test_other_units_run_and_overlap_nothing(unit, tmp_path):
    config = tiny(unit=unit, cost="pixels", start=3000, budget=9000, rounds=1, audit=0.2)
    run(config, tmp_path / "run")
    lines = ledger([], tmp_path / "run")
    setup = set_up(config)
    bought = [setup.regions.find(line["image"], line["region"]) for line in lines]
    assert len(set(bought)) == len(lines) > 2
    assert [line["cost"] for line in lines] == setup.regions.pixels[bought].tolist()
    assert sum(line["cost"] for line in lines) <= 9000


def test_answers_about_a_superpixel_end_at_its_edge():
    config = tiny(unit=Superpixel(8), cost="pixels", start=1500, budget=2000)
    setup = set_up(config)
    state, info = start(setup)
    pool, lines = state.pool, info.queries
    for line in lines:
        m = setup.regions.find(line["image"], line["region"])
        assert (pool.answers[m] < 3).sum() == setup.regions.pixels[m], "nothing beyond the region is labelled"


def test_pixels_can_be_bought_one_by_one():
    lines = ledger(run(tiny(unit=Pixel(), rounds=1, start=50, budget=80)))
    assert {tuple(line["box"][2:]) for line in lines} == {(1, 1)}


def test_effort_is_expected_before_and_charged_after(tmp_path):
    config = tiny(cost="effort", effort=Effort(open=2.0, edge=0.02), start=40, budget=100, rounds=2)
    records = run(config, tmp_path / "run")
    setup, lines = set_up(config), ledger([], tmp_path / "run")
    for line in lines:
        top, left, height, width = line["box"]
        mask = setup.source.mask(line["image"])[top : top + height, left : left + width]
        assert line["cost"] == pytest.approx(2 + 0.02 * boundary(mask), abs=1e-3)
    for round, allowed in enumerate((40, 70, 100)):
        before = sum(line["cost"] for line in lines if line["round"] < round)
        expected = sum(line["price"] for line in lines if line["round"] == round)
        assert expected <= max(allowed - before, 0) + 1e-6, "what is expected stays within the budget"
    assert {line["price"] for line in lines if line["round"] == 0} == {2 + 0.02 * 16}, "nothing is known at the start"
    assert len({line["price"] for line in lines if line["round"] == 1}) > 3
    assert records[-1].row["cost"] == pytest.approx(sum(line["cost"] for line in lines))


def test_expected_seconds_follow_what_the_audit_took():
    config = tiny(cost="effort", effort=Effort(open=2.0, edge=0.1), start=60, budget=100, audit=0.3)
    setup = set_up(config)
    state, info = start(setup)
    pool, lines = state.pool, info.queries
    audited = list(pool.bought(AUDIT))
    length = np.random.default_rng(0).uniform(50, 90, setup.costs.size).astype(np.float32)
    length[0] = np.nan  # an image that could not be scored
    found, _ = prices.expected(setup, pool, None, {"boundary": length})
    true = sum((line["cost"] - 2) / 0.1 for line in lines if line["policy"] == "audit")
    scale = (20 + true) / (20 + length[audited].sum(dtype=np.float64))
    assert len(audited) > 1
    assert scale < 0.7
    assert 0 not in audited
    np.testing.assert_allclose(found[1:], 2 + 0.1 * scale * length[1:], atol=1e-3)
    assert found[0] == pytest.approx(2 + 0.1 * scale * 16, abs=1e-3), "√pixels stands for what is not known"
    bare, _ = prices.expected(setup, empty(setup.costs.size), None, {"boundary": length})
    np.testing.assert_allclose(bare[1:], 2 + 0.1 * length[1:], atol=1e-3, err_msg="no audit, no correction")


def test_random_never_looks_at_the_pool(monkeypatch):
    monkeypatch.setattr(query, "survey", lambda *args: pytest.fail("a forward pass over the pool"))
    for cost in ("regions", "effort"):
        run(tiny(acq=Random(), cost=cost, rounds=1))


def test_foreground_baselines_need_no_score():
    for selector in (ForegroundRandom(), OracleForegroundRandom()):
        lines = steered(ledger(run(tiny(acq=Random(), selector=selector, rounds=1))))
        assert len(lines) == 16
    setup = set_up(TINY)
    share = offered.shares(setup)
    touching = [share[setup.regions.find(line["image"], line["region"]), 1:].sum() > 0 for line in lines]
    assert all(touching[:5]), "those that touch the foreground in truth come first"
    np.testing.assert_allclose(share.sum(-1), 1.0, atol=1e-6)


@dataclass(frozen=True)
class ByStyle(TopK):
    needs = ("style",)

    def __call__(self, key, scores, offer, about=NOTHING):
        return super().__call__(key, scores + 10 * (about["style"] == 1), offer, about)


def test_a_style_is_read_by_who_asks_for_it():
    lines = steered(ledger(run(tiny(source=TwoStyles(), acq=Random(), selector=ByStyle(), rounds=1))))
    assert len(lines) == 16
    assert {int(line["image"][-1]) % 2 for line in lines} == {1}
    with pytest.raises(BadInput, match="the source does not know any"):
        query.check(set_up(tiny(selector=ByStyle())))


@pytest.mark.slow
def test_routes_change_what_is_bought_and_say_for_whom():
    def shares(**changes) -> np.ndarray:
        lines = steered(ledger(run(tiny(rounds=1, acq=Entropy(), **changes))))
        return np.mean([[line["for"][c] for c in ("background", "curve_1", "curve_2")] for line in lines], 0)

    plain = shares()
    only = shares(route="weights", routing=Routing(weights=(0.0, 0.0, 1.0)))
    np.testing.assert_allclose(only, [0, 0, 1])
    assert 0 < plain[2] < 1
    for name in ("gap", "rarity"):
        assert not np.allclose(shares(route=name), plain), name


def test_gap_follows_what_is_lacking():
    np.testing.assert_allclose(class_weights.gap(np.array([0.9, 0.5, 0.2])), np.array([0.1, 0.5, 0.8]) * 3 / 1.4)
    np.testing.assert_allclose(
        class_weights.gap(np.array([0.9, 0.5, 0.2]), (1.0, 0.5, 0.6)), np.array([0.1, 0, 0.4]) * 3 / 0.5
    )
    np.testing.assert_allclose(class_weights.gap(np.array([1.0, np.nan, 1.0])), [0, 3, 0])
    np.testing.assert_allclose(class_weights.gap(np.ones(3)), 1.0)
    np.testing.assert_allclose(class_weights.gap(np.ones(3) * 0.9, (0.8, 0.8, 0.8)), 1.0)


def test_rarity_follows_how_seldom_a_class_is_predicted():
    found = class_weights.rarity(np.array([0.9, 0.09, 0.01]))
    np.testing.assert_allclose(found / found[0], [1, 10, 90])
    assert found.mean() == pytest.approx(1)
    assert class_weights.rarity(np.array([1.0, 0.0]))[1] == pytest.approx(2 * 1000 / 1001)


def test_the_objective_reaches_audit_and_pool_alike(tmp_path):
    """The gate judges the score that steers: with all weight on a class, what is not that class scores nothing."""
    config = tiny(rounds=1, route="weights", routing=Routing(weights=(0.0, 1.0, 0.0)))
    setup = set_up(config)
    pool = start(setup)[0].pool
    objective = query.make_objective(setup, pool, None, 0)  # weights that are given need no model
    np.testing.assert_array_equal(objective.weight, [0, 1, 0])
    assert isinstance(objective.acquisition, SumOverClasses)
    assert (pool.split == TRAINING).sum() == 8
    run(config, tmp_path / "run")
    assert "weights:\n  - 0.0\n  - 1.0\n  - 0.0" in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acq": Margin(), "route": "gap"}, "Margin is no sum over classes"),
        ({"route": "gap", "audit": 0.0}, "reads IoUs on the audited regions"),
        ({"route": "weights"}, "--route weights needs --routing.weights"),
        ({"route": "weights", "routing": Routing(weights=(1.0,))}, "1 numbers for the 3 classes"),
        ({"route": "gap", "routing": Routing(ceiling=(1.0, 1.0))}, "ceiling has 2 numbers for the 3 classes"),
        ({"cap": 0}, "1 ≤ cap"),
        ({"cost": "euros"}, "one of regions, pixels, effort"),
        ({"route": "west"}, "one of uniform, gap, rarity, weights"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_made(changes, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        run(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"weights": (0.0, 0.0)}, {"weights": (-1.0, 2.0)}, {"ceiling": (0.0, 1.0)}])
def test_impossible_routings_are_refused(wrong):
    with pytest.raises(BadInput, match=r"routing\."):
        Routing(**wrong)


def test_a_cap_spreads_a_purchase_over_images():
    lines = steered(ledger(run(tiny(rounds=1, acq=BALD(), cap=3))))
    images = [line["image"] for line in lines]
    assert len(lines) == 16
    assert max(map(images.count, images)) == 3
    assert Config().cap is None


def test_stratified_with_everything_runs_from_start_to_end(tmp_path):
    config = tiny(selector=Stratified(), route="gap", steer="auto", cost="effort", start=20, budget=60)
    rows = [record.row for record in run(config, tmp_path / "run")]
    assert len(rows) == 3
    assert 40 < rows[-1]["cost"] < 65, "what is bought is charged by the truth, near the budget of 60"


@pytest.mark.parametrize("assist", ["correct", "trace"])
def test_a_corrected_prediction_is_priced_by_its_errors(tmp_path, assist):
    effort = Effort(open=2.0, edge=0.1, assist=assist, click=0.4)
    config = tiny(cost="effort", effort=effort, start=60, budget=160, audit=0.3, rounds=2)
    records = run(config, tmp_path / "run")
    setup, lines = set_up(config), ledger([], tmp_path / "run")
    for line in lines:
        top, left, height, width = line["box"]
        label = setup.source.mask(line["image"])[top : top + height, left : left + width]
        shown = None
        if line["round"] and line["policy"] != "audit":
            m = setup.regions.find(line["image"], line["region"])
            model = records[line["round"] - 1].model
            shown = predict_probabilities(model, setup.source, setup.regions, [m])[m]
        assert line["cost"] == pytest.approx(effort.work(label, shown), abs=2e-3)
        drawn = 2 + 0.1 * boundary(label)
        assert line["cost"] <= drawn + 1e-3
        assert shown is not None or line["cost"] == pytest.approx(drawn, abs=1e-3)
    for round, allowed in enumerate((60, 110, 160)):
        before = sum(line["cost"] for line in lines if line["round"] < round)
        expected = sum(line["price"] for line in lines if line["round"] == round)
        assert expected <= max(allowed - before, 0) + 1e-6, "what is expected stays within the budget"


def test_expected_errors_and_clicks_follow_the_audit():
    config = tiny(cost="effort", effort=Effort(2.0, 0.1, "correct"), start=60, budget=100, audit=0.3)
    setup = set_up(config)
    state, _ = propose(setup, *start(setup), lambda event: None)
    pool, model = state.pool, state.model
    rng = np.random.default_rng(0)
    table = {name: rng.uniform(10, 30, setup.costs.size) for name in prices.needs(setup)}
    helped, audit = prices.expected(setup, pool, model, table)
    audited = pool.bought(AUDIT)
    shown = predict_probabilities(model, setup.source, setup.regions, list(audited))
    true = sum(error_boundary(label, shown[m]) for m, label in audited.items())
    scale = (20 + true) / (20 + table["error_boundary"][list(audited)].sum())
    corrected = 2 + 0.1 * scale * table["error_boundary"]
    np.testing.assert_allclose(helped, np.minimum(corrected, audit), atol=2e-3)
    less = prices.expected(setup, pool, model, {**table, "error_boundary": table["error_boundary"] / 1000})
    assert (less[0] < less[1]).all(), "nobody is helped in an audit"
    assert (less[1] == audit).all()
    assert (prices.expected(setup, pool, None, table)[0] == audit).all(), "nor where no model has looked"


def test_expected_seconds_follow_what_people_took():
    config = tiny(cost="effort", effort=Effort(2.0, 0.1), start=60, budget=100, audit=0.3)
    setup = set_up(config)
    pool = start(setup)[0].pool
    believed, _ = prices.expected(setup, pool, None, {})
    slow, _ = prices.expected(setup, pool._replace(audited=3 * pool.audited), None, {})
    factor = (prices.TRUSTED * 2 + 3 * pool.audited) / (prices.TRUSTED * 2 + pool.audited)
    np.testing.assert_allclose(slow, factor * believed, rtol=1e-3)
    assert 1.2 < factor < 3
