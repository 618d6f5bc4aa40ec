"""The comparison of acquisitions: what is still to run, and what is read out of its rows."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from runs import ROOT

from bal.experiment.setup import set_up
from bal.types import BadInput

sys.path.append(str(ROOT / "benchmarks"))

import analyse
import compare_acquisitions
import first_purchase
from support import plan, workers

SMALL = {"source": {"pool": 6, "test": 2, "height": 64, "width": 64}, "rounds": 2, "start": 10, "budget": 30}
PLAN = plan.Plan(
    seeds=2,
    base=SMALL,
    datasets={"logs": {}, "smoke": {"preset": "configs/smoke.yaml"}},
    arms={"random": {"acq": "random"}, "power": {"acq": "bald", "selector": {"name": "power", "beta": 2.0}}},
    tried={"capped": {"acq": "entropy", "cap": 1}},
    full={"audit": 0},
    regime={},
)
GAIN = {"random": 0.1, "bald": 0.2}


def row(arm: str, seed: int, round: int, value: float, **changes) -> dict:
    cost = 100.0 if arm == plan.FULL else 10 + 10.0 * round
    same = {"dataset": "logs", "settings": arm, "recipe": "r", "cost": cost, "iou_all_background": 0.97}
    ious = {"iou_background": 0.98, "iou_curve_1": value + 0.1, "iou_curve_2": value - 0.1}
    return {**same, "arm": arm, "seed": seed, "round": round, **ious, **changes}


def rows_of(seeds: int) -> list[dict]:
    """Straight curves from 0.4 + a little a seed, and full supervision at 0.6."""
    found = [row(plan.FULL, seed, 0, 0.6) for seed in range(seeds)]
    for seed in range(seeds):
        for arm, gain in GAIN.items():
            found += [row(arm, seed, r, 0.4 + 0.001 * seed**2 * (arm == "bald") + gain * r / 2) for r in range(3)]
    return found


def test_a_configuration_is_the_preset_the_base_the_data_set_and_the_arm():
    config = PLAN.config("smoke", "power", 1)
    assert (config.seed, config.source.seed, config.source.pool, config.net.width) == (1, 1, 6, 8)
    assert (config.selector.beta, config.budget, config.head.members) == (2.0, 30, 2)
    full = PLAN.config("logs", plan.FULL, 0)
    assert (full.rounds, full.start, full.budget, full.audit) == (0, 96, 96, 0)


def test_a_data_set_that_is_not_there_is_left_out(capsys):
    more = {"gone": {"source": {"curves": "no/such.npz"}}, **PLAN.datasets}
    assert dataclasses.replace(PLAN, datasets=more).present() == ["logs", "smoke"]
    assert "gone is left out: curves: no/such.npz does not exist" in capsys.readouterr().out


def test_the_hash_knows_settings_but_not_seeds_and_places():
    one = plan.fingerprint(PLAN.config("logs", "random", 0))
    assert one == plan.fingerprint(PLAN.config("logs", "random", 1))
    others = [PLAN.config("logs", "power", 0), PLAN.config("smoke", "random", 0)]
    assert len({one, *map(plan.fingerprint, others)}) == 3
    assert plan.place("../shared/data/x.npz") == plan.place("elsewhere/x.npz") != plan.place("y.npz")


def test_what_is_missing():
    everything = compare_acquisitions.jobs(PLAN, 2, ["*"], [])
    assert [(job.dataset, job.seed) for job in everything] == [("logs", 0), ("smoke", 0), ("logs", 1), ("smoke", 1)]
    assert {job.arms for job in everything} == {("random", "power", "full")}
    (job,) = compare_acquisitions.jobs(PLAN, 1, ["logs/*"], [])
    made = plan.fingerprint(PLAN.config("logs", "random", 0))
    done = [{"dataset": "logs", "arm": "random", "seed": 0, "round": r, "settings": made} for r in range(3)]
    assert compare_acquisitions.jobs(PLAN, 1, ["logs/*"], done[:2]) == [job]
    assert compare_acquisitions.jobs(PLAN, 1, ["logs/*"], done) == [job._replace(arms=("power", "full"))]
    other = [{**line, "settings": "before"} for line in done]
    assert compare_acquisitions.jobs(PLAN, 1, ["logs/*"], other) == [job]


def test_shards_share_all_jobs_whatever_is_done():
    everything = compare_acquisitions.jobs(PLAN, 5, ["*"], [])
    shards = [compare_acquisitions.jobs(PLAN, 5, ["*"], [], f"{i}/3") for i in (1, 2, 3)]
    assert sorted((job.dataset, job.seed) for shard in shards for job in shard) == sorted(
        (job.dataset, job.seed) for job in everything
    )
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    made = plan.fingerprint(PLAN.config("logs", "random", 0))
    done = [{"dataset": "logs", "arm": "random", "seed": 0, "round": r, "settings": made} for r in range(3)]
    again = [compare_acquisitions.jobs(PLAN, 5, ["*"], done, f"{i}/3") for i in (1, 2, 3)]
    assert [[job.seed for job in shard] for shard in again] == [[job.seed for job in shard] for shard in shards]
    for bad in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(BadInput, match="--shard: expected i/n"):
            plan.in_shard(bad, 0)


def test_a_first_purchase_is_told_by_the_truth(monkeypatch):
    setup = set_up(PLAN.config("logs", "capped", 0))
    assert setup.config.cap == 1
    queries, shares = [], []
    for m, region in enumerate(setup.regions.describe(range(setup.regions.image.size))):
        queries.append({"image": region.image, "box": region.box, "policy": "audit" if m % 5 == 0 else "steered"})
        top, left, height, width = region.box
        here = setup.source.mask(region.image)[top : top + height, left : left + width]
        shares += [] if m % 5 == 0 else [[(here == 1).mean(), (here == 2).mean()]]
    found, shares = first_purchase.composition(setup, queries), np.array(shares)
    assert found["regions"] == len(shares)
    assert found["images"] == 6
    assert found["foreground"] == pytest.approx(100 * shares.sum(1).mean())
    assert found["both"] == (shares.min(1) > 0).sum() > 0
    assert found["neither"] == (shares.max(1) == 0).sum() > 0
    kept = [q["box"] for q in queries if q["policy"] != "audit"]
    assert found["border"] == sum(0 in box[:2] or 64 in (box[0] + box[2], box[1] + box[3]) for box in kept)
    monkeypatch.setattr(plan, "read", lambda path: PLAN)
    monkeypatch.setattr(first_purchase.rows, "read", lambda name: [])
    jobs = first_purchase.jobs(first_purchase.Settings())
    assert [(job.dataset, job.seed, job.arms) for job in jobs] == [
        (dataset, 0, ("random", "power", "capped")) for dataset in ("logs", "smoke")
    ]


@pytest.mark.slow
def test_workers_send_what_they_make_and_what_stopped_them():
    assert sorted(workers.stream(range, [2, 3], 2)) == [0, 0, 1, 1, 2]
    with pytest.raises(TypeError):
        list(workers.stream(range, ["x"], 1))


def test_only_complete_runs_of_the_newest_settings_count():
    found = rows_of(2)
    partial = [r for r in found if (r["arm"], r["seed"], r["round"]) != ("bald", 1, 2)]
    runs = analyse.collect(partial)["logs"]
    assert {arm: set(own) for arm, own in runs.arms.items()} == {"random": {0, 1}, "bald": {0}}
    assert set(runs.full) == {0, 1}
    old = [{**r, "settings": "old"} for r in found if r["arm"] == "bald"]
    assert set(analyse.collect(old + partial)["logs"].arms["bald"]) == {0}
    assert analyse.collect(found[:1]) == {}
    other = [{**r, "recipe": "new", "settings": "new"} for r in found if r["seed"] == 0]
    assert set(analyse.collect(found + other)["logs"].arms["random"]) == {0}


def test_areas_and_costs_by_hand():
    runs = analyse.collect(rows_of(2))["logs"]
    area, reached = analyse.areas(runs), analyse.reaches(runs)
    assert area["random"][0] == pytest.approx(0.45)
    assert area["bald"][1] == pytest.approx(0.501)
    assert analyse.areas(runs, "curve_1")["random"][0] == pytest.approx(0.55)
    assert reached["random"][0] == (30, False)
    assert reached["bald"][0] == (pytest.approx(10 + 20 * 0.17 / 0.2), True)


def test_few_seeds_show_nothing_and_say_so():
    runs = analyse.collect(rows_of(5))["logs"]
    (line,) = analyse.against("random", analyse.areas(runs), True)
    assert (line.arm, line.verdict, line.corrected) == ("bald", "not shown", 0.0625)
    text = analyse.sentence("random", "Area", [line])
    assert "not shown: bald" in text
    assert "0.0625" in text
    assert "6 pairs could" in text
    assert analyse.sentence("random", "Area", []) == "No arm has a seed in common with random yet."


def test_enough_seeds_show_it():
    runs = analyse.collect(rows_of(6))["logs"]
    (line,) = analyse.against("random", analyse.areas(runs), True)
    assert (line.verdict, line.found.pairs) == ("better", 6)
    assert line.found.mean == pytest.approx(0.05 + 0.001 * np.mean(np.arange(6) ** 2))
    costs = {arm: {s: r.cost for s, r in own.items()} for arm, own in analyse.reaches(runs).items()}
    (line,) = analyse.against("random", costs, False)
    assert (line.verdict, line.found.mean < 0) == ("better", True)
    assert analyse.sentence("random", "Cost", [line]) == "Cost against random: better: bald. (6 pairs, 1 comparison.)"


def test_data_sets_together_have_the_pairs_of_both():
    found = rows_of(3)
    of = analyse.collect(found + [{**row, "dataset": "pages"} for row in found])
    merged = analyse.together(of)
    assert merged.area["bald"].keys() == {(d, s) for d in ("logs", "pages") for s in range(3)}
    (line,) = analyse.against("random", merged.area, True)
    assert (line.verdict, line.found.pairs) == ("better", 6)
    assert "### All data sets together" in analyse.page(of, "name")


def test_single_steps_are_compared_with_what_they_are_made_of():
    found = rows_of(6) + [{**row, "arm": "power_bald"} for row in rows_of(6) if row["arm"] == "random"]
    text = analyse.comparisons(analyse.together(analyse.collect(found)))
    (line,) = (line for line in text.splitlines() if line.startswith("| noise on BALD: power_bald − bald | 6 | -0.059"))
    assert "| 0.0312 → 0.0312 | worse |" in line
    assert "calibration" not in text, "there are no such arms"


def test_the_page_and_the_figure_of_partial_rows():
    found = analyse.collect([r for r in rows_of(2) if r["arm"] != plan.FULL])
    text = analyse.page(found, "name")
    assert "| random | 2 | 0.450 ± 0.000 | – | – | 0.450 | 0.500 | 0.600 | 0.400 | – |" in text
    assert "| – |" in text
    assert len(analyse.figure(found).axes) == 3
