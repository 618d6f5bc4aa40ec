"""Label Studio as an annotator, against a server that answers as it does: what is sent, taken, and never lost."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from asking import go_on, reply, truth
from painting import drawn, of_view
from runs import FLAGS, tiny

from bal import BadInput, loop
from bal.annotation.annotators import LabelStudio, _rest
from bal.annotation.inbox import Inbox
from bal.run import main
from bal.types import IGNORE

pytest.importorskip("httpx", reason="the extra label-studio is not installed")


def paint(studio, entry, label="truth", **how):
    """What a person submits: the truth, unless another label [height, width], or None for skipped, is given."""
    label = truth(entry) if isinstance(label, str) else label
    studio.annotate(entry.id, None if label is None else drawn(of_view(entry, label, beyond=1)), **how)


@pytest.fixture
def config(studio):
    return tiny(annotator=LabelStudio(studio.url))


def test_people_in_label_studio_who_know_the_truth_buy_what_the_oracle_buys(tmp_path, studio, config, oracle):
    out, turn = tmp_path / "run", 0
    while waiting := go_on(out, config):
        assert f"wait for people: {studio.url}, project 'bal: run'" in str(waiting)
        inbox = Inbox(out)
        assert [t["data"]["id"] for t in studio.tasks][-waiting.asked :] == [e.id for e in inbox.newest()], "our order"
        for entry in inbox.open():
            paint(studio, entry, seconds=2.5)
        turn += 1
    assert turn == 3
    mine = (out / "queries.jsonl").read_text()
    assert mine.count(', "seconds": 2.5') == len(mine.splitlines())
    assert mine.replace(', "seconds": 2.5', "") == (oracle / "queries.jsonl").read_text()
    said = [r for _, r in Inbox(out).replies()]
    assert {(r.by, r.source) for r in said} == {("1", "label-studio")}
    assert len(studio.projects) == 1
    assert len(studio.tasks) == len(Inbox(out).entries())


def test_a_prediction_goes_out_but_for_blind_questions(tmp_path, studio, config):
    out = tmp_path / "run"
    go_on(out, config)
    for entry in Inbox(out).open():
        paint(studio, entry)
    go_on(out, config)
    entries = Inbox(out).entries()
    assert {entry.policy for entry in entries.values()} >= {"audit", "steered", "start"}
    for entry in entries.values():
        task = studio.task(entry.id)
        assert ("predictions" in task) != entry.blind
        assert entry.policy not in json.dumps(task)
        assert entry.image not in json.dumps(task)
        assert task["data"].keys() == {"id", "of", "image", "box"}
    (project,) = studio.projects
    assert project["skip_queue"] == "IGNORE_SKIPPED"
    assert project["enable_empty_annotation"] is True
    assert 'value="curve_1"' in project["label_config"]


def test_what_is_half_sent_is_not_sent_twice(tmp_path, studio, config, monkeypatch):
    def break_the_line(handler, method, path):
        """The third batch is taken, and nobody hears of it."""
        if path.endswith("/import") and len(studio.tasks) == 6:
            handler.send = lambda *rest: handler.connection.close()

    monkeypatch.setattr(_rest, "BATCH", 3)
    studio.spoil = break_the_line
    with pytest.raises(BadInput, match=r"does not answer at .*; nothing is lost: start it and --resume$"):
        go_on(tmp_path / "run", config)
    assert len(studio.tasks) == 9
    studio.spoil = None
    assert go_on(tmp_path / "run", config).asked == 10
    assert [t["data"]["id"] for t in studio.tasks] == [e.id for e in Inbox(tmp_path / "run").newest()]
    assert [len(body) for _, path, _, body in studio.log if path.endswith("/import")] == [3, 3, 3, 1]


def test_a_project_that_was_made_and_not_heard_of_is_found_again(tmp_path, studio, config):
    studio.projects += [{"id": 1 + k, "title": "bal: run", "description": None} for k in range(9)]
    studio.spoil = lambda handler, method, path: (
        setattr(handler, "send", lambda *rest: handler.connection.close()) if method == "POST" else None
    )
    with pytest.raises(BadInput, match="does not answer"):
        go_on(tmp_path / "run", config)
    studio.spoil = None
    go_on(tmp_path / "run", config)
    assert len(studio.projects) == 10, "one is made, though others have its title"
    assert {t["project"] for t in studio.tasks} == {10}
    go_on(tmp_path / "other", config)
    assert len(studio.projects) == 11, "another run has another"


def test_answers_come_in_parts_twice_and_corrected(tmp_path, studio, config):
    out = tmp_path / "run"
    go_on(out, config)
    inbox = Inbox(out)
    one, two, three, *rest = inbox.open()
    paint(studio, one)
    paint(studio, two, label=None)
    assert go_on(out, config).answered == 2
    assert inbox.by_question()[two.id]["1"].label is None
    size = inbox.answers.size
    assert go_on(out, config).answered == 2
    assert inbox.answers.size == size, "collected again, it changes nothing"
    changed = np.full(one.box[2:], IGNORE, np.uint8)
    paint(studio, one, label=changed)
    inbox.answer(reply(three, "1", truth(three)))
    paint(studio, three, label=changed)
    go_on(out, config)
    assert (inbox.by_question()[one.id]["1"].label == IGNORE).all(), "who corrects an annotation has said so"
    np.testing.assert_array_equal(inbox.by_question()[three.id]["1"].label, truth(three))
    studio.task(one.id)["annotations"].append(
        {**studio.task(one.id)["annotations"][0], "result": [], "updated_at": "0"}
    )
    assert go_on(out, config).answered == 3, "of several by one person the newest counts"
    assert (inbox.by_question()[one.id]["1"].label == IGNORE).all()
    assert go_on(out, config, close=True).purchase == 1
    assert {t["data"]["id"] for t in studio.tasks if t["data"]["id"].startswith("r01")} == {e.id for e in inbox.open()}
    paint(studio, rest[0])
    go_on(out, config)
    assert [r.id for r in inbox.late()] == [rest[0].id], "what comes late is kept"


def test_without_the_server_a_run_is_answered_elsewhere_and_goes_on(tmp_path, studio, config):
    out = tmp_path / "run"
    studio.stop()
    with pytest.raises(BadInput, match="does not answer at"):
        go_on(out, config)
    inbox = Inbox(out)
    assert len(inbox.open()) == 10
    for entry in inbox.open():
        inbox.answer(reply(entry))
    with pytest.raises(BadInput, match="does not answer"):
        go_on(out, config)
    assert {e.purchase for e in inbox.open()} == {1}, "what was answered is paid, and more is asked"
    studio.start()
    assert go_on(out, config).purchase == 1
    assert len(studio.tasks) == len(inbox.open())
    studio.tasks.clear()
    studio.projects.clear()
    go_on(out, config)
    assert len(studio.tasks) == len(inbox.open()), "a server that has lost everything is told again"


def test_a_purchase_that_was_closed_needs_no_server(tmp_path, studio, config, monkeypatch):
    out = tmp_path / "run"
    go_on(out, config)
    for entry in Inbox(out).open():
        paint(studio, entry)

    def killed(*rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "absorb", killed)
    with pytest.raises(KeyboardInterrupt):
        go_on(out, config)
    monkeypatch.undo()
    studio.stop()
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "x")
    with pytest.raises(BadInput, match="does not answer"):
        go_on(out, config)
    assert Inbox(out).newest()[0].purchase == 1


def test_a_copy_of_a_run_does_not_take_answers_to_other_questions(tmp_path, studio, config):
    out = tmp_path / "run"
    go_on(out, config)
    studio.tasks[0]["data"]["of"] = "something else"
    with pytest.raises(BadInput, match=r"task 1: r00-\d{4} is a question of another run, or of a copy of this one"):
        go_on(out, config)
    studio.tasks[0]["data"] = {"image": "somebody's own"}
    go_on(out, config)
    assert len(studio.tasks) == 11, "tasks that are none of ours are left alone"


def test_a_personal_access_token_buys_others_which_expire(tmp_path, studio, config, monkeypatch):
    studio.personal, studio.token = True, "aaaa.bbbb.cccc"
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.token)
    expired = []

    def expire(handler, method, path):
        if path.endswith("/import") and not expired:
            expired.append(path)
            handler.send(401, {"detail": "Token is expired"})
            return True
        return None

    studio.spoil = expire
    assert go_on(tmp_path / "run", config).asked == 10
    assert len(studio.tasks) == 10
    assert expired
    assert not any(studio.token in str(entry) for entry in studio.log if entry[1] != "/api/token/refresh/")


PROBLEMS = [
    ((401, {"detail": "Invalid token."}), r"refuses what \$LABEL_STUDIO_API_KEY holds \(401 to GET /api/projects/\)"),
    ((403, {}), r"refuses what \$LABEL_STUDIO_API_KEY holds \(403"),
    ((500, b"database is locked\n  at line 1"), r"with 500 \(database is locked at line 1\); nothing is lost"),
    ((200, b"<html>another server</html>"), r"does not answer as Label Studio does \(GET /api/projects/\); is the"),
    ((200, []), "does not answer as Label Studio does"),
    ((200, {"results": {}}), r"does not answer as Label Studio does \(results\)"),
    ((200, {"results": [1]}), r"does not answer as Label Studio does \(results\)"),
    ((302, {}), "with 302"),
    ((404, {"detail": "Not found."}), "with 404"),
]


@pytest.mark.parametrize(("sent", "says"), PROBLEMS, ids=[str(k) for k in range(len(PROBLEMS))])
def test_what_goes_wrong_is_said_in_a_line(tmp_path, studio, config, sent, says):
    studio.spoil = lambda handler, method, path: handler.send(*sent) or True
    with pytest.raises(BadInput, match=says) as error:
        go_on(tmp_path / "run", config)
    assert "\n" not in str(error.value)
    assert studio.token not in str(error.value)
    studio.spoil = None
    assert go_on(tmp_path / "run", config).asked == 10


def test_a_server_that_hangs_is_not_waited_for_for_ever(tmp_path, studio, config, monkeypatch):
    monkeypatch.setattr(_rest, "ANSWER", 0.2)
    studio.spoil = lambda handler, method, path: time.sleep(0.6)
    with pytest.raises(BadInput, match=r"does not answer at .* \(ReadTimeout"):
        go_on(tmp_path / "run", config)


def test_an_annotation_that_is_damaged_takes_nothing(tmp_path, studio, config):
    out = tmp_path / "run"
    go_on(out, config)
    one, two, *_ = Inbox(out).open()
    paint(studio, one)
    paint(studio, two, label=np.ones(two.box[2:], np.uint8))
    studio.task(two.id)["annotations"][0]["result"][0]["value"]["bitmasklabels"] = ["curve_9"]
    with pytest.raises(BadInput, match=rf"Label Studio at .*: {two.id}: there is no class 'curve_9'; the classes are"):
        go_on(out, config)
    assert Inbox(out).replies() == []
    studio.task(two.id)["annotations"][0]["result"][0]["value"]["bitmasklabels"] = ["curve_1"]
    assert go_on(out, config).answered == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "127.0.0.1:8080"}, r"url is '127\.0\.0\.1:8080'; expected an address such as http://"),
        ({"url": "ftp://x"}, "expected an address"),
        ({"url": "http://"}, "expected an address"),
        ({"url": "http://x:99999999"}, "expected an address"),
        ({"url": "http://[x"}, "expected an address"),
        ({"url": "http://x y"}, "expected an address"),
        ({"url": "http://x?token=1"}, "expected an address"),
        ({"url": "http://me:secret@x"}, "holds a name or a password, which would be written down"),
        ({"token": "0123456789abcdef" * 2 + "abcdefab"}, "token names an environment variable"),
        ({"token": "abcdef0123456789abcdef0123456789abcdef01"}, "token names an environment variable"),
        ({"token": "aaaa.bbbb.cccc"}, "token names an environment variable"),
        ({"token": ""}, "token names an environment variable"),
        ({"title": " "}, "expected up to 50 printable letters"),
        ({"title": "a" * 51}, "expected up to 50 printable letters"),
    ],
)
def test_settings_that_cannot_be(change, says):
    with pytest.raises(BadInput, match=says) as error:
        LabelStudio(**change)
    assert not any(secret in str(error.value) for secret in ("secret", "0123456789", "bbbb"))


def test_without_httpx_it_says_what_to_install(tmp_path, config, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(BadInput, match=r"needs httpx; install it with: pip install 'bal\[label-studio\]'"):
        go_on(tmp_path / "run", config)


@pytest.mark.parametrize("token", [None, "", "  ", "naïve", "a\tb"])
def test_a_token_that_is_missing_is_asked_for(tmp_path, config, monkeypatch, token):
    if token is not None:
        monkeypatch.setenv("SOMEWHERE_ELSE", token)
    config = replace(config, annotator=replace(config.annotator, token="SOMEWHERE_ELSE"))
    with pytest.raises(BadInput, match=r"\$SOMEWHERE_ELSE holds no access token; copy one from Account & Settings"):
        go_on(tmp_path / "run", config)


def test_no_token_is_written_down(tmp_path, studio, config):
    go_on(tmp_path / "run", config)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.name == "config.yaml" and b"LABEL_STUDIO_API_KEY" in path.read_bytes() for path in files)
    assert not any(studio.token.encode() in path.read_bytes() for path in files)


def test_the_command_line(tmp_path, studio, capsys):
    out = str(tmp_path / "run")
    flags = [*FLAGS, "--acq", "bald", "--annotator", "label_studio", "--annotator.url", studio.url, "--out", out]
    assert main(flags) == 3
    assert f"wait for people: {studio.url}, project 'bal: run'" in capsys.readouterr().err
    studio.stop()
    assert main(["--resume", "--out", out]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"bal: error: Label Studio does not answer at {studio.url} (ConnectError")
    assert error.count("\n") == 1
    studio.start()
    assert main(["--resume", "--out", out]) == 3
    assert len(studio.tasks) == 10


def test_large_tasks_are_sent_in_several_parts():
    assert [len(part) for part in _rest._parts(["x" * 10] * 120)] == [50, 50, 20]
    assert [len(part) for part in _rest._parts(["x" * (_rest.BYTES // 2)] * 5)] == [2, 2, 1]
    assert [len(part) for part in _rest._parts(["x" * (_rest.BYTES + 1)] * 2)] == [1, 1]
    assert list(_rest._parts([])) == []
