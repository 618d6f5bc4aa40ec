"""A run that is given more rounds or budget: what was decided stays to the byte, and the change is on record."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from later import Later
from runs import FLAGS, curve, ledger, run, tiny

from bal import BadInput, Config, Waiting, load, run_loop
from bal.run import main

MORE = {"rounds": 4, "budget": 50}


@pytest.fixture
def ended(whole, tmp_path):
    """A copy of a complete run: 30 regions in 2 rounds."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def test_a_finished_run_goes_on(ended, tmp_path):
    before = {name: (ended / name).read_bytes() for name in ("curve.csv", "queries.jsonl")}
    records = run(tiny(**MORE), ended, resume=True)
    for name, content in before.items():
        assert (ended / name).read_bytes().startswith(content)
    assert [record.row["round"] for record in records] == [2, 3, 4], "the last model is asked once more"
    assert [int(row["round"]) for row in curve(ended)] == [0, 1, 2, 3, 4]
    assert [float(row["cost"]) for row in curve(ended)] == [10, 20, 30, 40, 50]
    lines = ledger([], ended)
    assert [line.get("stage") for line in lines] == [None] * 30 + [1] * 20
    assert len({(line["image"], line["region"]) for line in lines}) == 50
    config = load(ended / "config.yaml")
    assert (config.rounds, config.budget, config.history) == (4, 50, ((2, 30.0),))
    assert run(config, ended, resume=True) == run(tiny(**MORE), ended, resume=True) == []
    again = tmp_path / "again"
    run(config, again)
    assert ledger([], again) == lines, "its configuration repeats the run"


@pytest.mark.parametrize("stops", [1, 2, 3])
def test_left_on_its_way(stops, ended, tmp_path):
    whole = Path(shutil.copytree(ended, tmp_path / "whole"))
    run(tiny(**MORE), whole, resume=True)
    rounds = run_loop(tiny(**MORE), ended, resume=True)
    for _ in range(stops):
        next(rounds)
    rounds.close()
    run(tiny(**MORE), ended, resume=True)
    assert (ended / "queries.jsonl").read_bytes() == (whole / "queries.jsonl").read_bytes()
    assert curve(ended) == curve(whole)
    assert (ended / "config.yaml").read_bytes() == (whole / "config.yaml").read_bytes()


def test_before_it_ends_and_again(tmp_path):
    out = tmp_path / "run"
    rounds = run_loop(tiny(), out)
    next(rounds)
    rounds.close()
    run(tiny(rounds=3), out, resume=True)
    assert load(out / "config.yaml").history == ((1, 20.0),)
    assert [float(row["cost"]) for row in curve(out)] == [10, 20, 25, 30]
    run(tiny(rounds=4, budget=40), out, resume=True)
    assert load(out / "config.yaml").history == ((1, 20.0), (3, 30.0))
    assert [float(row["cost"]) for row in curve(out)] == [10, 20, 25, 30, 40]
    assert [line.get("stage", 0) for line in ledger([], out)] == [0] * 20 + [1] * 10 + [2] * 10


@pytest.mark.parametrize(
    ("changes", "why"),
    {
        "less-budget": ({"budget": 29}, "has decided 2 rounds, for 30: rounds and budget may not become less"),
        "fewer-rounds": ({"rounds": 1}, "has decided 2 rounds, for 30: rounds and budget may not become less"),
        "no-round-for-it": ({"budget": 50}, "give --rounds 3 or more with the larger --budget"),
        "no-budget-for-it": ({"rounds": 3}, "has decided on all of its 30: give a larger --budget with more --rounds"),
        "too-much": ({"budget": 1e6, "rounds": 4}, "larger than the pool"),
        "another-seed": ({"seed": 1, **MORE}, r"another configuration \(seed: 0, now 1\)"),
        "another-start": ({"start": 12, **MORE}, r"another configuration \(start: 10.0, now 12\)"),
    }.values(),
)
def test_what_may_not_change(changes, why, ended):
    files = {path: path.read_bytes() for path in ended.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=why):
        run(tiny(**changes), ended, resume=True)
    assert {path: path.read_bytes() for path in ended.rglob("*") if path.is_file()} == files


def test_a_plan_that_was_edited_by_hand(ended):
    text = (ended / "config.yaml").read_text()
    for edited in (text.replace("budget: 30", "budget: 40"), text.replace("rounds: 2", "rounds: 3")):
        assert edited != text
        (ended / "config.yaml").write_text(edited)
        with pytest.raises(BadInput, match="is not the one that it was run with until now"):
            run(load(ended / "config.yaml"), ended, resume=True)


@pytest.mark.parametrize(
    ("history", "name"),
    [(((3, 10.0), (2, 20.0)), "history"), (((1, 99.0),), "budget"), (((9, 20.0),), "rounds"), (((0, 5.0),), "history")],
)
def test_a_history_that_cannot_be(history, name):
    with pytest.raises(BadInput, match=f"^{name}: expected .* (never fall|the run has decided on)"):
        Config(rounds=4, start=10, budget=50, history=history)


def test_on_a_command_line(ended, capsys):
    assert main(["--out", str(ended), "--resume", "--rounds", "3", "--budget", "36"]) == 0
    assert "round 3/3: 36 regions" in capsys.readouterr().out
    assert main(["--out", str(ended), "--resume", "--budget", "50"]) == 2
    assert "give --rounds 4 or more with the larger --budget" in capsys.readouterr().err
    assert main(["--out", str(ended), "--resume", "--budget", "25"]) == 2
    less = "bal: error: --budget: expected at least the 30 that the run has decided on, got 25.0\n"
    assert capsys.readouterr().err == less, "not by a line of a file that nobody has written by hand"
    assert main([*FLAGS, "--out", str(ended), "--resume"]) == 2, "the flags of its beginning are another plan now"


def until_done(config: Config, out: Path) -> list[int]:
    """Runs and resumes a run; the purchases that were waited for."""
    waited = []
    for _ in range(20):
        try:
            run(config, out, resume=True)
            return waited
        except Waiting as waiting:
            waited.append(waiting.purchase)
    raise AssertionError(waited)


def test_people_are_asked_and_waited_for(ended, tmp_path):
    out, people = tmp_path / "asked", Later(second=(0,))
    assert until_done(tiny(annotator=people), out) == [0, 1, 2]
    assert ledger([], out) == ledger([], ended)
    assert until_done(tiny(annotator=people, **MORE), out) == [3, 4]
    run(tiny(**MORE), ended, resume=True)
    assert ledger([], out) == ledger([], ended)
