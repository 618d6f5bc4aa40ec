"""The start that is not blind: the predicted foreground steers until there is a score that has been judged."""

from __future__ import annotations

import numpy as np
import pytest
from runs import FLAGS, curve, ledger, run, tiny

from bal.config.schema import Config
from bal.experiment import hand_over, query
from bal.experiment.setup import set_up
from bal.pool.labels import AUDIT, TRAINING, add, empty
from bal.report.columns import meaning
from bal.run import main
from bal.scoring.acquisitions import Random
from bal.selection.selectors import OracleForegroundRandom

CLASSES = ("paper", "one", "two")


def bought(training, audit):
    """A pool in which regions show so many classes: each a tuple of class ids."""
    labels = [np.resize(np.array(ids, np.int32), (2, 2)) for ids in (*training, *audit)]
    splits = np.array([TRAINING] * len(training) + [AUDIT] * len(audit), np.uint8)
    return add(empty(20), np.arange(len(labels)), np.ones(len(labels)), splits, labels)


@pytest.mark.parametrize(
    ("training", "audit", "handed"),
    [
        ([(0,)], [(0,)], False),
        ([(0, 1), (0, 2)], [(0, 1)], True),
        ([(0, 1, 2)], [(0, 255)], False),
        ([(0, 1)], [(1, 2)], False),
        ([(255, 1), (2,)], [(2,)], True),
        ([(255,)], [], False),
    ],
)
def test_the_score_steers_once_each_class_was_seen_and_it_was_judged(training, audit, handed):
    pool = bought(training, audit)
    assert hand_over.handed_over(Config(), pool, 1, 3) is handed
    row = hand_over.row(Config(), pool, 1, CLASSES)
    assert row["handed_over"] == handed
    assert bool(hand_over.sentence(row, CLASSES)) is not handed


def test_there_is_an_end_to_it_and_ways_out():
    pool = bought([(0,)], [(0,)])
    assert [hand_over.handed_over(Config(rounds=5), pool, n, 3) for n in range(1, 6)] == [False] * 3 + [True] * 2
    assert not hand_over.handed_over(Config(rounds=1), pool, 1, 3)
    for config in (
        Config(hand_over=False),
        Config(acq=Random()),
        Config(steer=0.0),
        Config(selector=OracleForegroundRandom()),
    ):
        assert hand_over.handed_over(config, pool, 1, 3)
    assert hand_over.handed_over(Config(audit=0.0), bought([(0, 1, 2)], []), 1, 3), "nothing will ever be judged"


def test_a_sentence_names_what_was_never_seen():
    row = hand_over.row(Config(), bought([(0, 1)], [(0, 1)]), 1, CLASSES)
    assert hand_over.unseen(row, CLASSES) == ["two"]
    assert hand_over.sentence(row, CLASSES) == (
        "no label shows two yet: what a model says of it is a guess; the next purchase follows the predicted "
        "foreground instead of the score"
    )
    late = hand_over.row(Config(), bought([(0,)], [(0, 1)]), 5, CLASSES)
    assert hand_over.sentence(late, CLASSES) == "no label shows one or two yet: what a model says of them is a guess"
    blind = hand_over.row(Config(), bought([(0, 1, 2)], [(0,)]), 1, CLASSES)
    assert hand_over.sentence(blind, CLASSES).startswith("no audited region shows foreground yet, so the score has not")
    assert not hand_over.sentence({}, CLASSES), "of a run from before there were such columns"
    assert all(len(meaning(name, CLASSES)) > 40 for name in row)


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """A run that may not have seen all when it buys first."""
    out = tmp_path_factory.mktemp("blind") / "run"
    config = tiny(hand_over=True, start=6, budget=26, audit=0.1)
    return config, out, run(config, out)


def test_the_ledger_says_who_steered_and_probabilities_are_known(blind):
    _, out, _ = blind
    lines, rows = ledger([], out), curve(out)
    for purchase, row in enumerate(rows[:-1], 1):
        policies = {line["policy"] for line in lines if line["round"] == purchase}
        assert ("foreground" in policies) is (row["handed_over"] == "0")
        assert ("steered" in policies) is (row["handed_over"] == "1")
        missing = hand_over.unseen(
            {k: int(v) for k, v in row.items() if k.startswith("seen_")}, ("p", "curve_1", "curve_2")
        )
        told = {tuple(line.get("unseen", ())) for line in lines if line["round"] == purchase}
        assert told == {tuple(missing)}
    assert "foreground" in {line["policy"] for line in lines}
    assert np.isfinite(float(rows[0]["risk_lure"])), "R_LURE stays possible"
    report = (out / "report.html").read_text()
    assert "no label shows" in report or "no audited region shows" in report or rows[-1]["handed_over"] == "1"


def test_what_is_taken_for_foreground_is_bought_first():
    """By its share, and a fifth of the draws without."""
    frequency = np.full((100, 3), 0.01)
    frequency[:20, 1:] = 0.45
    able = np.ones(100, bool)
    weights = hand_over.foreground_weights(frequency, able)
    assert weights.sum() == pytest.approx(1)
    assert weights[:20].sum() == pytest.approx(0.2 * 0.2 + 0.8 * 0.9 * 20 / (0.9 * 20 + 0.02 * 80))
    assert not hand_over.foreground_weights(frequency, np.arange(100) > 3)[:4].any()


def test_before_any_foreground_was_seen_contrast_decides():
    """No model has learned what foreground is: the images say where there is something."""
    setup = set_up(tiny(hand_over=True))
    pool = bought([(0,)], [(0,)])
    pool = pool._replace(split=np.resize(pool.split, setup.costs.size))
    pool.split[2:] = 0
    wanted = query.start_weights(setup, pool, "contrast", 1)
    np.testing.assert_array_equal(query.foreground_weights(setup, pool, 1, None), wanted)
    assert not wanted[:2].any()


def test_a_terminal_says_so(tmp_path, capsys):
    flags = [f for f in FLAGS if f != "--no-hand-over"]
    assert main(["--acq", "bald", "--out", str(tmp_path / "run"), *flags, "--start", "2", "--budget", "8"]) == 0
    said = capsys.readouterr().out
    assert "note: no label shows curve_" in said
    assert "the next purchase follows the predicted foreground instead of the score" in " ".join(said.split())
