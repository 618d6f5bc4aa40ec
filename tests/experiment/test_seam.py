"""Rounds that wait: answers that come later, in part, or never, and kills on both sides of the wait and within it."""

from __future__ import annotations

import errno
import json
import pickle
import signal
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
from forks import Step
from helpers import slow_where
from later import Closing, Later
from runs import FLAGS, curve, ledger, run, tiny

from bal import Answer, BadInput, Waiting, loop
from bal.annotation.annotators import Oracle
from bal.experiment import checkpoint
from bal.experiment.checkpoint import Checkpoints
from bal.experiment.recorder import Recorder
from bal.pool.cost import Effort
from bal.run import main


def visit_until_done(config, out, most=20, **how):
    """Resumes until nothing waits any more; how often it had to wait."""
    for waits in range(most):
        try:
            run(config, out, resume=True, **how)
        except Waiting:
            continue
        return waits
    raise AssertionError(f"still waiting after {most} visits")


def same_run(out, other) -> None:
    assert (out / "queries.jsonl").read_bytes() == (other / "queries.jsonl").read_bytes()
    assert curve(out) == curve(other)


def test_answers_of_a_second_visit_make_the_same_run(whole, tmp_path):
    config = tiny(annotator=Later(second=(0, 3, 7)))
    with pytest.raises(Waiting, match="3 of 10 regions of the start set wait for answers; go on with: "):
        run(config, tmp_path / "run")
    assert visit_until_done(config, tmp_path / "run") == 2, "once for each purchase after the start set"
    same_run(tmp_path / "run", whole)


def test_records_hold_the_start_set_however_often_a_run_had_to_wait(tmp_path):
    config, out, records = tiny(annotator=Later(second=(0, 3))), tmp_path / "run", []
    for _ in range(9):
        try:
            for record in loop.run_loop(config, out, resume=True):
                records.append(record)
            break
        except Waiting:
            continue
    assert [len(record.start) for record in records] == [10, 0, 0]
    assert [line for record in records for line in (*record.start, *record.queries)] == ledger([], out)


def test_an_annotator_that_answers_all_at_once_never_waits(whole, tmp_path):
    assert visit_until_done(tiny(annotator=Later()), tmp_path / "run") == 0
    same_run(tmp_path / "run", whole)


def test_what_is_never_answered_goes_back_to_the_pool(tmp_path):
    once, later = tiny(annotator=Later(never=(2,))), tiny(annotator=Later(second=(0, 3), never=(2,)))
    for config, out, visits in ((once, tmp_path / "once", (1,)), (later, tmp_path / "later", (3, 1))):
        for purchase in ("the start set", "purchase 1", "purchase 2"):
            for visit, left in enumerate(visits):
                with pytest.raises(Waiting, match=rf"^{left} of \d+ regions of {purchase} wait"):
                    run(config, out, resume=True, close=visit == 0)  # what has only just been asked is not let go
        run(config, out, resume=True, close=True)
    same_run(tmp_path / "later", tmp_path / "once")
    lines = ledger([], tmp_path / "later")
    assert len({(line["image"], line["region"]) for line in lines}) == len(lines), "nothing is bought twice"
    assert curve(tmp_path / "later")[-1]["cost"] == str(len(lines))
    assert {row["risk_lure"] for row in curve(tmp_path / "later")} == {"nan"}, "what is unknown stands for nothing"


def test_what_is_skipped_costs_nothing_and_is_not_asked_again(tmp_path):
    records = run(tiny(annotator=Later(skipped=(0, 4))), tmp_path / "run")
    lines = ledger([], tmp_path / "run")
    asked = [set(), set(), set()]
    for purchase in range(3):
        questions = json.loads((tmp_path / "run" / "desk" / f"r{purchase:02d}" / "questions.json").read_text())
        asked[purchase] = {(image, region) for _, image, region, *_ in questions}
    assert not asked[0] & asked[1]
    assert not asked[1] & asked[2]
    bought = {(line["image"], line["region"]) for line in lines}
    assert len(set.union(*asked) - bought) == 6
    assert [record.row["regions"] for record in records] == [8, 18, 28], "the money that is left buys others"


def test_reported_seconds_are_charged(tmp_path):
    config = tiny(annotator=Later(seconds=4.5), cost="effort", effort=Effort(open=2.0), start=20, budget=60)
    run(config, tmp_path / "run")
    lines = ledger([], tmp_path / "run")
    assert {(line["cost"], line["seconds"]) for line in lines} == {(4.5, 4.5)}
    assert {line["price"] for line in lines if line["round"] == 0} == {2 + 0.05 * 16}


def test_seconds_are_noted_where_they_cost_nothing(whole, tmp_path):
    run(tiny(annotator=Later(seconds=4.5)), tmp_path / "run")
    lines = ledger([], tmp_path / "run")
    assert {line.pop("seconds") for line in lines} == {4.5}
    assert lines == ledger([], whole)


def test_a_folder_that_people_may_have_answered_in_is_not_overwritten(tmp_path):
    config = tiny(annotator=Later(never=(0,)))
    with pytest.raises(Waiting):
        run(config, tmp_path / "run")
    with pytest.raises(BadInput, match="may hold answers of people"):
        run(config, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "desk" / "r00" / "questions.json").exists()


def test_a_start_set_without_a_label_to_train_on_goes_on_waiting(whole, tmp_path):
    """Closed too early, it is refused, and can still be answered."""
    config = tiny(annotator=Later(second=tuple(range(2, 10))))  # the audit comes first in a purchase
    with pytest.raises(Waiting, match="8 of 10"):
        run(config, tmp_path / "run")
    (tmp_path / "run" / "desk" / "r00" / "visits").write_text("0")
    with pytest.raises(BadInput, match="nothing to train on has been labelled yet"):
        run(config, tmp_path / "run", resume=True, close=True)
    visit_until_done(config, tmp_path / "run")
    same_run(tmp_path / "run", whole)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((16, 16)), r"holds float64; expected class ids, which are whole numbers"),
        (np.zeros((16, 15), np.uint8), r"has the shape \(16, 15\); expected \(16, 16\)"),
        (np.full((16, 16), 9, np.uint8), r"\(r00-0000\) holds class 9"),
    ],
)
def test_a_label_that_is_none_is_named(label, message, tmp_path):
    @dataclass(frozen=True)
    class Wrong:
        def annotate(self, source, regions):
            return [label] * len(regions)

    with pytest.raises(BadInput, match=message):
        run(tiny(annotator=Wrong()), tmp_path / "run")


def test_a_full_disk_is_not_the_fault_of_the_annotator(monkeypatch, tmp_path):
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device", "questions"))
    monkeypatch.setattr(Later, "ask", full)
    with pytest.raises(OSError, match="No space left on device: 'questions'"):
        run(tiny(annotator=Later()), tmp_path / "run")


def test_labels_of_few_bits_are_those_of_many(whole):
    @dataclass(frozen=True)
    class Bytes:
        def annotate(self, source, regions):
            assert regions, "nobody is asked about nothing"
            return [label.astype(np.uint8) for label in Oracle().annotate(source, regions)]

    records = run(tiny(annotator=Bytes()))
    assert ledger(records) == ledger([], whole)[10:]


def test_what_is_raised_can_be_sent_to_another_process():
    waiting = Waiting(1, 10, 3, None)
    assert str(pickle.loads(pickle.dumps(waiting))) == str(waiting)


@pytest.mark.parametrize("seconds", [float("nan"), -1.0, float("inf"), 1e308])
def test_impossible_seconds_are_refused_and_nothing_is_deleted(seconds, tmp_path):
    with pytest.raises(BadInput, match="expected a number from 0 to"):
        run(tiny(annotator=Later(seconds=seconds)), tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "0").is_dir(), "people have been asked"


def test_a_run_without_a_folder_cannot_wait(tmp_path):
    @dataclass(frozen=True)
    class Nobody:
        def ask(self, request):
            assert request.folder is None

        def collect(self, request):
            return {"r99-0000": Answer(None)}

    with pytest.raises(Waiting, match="without `out` a run cannot go on later"):
        run(tiny(annotator=Nobody()))


# Kills


class Killed(BaseException):
    """What stands for a kill inside this process."""


@pytest.mark.parametrize("purchase", slow_where(bool, (0, 1)))
@pytest.mark.parametrize(
    "place",
    [
        *("before asked", "after asked", "ask", "collect", "before close", "after close", "pay"),
        *("before answered", "after answered"),
    ],
)
def test_killed_at_the_seam(place, purchase, whole, tmp_path, monkeypatch):
    config, out = tiny(annotator=Closing(second=(1, 5))), tmp_path / "run"
    calls = iter(range(10**6))

    def dying(function, late=False):
        def call(*args):
            now = next(calls)
            if now == purchase and not late:
                raise Killed
            result = function(*args)
            if now == purchase:
                raise Killed
            return result

        return call

    with monkeypatch.context() as patch:
        when, _, what = place.partition(" ")
        target, name = {
            "asked": (Recorder, "save_asked"),
            "answered": (Recorder, "save_answered"),
            "ask": (Later, "ask"),
            "collect": (Later, "collect"),
            "close": (Closing, "close"),
            "pay": (loop, "pay"),
        }[what or when]
        patch.setattr(target, name, dying(getattr(target, name), when == "after"))
        for _ in range(4):
            try:
                run(config, out, resume=True)
            except Waiting:
                continue
            except Killed:
                break
        else:
            raise AssertionError("it was never killed")
    visit_until_done(config, out)
    same_run(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["ask", "collect"])
def test_killed_in_another_process_while_people_answer(where, forks, whole, tmp_path):
    out = tmp_path / "run"
    argv = [*FLAGS, "--out", str(out), "--resume", "--quiet", "--annotator", "later:Later"]
    argv += ["--annotator.second", "0", "3", "--annotator.dies", where]
    seen = []
    for _ in range(10):
        ended = forks.run(Step(argv))
        seen.append(ended.status)
        if ended.status == 0:
            break
        assert ended.status in (3, -signal.SIGKILL), ended
    assert seen == [-signal.SIGKILL, *[3] * (2 if where == "collect" else 3), 0]
    same_run(out, whole)


def test_the_front_door_says_what_it_waits_for(capsys, monkeypatch, whole, tmp_path):
    monkeypatch.setattr("bal.system.devices.set_up_platform", lambda: None)
    out = tmp_path / "run"
    argv = [*FLAGS, "--out", str(out), "--annotator", "later:Later", "--annotator.never", "2"]
    assert main(argv) == 3
    error = capsys.readouterr().err
    assert error == (
        f"bal: 1 of 10 regions of the start set wait for answers; "
        f"go on with: python -m bal.run --resume --out {out}\n     (with --close it lets the open ones go)\n"
    )
    assert main(["--out", str(out), "--resume"]) == 3
    assert main(["--out", str(out), "--close"]) == 2
    assert "give --resume" in capsys.readouterr().err
    closed = [main(["--out", str(out), "--resume", "--close"]) for _ in range(3)]
    assert closed == [3, 3, 0], "what has only just been asked is not let go"
    assert len(ledger([], out)) == 29
    assert np.isfinite(float(curve(out)[-1]["nll"]))


def test_a_run_of_the_old_code_is_refused(whole, tmp_path):
    out = tmp_path / "run"
    run(tiny(rounds=0), out)
    saver = Checkpoints(out / "checkpoints")
    saved = saver.load(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 2)
        saver.save(4, saved)
    saver.close()
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(BadInput, match="was begun by another version of bal") as error:
        run(tiny(rounds=0), out, resume=True)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
