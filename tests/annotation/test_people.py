"""The annotator that is people, against the oracle: what is asked, kept, merged, let go, and never lost."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from asking import PEOPLE, SOURCE, answer_all, go_on, reply, truth
from runs import ROOT, TINY, curve, ledger, run, tiny

from bal import BadInput, loop, run_loop
from bal.annotation import views
from bal.annotation.annotators import People
from bal.annotation.entries import Reply
from bal.annotation.inbox import Inbox, merged
from bal.experiment.folder import RunFolder
from bal.experiment.recorder import Recorder
from bal.experiment.setup import set_up
from bal.pool.units.superpixel import Superpixel
from bal.scoring.acquisitions import Random
from bal.scoring.objective import as_objective
from bal.scoring.score import inspect
from bal.system.lines import Lines
from bal.types import IGNORE


def copied(asked, tmp_path):
    """The inbox of a copy."""
    shutil.copytree(asked, tmp_path / "run")
    return Inbox(tmp_path / "run")


def test_people_who_know_the_truth_buy_what_the_oracle_buys(tmp_path, oracle):
    out = tmp_path / "run"
    while waiting := go_on(out):
        assert str(waiting).startswith(f"{waiting.asked - waiting.answered} of {waiting.asked} regions of ")
        assert f"wait for people: python -m bal.desk {out}" in str(waiting)
        answer_all(out)
    for name in ("queries.jsonl", "curve.csv"):
        drop = ("seconds_fit", "seconds_score")
        mine, theirs = ((curve(p) if name == "curve.csv" else ledger([], p)) for p in (out, oracle))
        assert [{k: v for k, v in line.items() if k not in drop} for line in mine] == [
            {k: v for k, v in line.items() if k not in drop} for line in theirs
        ]
    assert (out / "queries.jsonl").read_bytes() == (oracle / "queries.jsonl").read_bytes()


def test_a_question_shows_its_surroundings_and_a_prediction_unless_it_is_blind(asked):
    inbox = Inbox(asked)
    entries = inbox.newest()
    assert {entry.policy for entry in entries} == {"audit", "steered"}
    for entry in entries:
        picture, (top, left, height, width) = views.pixels(asked, entry), entry.view
        image = np.rint(SOURCE.image(entry.image) * 255).astype(np.uint8)
        np.testing.assert_array_equal(picture[..., :1], image[top : top + height, left : left + width])
        row, column, *_ = entry.inside
        assert (entry.box[0], entry.box[1]) == (entry.view[0] + row, entry.view[1] + column)
        drawn = views.prefill(asked, entry)
        assert (drawn is None) == (entry.policy == "audit")
        if drawn is not None:
            np.testing.assert_allclose(drawn.probability.sum(0, dtype=int), 255, atol=2)
            likely = np.take_along_axis(drawn.probability, drawn.label[None].astype(int), 0)[0]
            assert (likely >= drawn.probability.max(0)).all()


def test_a_prediction_is_that_of_the_model_that_asks(asked, oracle):
    model = next(run_loop(TINY)).model
    entry = next(e for e in Inbox(asked).newest() if not e.blind)
    label, _ = inspect(model, SOURCE, as_objective(Random()), entry.image)
    top, left, height, width = entry.box
    np.testing.assert_array_equal(views.prefill(asked, entry).label, label[top : top + height, left : left + width])


def test_derived_files_come_back(asked):
    before = {p: p.read_bytes() for folder in ("views", "prefill") for p in sorted((asked / folder).iterdir())}
    newest = {e.id for e in Inbox(asked).newest()}
    gone = [p for p in before if p.stem in newest]
    for path in gone:
        path.unlink()
    with pytest.raises(BadInput, match=r"is missing; make it again with: python -m bal\.run --resume"):
        views.pixels(asked, Inbox(asked).newest()[0])
    go_on(asked)
    assert gone
    assert {p: p.read_bytes() for p in before} == before


def test_the_order_of_questions_does_not_tell_the_audit(asked):
    shown = Inbox(asked).open("ada")
    audit = [n for n, entry in enumerate(shown) if entry.policy == "audit"]
    assert [e.id for e in shown] != sorted(e.id for e in shown)
    assert audit != list(range(len(audit)))


def test_skipped_regions_cost_nothing_and_half_an_overlap_is_better_than_none(tmp_path):
    out, config = tmp_path / "run", tiny(annotator=People(overlap=0.3), rounds=1)
    assert go_on(out, config).asked == 10
    inbox = Inbox(out)
    entries = inbox.open("ada")
    assert sum(e.answers for e in entries) == 13
    inbox.answer(reply(entries[0], label=None))
    for entry in entries[1:-1]:
        inbox.answer(reply(entry, seconds=2.0))
    twice = [e for e in entries[1:-1] if e.answers == 2]
    assert go_on(out, config).answered == sum(e.answers == 1 for e in entries[:-1])
    lacking = {e.id for e in entries if e.answers == 2} | {entries[-1].id}
    assert {e.id for e in inbox.open("eva")} == lacking
    wrong = truth(twice[0]).copy()
    wrong[0, 0] = 1 - min(1, wrong[0, 0])
    inbox.answer(reply(twice[0], "eva", wrong, seconds=3.0))
    assert go_on(out, config, close=True).purchase == 1, "the start set is closed, and the first purchase asked"
    lines = ledger([], out)
    assert len(lines) == 8
    assert sorted(line["seconds"] for line in lines) == [2.0] * 7 + [5.0]
    assert not Inbox(out)._counting(0)[entries[-1].id], "what was let go has no answer"


@pytest.mark.parametrize("label", [None, np.full((16, 16), IGNORE, np.uint8)])
def test_a_start_set_with_nothing_to_train_on_stays_open(tmp_path, label):
    """Closed before anybody knew anything, or all of it skipped: it is refused, and can still be answered."""
    out = tmp_path / "run"
    assert go_on(out)
    with pytest.raises(BadInput, match="nothing to train on has been labelled yet"):
        go_on(out, close=True)
    inbox = Inbox(out)
    for entry in inbox.newest():
        assert inbox.answer(reply(entry, label=label)) == "taken"
    with pytest.raises(BadInput, match="or take a skip back"):
        go_on(out)
    for entry in inbox.newest():
        assert inbox.answer(reply(entry), replace=True) == "taken"
    assert go_on(out).purchase == 1


@pytest.mark.parametrize("label", [None, np.full((16, 16), IGNORE, np.uint8)])
def test_a_purchase_is_not_closed_with_nothing_to_train_on(tmp_path, monkeypatch, label):
    """Somebody takes everything back at the last moment: the purchase stays open, and goes on once it is mended."""
    out, close = tmp_path / "run", Inbox.close
    go_on(out)
    answer_all(out)

    def raced(self, purchase, check=None):
        for entry in self.newest():
            assert Inbox(out).answer(reply(entry, label=label), replace=True) == "taken"
        close(self, purchase, check)

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "close", raced)
        with pytest.raises(BadInput, match="nothing to train on has been labelled yet"):
            go_on(out)
    inbox = Inbox(out)
    assert inbox.closed(0) is None
    for entry in inbox.newest():
        assert inbox.answer(reply(entry), replace=True) == "taken"
    assert go_on(out).purchase == 1


def test_a_purchase_is_checked_with_the_answers_that_it_is_closed_with(asked, tmp_path):
    inbox, seen = copied(asked, tmp_path), []
    first, second, *_ = inbox.newest()
    inbox.answer(reply(first))
    other = Inbox(inbox.folder)
    other.answer(reply(second))
    inbox.close(first.purchase, seen.append)
    assert other.answer(reply(first, label=None), replace=True) == "late"
    inbox.close(first.purchase, seen.append)
    assert [set(answers) for answers in seen] == [{first.id, second.id}], "once it is closed nothing is checked"
    np.testing.assert_array_equal(seen[0][first.id].label, inbox.collect(first.purchase)[first.id].label)


def test_what_differs_between_people_is_unknown():
    one, two = np.array([[0, 1, 2]], np.uint8), np.array([[0, 2, 255]], np.uint8)
    a, b, skip = (
        Reply("r01-0000", by, "", "labelled", label, 1.5) for by, label in (("a", one), ("b", two), ("c", None))
    )
    assert merged([a, b]).label.tolist() == [[0, IGNORE, IGNORE]]
    assert merged([a, b]).seconds == 3.0
    assert merged([a, skip]).label.tolist() == [[0, 1, 2]]
    assert merged([skip]).label is None


def test_an_answer_that_comes_late_counts_when_its_region_is_asked_about_again(tmp_path):
    out = tmp_path / "run"
    go_on(out)
    inbox = Inbox(out)
    late, *rest = inbox.open("ada")
    for entry in rest:
        inbox.answer(reply(entry))
    go_on(out, close=True)
    assert inbox.answer(reply(late)) == "late"
    assert [r.id for r in inbox.late()] == [late.id]
    again = late.__class__(**{**vars(late), "id": "r09-0000", "policy": "audit"})
    inbox.ask([again])
    assert inbox.open("eva") == [], "it has been answered"
    np.testing.assert_array_equal(inbox.collect(9)["r09-0000"].label, truth(late))
    assert inbox.late() == []


def test_a_purchase_that_a_killed_process_closed_is_paid_with_what_it_was_closed_with(tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    out = tmp_path / "run"
    go_on(out)
    answer_all(out)
    monkeypatch.setattr(loop, "absorb", killed)
    with pytest.raises(KeyboardInterrupt):
        go_on(out)
    monkeypatch.undo()
    inbox = Inbox(out)
    assert inbox.closed(0)
    entry = next(iter(inbox.entries().values()))
    changed = np.full(entry.box[2:], IGNORE, np.uint8)
    assert inbox.answer(reply(entry, label=changed), replace=True) == "late"
    go_on(out)
    answers = set_up(PEOPLE), RunFolder(out)
    with Recorder(*answers, reading=True) as recorder:
        state, *_ = recorder._load(recorder._saved(recorder.checkpoints.all()[-1]))
    m = answers[0].regions.find(entry.image, entry.region)
    np.testing.assert_array_equal(state.pool.answers[m], truth(entry))


def test_an_answer_given_twice_is_one(asked, tmp_path):
    inbox = _copy(asked, tmp_path)
    entry, other = inbox.open("ada")[:2]
    assert inbox.answer(reply(entry, seconds=1.0)) == "taken"
    assert inbox.answer(reply(entry, seconds=9.0)) == "known"
    changed = np.full(entry.box[2:], IGNORE, np.uint8)
    assert inbox.answer(reply(entry, label=changed)) == "conflicting"
    assert inbox.answer(reply(entry, label=changed), replace=True) == "taken"
    assert (inbox.collect(1)[entry.id].label == IGNORE).all()
    assert other.id in {e.id for e in inbox.open("ada")}
    with pytest.raises(BadInput, match="nobody asked 'r77-0000'"):
        inbox.answer(reply(entry)._replace(id="r77-0000"))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"label": np.zeros((3, 4), np.uint8)}, r"has the shape \(3, 4\); expected \(16, 16\)"),
        ({"label": np.full((16, 16), 7, np.uint8)}, "holds class 7; expected 0 to 2, or 255 for unsure"),
        ({"label": np.zeros((16, 16))}, "of whole numbers"),
        ({"label": None}, "expected labelled, with a mask, or skipped, without"),
        ({"seconds": float("nan")}, "took nan seconds"),
        ({"seconds": -1}, "took -1 seconds"),
        ({"seconds": True}, "took True seconds"),
        ({"by": ""}, "'' is no name of a person"),
        ({"by": "a\nb"}, "no name of a person"),
        ({"by": "a" * 81}, "no name of a person"),
    ],
)
def test_what_is_no_answer_is_refused(asked, change, line):
    inbox = Inbox(asked)
    with pytest.raises(BadInput, match=line):
        inbox.answer(reply(inbox.newest()[0])._replace(**change))
    assert [r.purchase for r in inbox.newest()][:1] == [1]


def test_a_person_is_one_person_however_the_name_is_typed(asked, tmp_path):
    inbox = copied(asked, tmp_path)
    one, two = inbox.newest()[:2]
    assert inbox.answer(reply(one, " ada ")) == "taken"
    assert inbox.answer(reply(one, "ada")) == "known"
    assert inbox.answer(reply(two, "Zo\u0065\u0308")) == "taken"
    assert inbox.answer(reply(two, "Zo\u00eb")) == "known"
    assert {r.by for _, r in Inbox(inbox.folder).replies()} == {"ada", "Zo\u00eb"}


def test_an_answer_is_taken_or_late_but_never_both(asked, tmp_path, monkeypatch):
    """A purchase is closed while an answer is under way: whoever is told `taken` counts."""
    inbox, other = copied(asked, tmp_path), Inbox(tmp_path / "run")
    entry = inbox.newest()[0]
    began, closed = threading.Event(), threading.Event()
    write = Lines.write

    def slow(self, file, text):
        if '"by"' in text:
            began.set()
            closed.wait(0.3)  # whoever closes now has to wait
        write(self, file, text)

    monkeypatch.setattr(Lines, "write", slow)
    closing = threading.Thread(target=lambda: (began.wait(5), other.close(entry.purchase), closed.set()))
    closing.start()
    outcome = inbox.answer(reply(entry))
    closing.join()
    assert outcome == "taken"
    assert entry.id in Inbox(inbox.folder).collect(entry.purchase)
    assert inbox.answer(reply(inbox._entries[entry.id], "eva")) == "late"
    assert len(Inbox(inbox.folder).by_question()[entry.id]) == 2


def test_an_answer_to_a_question_asked_a_moment_ago_is_no_damage(asked, tmp_path, monkeypatch):
    inbox = copied(asked, tmp_path)
    entry = inbox.newest()[0]
    reader, new = Inbox(inbox.folder), dataclasses.replace(entry, id="r01-0999")
    entries = Inbox.entries

    def late(self):
        """Between reading the questions and reading the answers, somebody asks, and somebody answers."""
        found = dict(entries(self))
        if self is reader and not inbox.by_question().get(new.id):
            inbox.ask([new])
            inbox.answer(reply(new))
        return found

    monkeypatch.setattr(Inbox, "entries", late)
    assert reader.by_question()[new.id]["ada"].label is not None


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" + "0" * 5000, "-1e999", "[" * 5000])
def test_numbers_beyond_all_measure_are_a_damaged_line(asked, tmp_path, number):
    inbox = copied(asked, tmp_path)
    inbox.answer(reply(inbox.newest()[0], seconds=1.5))
    path = inbox.answers.path
    path.write_text(path.read_text().replace('"seconds": 1.5', f'"seconds": {number}'))
    with pytest.raises(BadInput, match=r"line \d+ is damaged") as error:
        Inbox(inbox.folder).replies()
    assert len(str(error.value)) < 400


def test_a_damaged_line_is_named_and_half_a_line_is_cut_off(asked, tmp_path):
    inbox = _copy(asked, tmp_path)
    entry = inbox.open("ada")[0]
    with open(inbox.answers.path, "ab") as file:
        file.write(b'{"id": "r01-00')  # of a process that was killed
    assert inbox.answer(reply(entry)) == "taken"
    text = inbox.answers.path.read_text()
    assert '"r01-00{' not in text
    assert Inbox(inbox.folder).by_question()[entry.id]["ada"].label is not None
    for damage in (text.replace('"labelled"', '"labeled"', 1), text + "{}\n", text + "[1]\n", "\x00\n" + text):
        inbox.answers.path.write_text(damage)
        with pytest.raises(BadInput, match=r"answers\.jsonl: line \d+ is damaged.*put it back as it was"):
            Inbox(inbox.folder).replies()
    inbox.answers.path.write_text(text)
    read = Inbox(inbox.folder)
    read.replies()
    inbox.answers.path.write_text(text[:-30])
    with pytest.raises(BadInput, match="has become shorter"):
        read.replies()


@pytest.mark.parametrize("name", ["answers", "questions"])
@pytest.mark.parametrize("ends", ["CRLF", "CR", "CRLF of the newest line"])
def test_other_line_ends_are_refused_untouched(asked, tmp_path, name, ends):
    """How many bytes of answers a purchase was closed with is on record: what counts would be others."""
    inbox = _copy(asked, tmp_path)
    answer_all(inbox.folder)
    path = getattr(inbox, name).path
    kept = path.read_bytes()
    spoilt = {
        "CRLF": kept.replace(b"\n", b"\r\n"),
        "CR": kept.replace(b"\n", b"\r"),
        "CRLF of the newest line": kept[:-1] + b"\r\n",
    }[ends]
    path.write_bytes(spoilt)
    entry = Inbox(asked).newest()[0]
    said = rf"{name}\.jsonl has been saved with other line ends \(CRLF\): save it with LF, or put it back as it was"
    with pytest.raises(BadInput, match=said):
        Inbox(inbox.folder).answer(reply(entry, "bob"))
    if ends != "CR":
        with pytest.raises(BadInput, match=said):
            go_on(inbox.folder)
    assert path.read_bytes() == spoilt
    path.write_bytes(kept)
    assert Inbox(inbox.folder).answer(reply(entry, "bob")) == "taken"


def test_a_run_that_people_were_asked_in_is_not_deleted(asked, tmp_path):
    inbox = _copy(asked, tmp_path)
    with pytest.raises(BadInput, match="would delete"):
        next(run_loop(TINY, inbox.folder, overwrite=True))
    folder = RunFolder(inbox.folder)
    with pytest.raises(BadInput, match="would delete"):
        folder.clear()
    folder.discard()
    assert {p.name for p in inbox.folder.iterdir()} == {p.name for p in asked.iterdir()}
    inbox.answers.path.write_text("")
    with pytest.raises(BadInput, match=r"answers\.jsonl has lost \d+ bytes since the run wrote it: put it back"):
        go_on(inbox.folder)
    inbox.answers.path.unlink()
    with pytest.raises(BadInput, match=r"answers\.jsonl is missing: put it back"):
        go_on(inbox.folder)


def test_another_image_by_the_same_name_is_noticed(asked, tmp_path):
    inbox = _copy(asked, tmp_path)
    lines = inbox.questions.path.read_text().splitlines()
    wrong = json.loads(lines[-1])
    lines[-1] = json.dumps({**wrong, "pixels": "0" * 16})
    inbox.questions.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match=rf"asks something else as {wrong['id']} than the run does now \(its pixels\)"):
        go_on(inbox.folder)


def test_people_need_a_folder():
    with pytest.raises(BadInput, match="people answer in the folder of a run: give it with --out"):
        next(run_loop(PEOPLE))
    with pytest.raises(BadInput, match="overlap is 2"):
        People(overlap=2)


def _copy(asked, tmp_path):
    return Inbox(shutil.copytree(asked, tmp_path / "copy"))


@pytest.mark.slow
def test_fifty_kills_with_two_people_at_once_and_an_import_again_and_again(tmp_path, oracle):
    out, config, kills = tmp_path / "run", tiny(annotator=People(overlap=1.0)), 0
    while go_on(out, config):
        person = [sys.executable, str(Path(__file__).with_name("person.py")), str(out)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        both = [
            subprocess.Popen([*person, by, "30"], env=env, stdout=subprocess.PIPE, text=True) for by in ("ada", "eva")
        ]
        while any(p.poll() is None for p in both):
            inbox = Inbox(out)
            for _, before in list(inbox.replies()):  # what a file of answers says that is imported once more
                assert inbox.answer(before._replace(at="", seconds=7.0, source="again.json")) == "known"
            time.sleep(0.05)
        assert [p.returncode for p in both] == [0, 0]
        kills += sum(int(p.stdout.read()) for p in both)
        for p in both:
            p.stdout.close()
    assert kills >= 50
    inbox = Inbox(out)
    said = [(reply.id, reply.by) for _, reply in inbox.replies()]
    assert len(said) == len(set(said)) == 2 * len(inbox.entries()), "nothing twice, nothing lost"
    for by in ("ada", "eva"):
        lines = [line.split() for line in (out / f"acknowledged-{by}").read_text().splitlines()]
        assert {outcome for _, outcome in lines} == {"taken"}
        assert {id for id, _ in lines} <= {id for id, name in said if name == by}
    mine = [{k: v for k, v in line.items() if k != "seconds"} for line in ledger([], out)]
    assert mine == ledger([], oracle)


def test_superpixels_are_asked_by_their_pixels(tmp_path):
    pytest.importorskip("skimage", reason="superpixels need scikit-image")
    unit, out = Superpixel(12), tmp_path / "people"
    run(tiny(unit=unit, rounds=1), tmp_path / "oracle")
    config = tiny(unit=unit, rounds=1, annotator=People())
    while go_on(out, config):
        inbox = Inbox(out)
        for entry in inbox.open("ada"):
            assert 0 < entry.asked_pixels().sum() <= entry.asked_pixels().size
            label = np.where(entry.asked_pixels(), truth(entry), 1)  # what is drawn outside is nobody's to say
            inbox.answer(reply(entry, label=label.astype(np.uint8)))
            kept = inbox.by_question()[entry.id]["ada"].label
            assert (kept[~entry.asked_pixels()] == IGNORE).all()
    assert (out / "queries.jsonl").read_bytes() == (tmp_path / "oracle" / "queries.jsonl").read_bytes()
