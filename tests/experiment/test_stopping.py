"""A rule that ends a run: it is on record, the run can go on, and what goes on is as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from later import Later
from runs import FLAGS, curve, run, tiny

from bal.experiment import stopping
from bal.run import main
from bal.selection.stops import Never
from bal.types import BadInput, Waiting


@dataclass(frozen=True)
class After:
    """After so many rounds."""

    rounds: int = 1

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> str:
        return "enough" if row["round"] >= self.rounds else ""


@dataclass(frozen=True)
class Broken:
    """Does not work."""

    how: str = "raises"

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> Any:
        return 3 if self.how == "says" else row["no such column"]


def test_a_stopped_run_is_on_record_and_goes_on_as_if_it_never_had(tmp_path):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    records = run(tiny(stop=After(1)), stopped)
    assert [record.row["round"] for record in records] == [0, 1]
    assert [record.row["stopped"] for record in records] == [0, 1]
    assert not records[-1].queries
    assert [row["stopped"] for row in curve(stopped)] == ["0", "1"]
    before = (stopped / "queries.jsonl").read_bytes()
    assert run(tiny(stop=After(1)), stopped, resume=True) == [], "it has stopped"
    assert run(tiny(stop=After(0)), stopped, resume=True) == []
    assert (stopped / "queries.jsonl").read_bytes() == before
    again = run(tiny(stop=Never()), stopped, resume=True)
    assert [record.row["round"] for record in again] == [1, 2]
    run(tiny(), whole)
    rows, wanted = curve(stopped), curve(whole)
    own = {"stopped", "risk_lure"} | {name for name in rows[1] if name.startswith("iou_lure_")}  # nothing was bought
    assert {name for name in rows[1] if rows[1][name] != wanted[1][name]} <= own
    assert [rows[0], rows[2]] == [wanted[0], wanted[2]]
    assert (stopped / "queries.jsonl").read_bytes() == (whole / "queries.jsonl").read_bytes()
    assert "never" in (stopped / "config.yaml").read_text()


def test_a_rule_that_is_given_later_ends_a_run_before_its_next_purchase(tmp_path):
    out = tmp_path / "run"
    config = tiny(annotator=Later(second=(0,)))
    for purchase in (0, 1):
        with pytest.raises(Waiting) as waited:
            run(config, out, resume=True)
        assert waited.value.purchase == purchase
    records = run(replace(config, stop=After(0)), out, resume=True)
    assert [record.row["round"] for record in records] == [0, 1], "what was asked is paid and learned from"
    assert records[-1].row["stopped"] == 1


@pytest.mark.parametrize(
    ("how", "line"),
    [("raises", "the stopping rule Broken failed: KeyError"), ("says", "Broken says 3, where a text")],
)
def test_a_rule_of_somebody_else_that_fails_is_named(how, line):
    with pytest.raises(BadInput, match=line):
        run(tiny(stop=Broken(how)))


def test_on_a_command_line(tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")]
    rule = ["--stop", "test_stopping:After"]
    assert main([*FLAGS, *out, *rule]) == 0
    said = capsys.readouterr().out
    assert "round 1/2" in said
    assert "round 2/2" not in said
    assert "the run has stopped: enough; --resume with --stop never" in " ".join(said.split())
    assert main([*out, "--resume"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the run has stopped: enough" in said
    assert "round" not in said.partition("IoU over")[0].partition("resuming")[2]
    assert main([*out, "--resume", "--stop", "never"]) == 0
    said = capsys.readouterr().out
    assert "round 2/2" in said
    assert "has stopped" not in said


def test_what_is_expected_is_said_with_its_interval_and_by_the_hour():
    row = {"cost": 90.0, "gain_next": 0.02, "gain_next_low": -0.01, "gain_next_high": 0.05}
    assert stopping.forecast(row, {"cost": 60.0}, tiny()) == "another 30 regions: +0.020 IoU expected (-0.010 … +0.050)"
    hourly = stopping.forecast(row, {"cost": 60.0}, tiny(cost="effort"))
    assert hourly == "another 30 seconds: +0.020 IoU expected (-0.010 … +0.050), +2.400 an hour"
    assert stopping.forecast({"cost": 90.0}, {"cost": 60.0}, tiny()) == ""
    assert stopping.forecast(row, None, tiny()) == ""
