"""What the gates measure, of rows whose outcome is known."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from runs import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import gates
from support import plan


def rows_of(arm: str, ious: list[float], **more) -> list[dict]:
    """Of one run: a round for each mean IoU of two curves."""
    what = {"dataset": "d", "arm": arm, "seed": 0, "settings": "s", "rounds": len(ious) - 1}
    what |= dict.fromkeys(("f1_paper", "f1_a", "f1_b"), 0.5)
    return [
        {**what, "round": n, "cost": 10 + 10 * n, "iou_paper": 0.9, "iou_a": iou - 0.1, "iou_b": iou + 0.1, **more}
        for n, iou in enumerate(ious)
    ]


FOUND = [
    *rows_of("random", [0.2, 0.3, 0.4]),
    *rows_of("foreground_random", [0.2, 0.4, 0.5], concentration=2.0),
    *rows_of("greedy_oracle", [0.2, 0.5, 0.6]),
    *rows_of("full", [0.7], worst_style=0.45),
]


def test_each_gate():
    runs = gates.complete(FOUND)["d"][0]
    found = {name: of(runs) for name, of in gates.MEASURED.items()}
    area = (0.2 + 2 * 0.5 + 0.6) / 4 - (0.2 + 2 * 0.4 + 0.5) / 4
    assert found == pytest.approx({"labels": 0.3, "choice": area, "styles": 0.45, "errors": 2.0})


@pytest.mark.parametrize("left", ["random", "foreground_random", "greedy_oracle", "full"])
def test_a_regime_without_all_arms_says_nothing(left):
    assert not gates.complete([row for row in FOUND if row["arm"] != left])


def test_a_run_that_is_not_complete_says_nothing():
    assert not gates.complete([row for row in FOUND if (row["arm"], row["round"]) != ("greedy_oracle", 2)])


@pytest.mark.parametrize("left", [0, 1, 2])
def test_runs_that_all_lack_the_same_round_say_nothing(left):
    assert not gates.complete([row for row in FOUND if row["round"] != left or row["arm"] == "full"])


def test_rows_say_how_many_rounds_their_run_has():
    with pytest.raises(KeyError, match="rounds"):
        gates.complete([{k: v for k, v in row.items() if k != "rounds"} for row in FOUND])
    settings = gates.Settings(seeds=1)
    for job in gates.jobs(settings):
        assert job.what["rounds"] == job.config.rounds
    assert "rounds" not in gates.KEY


def test_a_style_without_a_value_is_never_the_worst():
    nan, styles = math.nan, {"a": 0.4, "b": 0.3, gates.TRAP: 0.1}
    for order in ({**styles, "c": nan}, {"c": nan, **styles}):
        assert gates.worst_of(order) == 0.3
    assert math.isnan(gates.worst_of({"c": nan, gates.TRAP: 0.1}))
    assert math.isnan(gates.worst_of({}))


def test_rows_of_earlier_settings_are_left_out():
    earlier = [{**row, "settings": "old", "iou_a": 0.0} for row in FOUND]
    assert gates.complete([*earlier, *FOUND]) == gates.complete(FOUND)


def test_concentration_is_of_tiles_with_predicted_foreground():
    wrong = np.array([10.0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 99])
    predicted = np.array([1.0] * 10 + [0])
    assert gates.concentration(predicted, wrong) == pytest.approx(10 / wrong[:10].mean())
    assert gates.concentration(np.ones(20), np.ones(20)) == 1
    assert math.isnan(gates.concentration(np.zeros(3), np.ones(3)))


def test_the_file_of_regimes():
    of = plan.read(ROOT / "benchmarks" / "gates.yaml")
    assert {"random", "foreground_random", "greedy_oracle"} == set(of.arms)
    for dataset in of.datasets:
        assert of.config(dataset, "greedy_oracle", 3).source.seed == 3
        assert of.config(dataset, plan.FULL, 0).rounds == 0
