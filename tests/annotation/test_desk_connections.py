"""Connections to the desk that are many, slow, cut or odd, and disks and processes that fail under it."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from asking import reply, truth
from runs import ROOT
from test_desk import Client, raw, text

from bal.annotation.desk import server
from bal.annotation.desk.leases import Leases
from bal.annotation.inbox import Inbox


@pytest.fixture
def client(asked, tmp_path):
    """A desk on a copy of a run that waits."""
    made = Client(shutil.copytree(asked, tmp_path / "run"))
    yield made
    made.close()


def good(client, entry):
    """What a page sends to hand in the truth, as bytes."""
    body = json.dumps({"status": "labelled", "seconds": 2.5, "mask": text(truth(entry))})
    return (
        f"PUT /api/answer/{entry.id} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nX-Desk-Token: {client.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def desk_of(client):
    return client.server.RequestHandlerClass.desk


def trickle(connection, patience=10.0):
    """A byte now and then, until the other end has hung up; whether it did."""
    connection.settimeout(0.02)
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        try:
            connection.sendall(b"X")
            if not connection.recv(2**16):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_a_head_that_trickles_ends_too(client, monkeypatch, capfd):
    monkeypatch.setattr(client.server.RequestHandlerClass, "patience", 0.2)
    for begun in (b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "):
        with socket.create_connection(("127.0.0.1", client.port)) as slow:
            slow.sendall(begun)
            assert trickle(slow), begun
    assert client.ask("/api/next")[0] == 200
    assert capfd.readouterr().err == ""


def test_who_comes_when_all_places_are_taken_is_told_and_comes_again(asked, tmp_path, capfd):
    made, by = Client(shutil.copytree(asked, tmp_path / "run")), socket.create_connection
    try:
        room = threading.BoundedSemaphore(3)
        made.server.room = room
        made.server.RequestHandlerClass.linger = 0.1
        taken = [by(("127.0.0.1", made.port), timeout=10) for _ in range(3)]
        while room.acquire(blocking=False):  # until the three have their threads
            room.release()
            time.sleep(0.01)
        with by(("127.0.0.1", made.port), timeout=10) as more:
            assert more.recv(100).startswith(b"HTTP/1.1 503 ")
        for connection in taken:
            connection.close()
        assert room.acquire(timeout=10), "their places are free again"
        room.release()
        assert made.ask("/api/next")[0] == 200
        assert capfd.readouterr().err == ""
    finally:
        made.close()


def test_who_cuts_the_line_says_nothing_in_the_terminal(client, capfd):
    sent = good(client, desk_of(client).inbox.newest()[0])
    for length in (0, 1, 20, 200, len(sent) - 1, len(sent)):
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as cut:
            cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            cut.sendall(sent[:length])
    assert client.ask("/api/next")[0] == 200
    assert capfd.readouterr().err == ""


def test_an_error_of_ours_is_a_line(client, monkeypatch, capfd):
    monkeypatch.setattr(server.Desk, "next", lambda self: {}["\n"])
    status, _, body = client.ask("/api/next")
    assert (status, json.loads(body)) == (500, {"error": "the desk has failed: KeyError"})
    said = capfd.readouterr().err
    assert said.startswith("bal: a request has failed: KeyError")
    assert said.count("\n") == 1


def test_a_body_that_is_too_large_is_refused_in_so_many_words(client):
    """Who still sends 17 MiB when it is refused hears why, not that the connection was reset."""
    entry = desk_of(client).inbox.newest()[0]
    status, _, body = client.ask(f"/api/answer/{entry.id}", "PUT", b" " * (17 * 2**20))
    assert (status, json.loads(body)) == (413, {"error": "an answer of more than 16 MiB"})
    assert client.ask("/api/next")[0] == 200


def test_a_body_where_none_belongs_is_not_the_next_request(client):
    host = f"Host: 127.0.0.1:{client.port}\r\nX-Desk-Token: {client.token}\r\n"
    hidden = f"GET /api/next HTTP/1.1\r\n{host}\r\n"
    for says in (f"Content-Length: {len(hidden)}", "Transfer-Encoding: chunked"):
        found = raw(client.port, f"GET /icon.svg HTTP/1.1\r\n{host}{says}\r\n\r\n{hidden}".encode())
        assert found.count(b"HTTP/1.1 200") == 1
    assert not list((desk_of(client).inbox.folder).glob("held/*.json"))


ONE_LINE = (b"FOO / HTTP/1.1\r\n\r\n", b"GET / HTTP/x\r\n\r\n", b"GET /\r\n\r\n", b"POST /\r\n\r\n", b"a b c d\r\n\r\n")


@pytest.mark.parametrize("sent", ONE_LINE)
def test_what_the_parser_refuses_is_a_line_too(client, sent):
    head, _, body = raw(client.port, sent).partition(b"\r\n\r\n")
    assert head.split()[1][:1] == b"4"
    assert list(json.loads(body)) == ["error"]


# Leases


def test_one_of_many_takes_a_lease_that_has_ended(asked, tmp_path):
    entry, clock = Inbox(asked).newest()[0], [1000.0]
    assert Leases(tmp_path, lambda: clock[0]).hold(entry, "who left")
    clock[0] += 700
    start, got = threading.Barrier(8), []

    def take(by):
        start.wait()
        if Leases(tmp_path, lambda: clock[0]).hold(entry, by):
            got.append(by)

    threads = [threading.Thread(target=take, args=(f"p{k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


@pytest.mark.parametrize(
    "lease", ['{"by": "eva", "until": 1e999}', '{"by": [], "until": 1500}', "[" * 9999, "9" * 5000]
)
def test_a_lease_that_nobody_can_have_is_none(asked, tmp_path, lease):
    entry, held = Inbox(asked).newest()[0], Leases(tmp_path, lambda: 1000.0)
    held.folder.mkdir()
    (held.folder / f"{entry.id}.json").write_text(lease)
    assert held.hold(entry, "ada")
    assert held.holder(entry) == "ada"


def test_a_folder_in_the_place_of_a_lease_is_named(client):
    first = client.get("/api/next")["question"]["id"]
    path = desk_of(client).inbox.folder / "held" / f"{first}.json"
    path.unlink()
    path.mkdir()
    status, _, body = client.ask("/api/next")
    assert (status, json.loads(body)["error"]) == (507, f"not saved: Is a directory: {first}.json")


# Disks


def test_a_disk_that_is_full_in_the_middle_of_a_line(client):
    """The system writes ten bytes and no more: they are taken back, and the same answer is taken once there is room."""
    inbox = desk_of(client).inbox
    entry, path = inbox.newest()[0], inbox.answers.path
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = {"status": "labelled", "seconds": 1.0, "mask": text(truth(entry))}
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        status, _, body = client.put(entry.id, **kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, json.loads(body)["error"]) == (507, "not saved: File too large: answers.jsonl")
    assert path.read_bytes() == before
    assert json.loads(client.put(entry.id, **kept)[2])["outcome"] == "taken"
    assert path.read_bytes().startswith(before)


def test_an_answer_is_kept_where_its_lease_cannot_be_given_back(client, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Leases, "release", full)
    entry = desk_of(client).inbox.newest()[0]
    assert json.loads(client.put(entry.id, status="skipped", seconds=1, mask=None)[2])["outcome"] == "taken"


# Lines that somebody has changed

CHANGES = {
    "id": ["x", "r1-0", 3, None, "r01-0000\n"],
    "size": [[0, 0], [1], ["a", "b"], [1e400, 2], 7],
    "box": [[0, 0, 0, 0], [0, 0, 9999, 9999], [-1, 0, 16, 16], [0.5, 0, 16, 16], [1, 2, 3]],
    "view": [[0, 0, 1e9, 4], [0, 0, 10**400, 4], None],
    "for": [[], {"a": "b"}, 3],
    "classes": [[1, 2], 3],
    "answers": [0, -1, "2", 10**30, True],
    "price": ["1", None],
    "score": ["1", []],
    "mask": ["%%%", 3, "AAAA"],
    "image": [3, None],
    "policy": [None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in CHANGES.items() for value in values])
def test_a_changed_question_is_a_damaged_line(asked, tmp_path, name, value):
    inbox = Inbox(shutil.copytree(asked, tmp_path / "run"))
    lines = inbox.questions.path.read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {name: value})
    inbox.questions.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"questions\.jsonl: line 1 is damaged") as error:
        inbox.newest()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_an_end_of_a_purchase_beyond_all_measure_is_a_damaged_line(asked, tmp_path):
    inbox = Inbox(shutil.copytree(asked, tmp_path / "run"))
    inbox.questions.append('{"closed": 1e400, "answers": 3}\n')
    with pytest.raises(ValueError, match=r"line \d+ is damaged"):
        inbox.entries()


@pytest.mark.parametrize("change", [{"touched": -1}, {"touched": "3"}, {"touched": 1e9}, {"at": 3}, {"from": None}])
def test_a_changed_answer_is_a_damaged_line(asked, tmp_path, change):
    inbox = Inbox(shutil.copytree(asked, tmp_path / "run"))
    inbox.answer(reply(inbox.newest()[0]))
    *rest, last = inbox.answers.path.read_text().splitlines()
    inbox.answers.path.write_text("\n".join([*rest, json.dumps(json.loads(last) | change)]) + "\n")
    with pytest.raises(ValueError, match=r"answers\.jsonl: line \d+ is damaged"):
        Inbox(inbox.folder).replies()


# Anything


@pytest.mark.parametrize("times", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_anything_may_come(client, times, capfd, monkeypatch):
    """Bytes changed, left out, doubled and cut, pieces in pieces, and lines cut: no trace in the terminal."""
    handler = client.server.RequestHandlerClass
    monkeypatch.setattr(handler, "patience", 0.3)
    monkeypatch.setattr(handler, "linger", 0.1)
    rng, entry = random.Random(times), desk_of(client).inbox.newest()[0]
    put, head = good(client, entry), f"Host: 127.0.0.1:{client.port}\r\nX-Desk-Token: {client.token}\r\n\r\n"
    kinds = [put] + [f"{m} {p} HTTP/1.1\r\n{head}".encode() for m, p in (("GET", "/api/next"), ("HEAD", "/"))]
    odd = (b"\r\n", b"\x00", b"\xff", b"%00", b"[", b"HTTP/2.0", b"9" * 5000, b"Content-Length: 7\r\n", b"{", b"1e999")
    for _ in range(times):
        sent = bytearray(rng.choice(kinds))
        for _ in range(rng.randint(1, 4)):
            at, many = rng.randrange(len(sent) + 1), rng.randint(1, 40)
            what = rng.choice(("flip", "drop", "double", "odd", "cut"))
            if what == "drop":
                del sent[at : at + many]
            elif what == "cut":
                del sent[at:]
            else:
                new = {"flip": rng.randbytes(1), "double": sent[at : at + many], "odd": rng.choice(odd)}[what]
                sent[at : at + (what == "flip")] = new
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            if rng.random() < 0.2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(sent)
            if rng.random() < 0.6:
                connection.shutdown(socket.SHUT_WR)
                try:
                    while connection.recv(2**16):
                        pass
                except ConnectionError:
                    pass
    assert client.ask("/api/next")[0] == 200
    assert capfd.readouterr().err == ""
    assert json.loads(client.put(entry.id, status="skipped", seconds=1, mask=None)[2])["outcome"] in ("taken", "known")
    Inbox(desk_of(client).inbox.folder).replies()


SLOWLY = """
import os, sys, time
from pathlib import Path
from bal.annotation.desk import server
fsync = os.fsync
os.fsync = lambda handle: (time.sleep(0.02), fsync(handle))[1]
running, address = server.serve(Path(sys.argv[1]), sys.argv[2])
print(address, flush=True)
running.serve_forever(0.02)
"""


def ask(port, token, method, path, body=None):
    """What a desk says, on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body, {"X-Desk-Token": token, "Content-Type": "application/json"})
        with connection.getresponse() as response:
            return json.loads(response.read())


def sit(out, by, kills, said, rng):
    """Answers all that is open at a desk that is killed again and again while it writes; `said` gets what it took."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kill in [True] * kills + [False]:
        desk = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, str(out), by], env=env, stdout=subprocess.PIPE, text=True
        )
        address, _, token = desk.stdout.readline().strip().partition("/#")
        port = int(address.rpartition(":")[2])
        timer = threading.Timer(rng.uniform(0.005, 0.12), os.kill, (desk.pid, signal.SIGKILL))
        if kill:
            timer.start()
        try:
            while question := ask(port, token, "GET", "/api/next")["question"]:
                mask = text(np.full(question["inside"][2:], len(said) % 3))
                body = json.dumps({"status": "labelled", "seconds": 1, "mask": mask})
                if ask(port, token, "PUT", f"/api/answer/{question['id']}", body)["outcome"] == "taken":
                    said[question["id"]] = mask
        except (OSError, http.client.HTTPException, ValueError):
            pass  # killed
        timer.cancel()
        desk.kill()
        desk.wait()
        desk.stdout.close()


@pytest.mark.slow
def test_desks_of_two_people_are_killed_while_they_write(asked, tmp_path):
    """What was acknowledged is on disk, whole, and as it was said."""
    out: Path = shutil.copytree(asked, tmp_path / "run")
    said = {"ada": {}, "eva": {}}
    both = [threading.Thread(target=sit, args=(out, by, 6, said[by], random.Random(by))) for by in said]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    kept = Inbox(out).by_question()
    for by, mine in said.items():
        assert all(text(kept[id][by].label) == mask for id, mask in mine.items())
    assert said["ada"] or said["eva"]
