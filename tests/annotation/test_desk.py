"""The desk's server: what it gives, what it keeps, and whom it refuses."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import io
import json
import random
import re
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from asking import truth

from bal import desk as door
from bal.annotation import views
from bal.annotation.desk import leases, server
from bal.annotation.desk.leases import SECONDS, Leases
from bal.annotation.inbox import Inbox
from bal.types import BadInput


class Client:
    """Somebody who talks to a desk; by default who may."""

    def __init__(self, folder, by="ada"):
        self.server, self.address = server.serve(folder, by)
        self.port, self.token = self.server.server_port, self.address.partition("#")[2]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def ask(self, path, method="GET", body=None, **headers):
        """Status, headers and body; a header of None is left out."""
        sent = {"Host": f"127.0.0.1:{self.port}", "X-Desk-Token": self.token}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body) if path.startswith(("/api/next", "/api/question")) else body

    def put(self, id, **body):
        return self.ask(f"/api/answer/{id}", "PUT", body)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def client(asked, tmp_path):
    """A desk on a copy of that run."""
    made = Client(shutil.copytree(asked, tmp_path / "run"))
    yield made
    made.close()


def text(label):
    return base64.b64encode(label.astype(np.uint8).tobytes()).decode()


def test_a_question_its_picture_and_what_the_model_would_draw(client):
    inbox = client.server.RequestHandlerClass.desk.inbox
    for entry in inbox.newest():
        found = client.get(f"/api/question/{entry.id}")["question"]
        assert (found["id"], found["view"], found["inside"]) == (entry.id, list(entry.view[2:]), list(entry.inside))
        assert found["prefill"] != entry.blind
        assert "why" not in found
        assert "score" not in json.dumps(found)
        assert entry.policy not in json.dumps(found)
        assert client.get(f"/api/view/{entry.id}")[:8] == b"\x89PNG\r\n\x1a\n"
        status, _, body = client.ask(f"/api/prefill/{entry.id}")
        if entry.blind:
            assert status == 404
        else:
            drawn = views.prefill(inbox.folder, entry)
            assert body == drawn.label.tobytes() + drawn.probability.tobytes()


def test_an_answer_is_on_disk_when_it_is_acknowledged_and_says_why_it_was_asked(client):
    inbox = client.server.RequestHandlerClass.desk.inbox
    first = client.get("/api/next")
    entry = inbox.entries()[first["question"]["id"]]
    status, _, body = client.put(entry.id, status="labelled", seconds=3.5, mask=text(truth(entry)))
    told = json.loads(body)
    assert (status, told["outcome"]) == (200, "taken")
    assert told["question"]["why"]["policy"] == entry.policy
    assert told["progress"]["open"] == first["progress"]["open"] - 1
    kept = Inbox(inbox.folder).by_question()[entry.id]["ada"]
    np.testing.assert_array_equal(kept.label, truth(entry))
    assert (kept.seconds, kept.source) == (3.5, "desk")
    assert client.get("/api/next")["question"]["id"] != entry.id
    again = client.get(f"/api/question/{entry.id}")["question"]["answer"]
    assert again == {"status": "labelled", "seconds": 3.5, "mask": text(truth(entry))}
    assert json.loads(client.put(entry.id, status="skipped", seconds=5, mask=None)[2])["outcome"] == "taken"
    assert Inbox(inbox.folder).by_question()[entry.id]["ada"].label is None, "the newest counts"


def test_until_all_is_answered(client):
    seen = set()
    while question := client.get("/api/next")["question"]:
        assert question["id"] not in seen
        seen.add(question["id"])
        assert client.put(question["id"], status="skipped", seconds=None, mask=None)[0] == 200
    assert len(seen) == 10
    progress = client.get("/api/next")["progress"]
    assert (progress["open"], progress["mine"]) == (0, 10)
    assert progress["resume"].startswith("python -m bal.run --resume --out ")


def test_two_desks_never_show_the_same_question(client):
    other = Client(client.server.RequestHandlerClass.desk.inbox.folder, "eva")
    try:
        shown = [(c, c.get("/api/next")["question"]["id"]) for c in (client, other) for _ in range(1)]
        assert len({id for _, id in shown}) == 2
        for _ in range(4):
            for who in (client, other):
                question = who.get("/api/next")["question"]
                assert who.put(question["id"], status="skipped", seconds=1, mask=None)[0] == 200
        inbox = Inbox(other.server.RequestHandlerClass.desk.inbox.folder)
        said = [reply.id for _, reply in inbox.replies() if reply.id.startswith("r01")]
        assert len(said) == len(set(said)) == 8
    finally:
        other.close()


def test_leases_end(asked, tmp_path):
    entry, clock = Inbox(asked).newest()[0], [1000.0]
    one, two = (Leases(tmp_path, lambda: clock[0]) for _ in range(2))
    assert one.hold(entry, "ada")
    assert one.hold(entry, "ada")
    assert not two.hold(entry, "eva")
    clock[0] += SECONDS + 1
    assert two.hold(entry, "eva")
    assert not one.hold(entry, "ada")
    two.release(entry, "eva")
    assert one.hold(entry, "ada")
    (tmp_path / "held" / f"{entry.id}.json").write_text("not ours")
    assert two.hold(entry, "eva"), "a damaged lease is none"
    assert leases.SECONDS == 600


# Attacks


REFUSED = {
    "another host": (421, {"Host": "evil.example"}),
    "another host on our port": (421, {"Host": "evil.example:PORT"}),
    "no host": (400, {"Host": None}),
    "no token": (403, {"X_Desk_Token": None}),
    "a wrong token": (403, {"X_Desk_Token": "guess"}),
    "a token of other letters": (403, {"X_Desk_Token": "\u00fc"}),
    "a page of another site": (403, {"Origin": "https://evil.example"}),
    "a page without an origin": (403, {"Origin": "null"}),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_who_is_refused(client, attack):
    status, headers = REFUSED[attack]
    headers = {k: v.replace("PORT", str(client.port)) if v else v for k, v in headers.items()}
    for path, method, body in (("/api/next", "GET", None), ("/api/answer/r01-0000", "PUT", {"status": "skipped"})):
        if attack == "no host":
            assert client.ask(path, method, body, **headers)[0] in (400, 421)
        else:
            assert client.ask(path, method, body, **headers)[0] == status
    assert not [r for _, r in client.server.RequestHandlerClass.desk.inbox.replies() if r.id.startswith("r01")]


PATHS = [
    "/api/view/../../config.yaml",
    "/api/view/..%2f..%2fconfig.yaml",
    "/api/view/%2e%2e%2fconfig.yaml",
    "/config.yaml",
]
PATHS += ["/../config.yaml", "/server.py", "/api/view/r01-0000.png", "/api/view/", "/api", "/api/question/r99-0000"]
PATHS += ["/api/view/r01-0000%00", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/api/prefill/../views/r01-0000"]


@pytest.mark.parametrize("path", PATHS)
def test_ids_are_no_paths(client, path):
    status, _, body = client.ask(path)
    assert status == 404
    assert b"acq:" not in body
    assert client.ask(path.replace("view", "answer"), "PUT", {"status": "skipped"})[0] == 404


def test_bodies_that_are_refused(client):
    entry = next(iter(client.server.RequestHandlerClass.desk.inbox.newest()))
    good = {"status": "labelled", "seconds": 1.0, "mask": text(truth(entry))}
    bodies = {
        "NaN": (400, json.dumps({**good, "seconds": float("nan")}).encode()),
        "infinity": (400, json.dumps({**good, "seconds": float("inf")}).encode()),
        "negative": (422, {**good, "seconds": -1}),
        "text": (422, {**good, "seconds": "3"}),
        "truth": (422, {**good, "seconds": True}),
        "a wrong size": (400, {**good, "mask": text(np.zeros(7))}),
        "a class that is none": (422, {**good, "mask": text(np.full(entry.box[2:], 9))}),
        "no base64": (400, {**good, "mask": "%%%"}),
        "no mask": (400, {**good, "mask": None}),
        "a mask that is no text": (400, {**good, "mask": {"a": 1}}),
        "a skipped mask": (422, {**good, "status": "skippd"}),
        "a status that is none": (422, {**good, "status": {"$gt": ""}}),
        "more than is asked": (400, {**good, "by": "eva"}),
        "what only the inbox counts": (400, {**good, "touched": 3}),
        "a number that no float can hold": (422, b'{"status": "skipped", "seconds": 1' + b"0" * 400 + b"}"),
        "a number of five thousand digits": (400, b'{"status": "skipped", "seconds": 1' + b"0" * 5000 + b"}"),
        "a list": (400, [good]),
        "no JSON": (400, b"{"),
        "deep": (400, b"[" * 100_000),
        "no text": (400, b"\xff\xfe"),
    }
    for what, (status, body) in bodies.items():
        assert client.ask(f"/api/answer/{entry.id}", "PUT", body)[0] == status, what
    kinds = {"text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415}
    for kind, status in kinds.items():
        assert client.ask(f"/api/answer/{entry.id}", "PUT", good, Content_Type=kind)[0] == status
    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        assert client.ask(f"/api/answer/{entry.id}", method, good)[0] == 405
    assert client.ask(f"/api/answer/{entry.id}", "PUT", good, Content_Length=str(17 * 2**20))[0] == 413
    assert client.ask(f"/api/answer/{entry.id}", "PUT", good, Content_Length="-1")[0] == 411
    assert client.ask(f"/api/answer/{entry.id}", "PUT", good, Transfer_Encoding="chunked")[0] == 411
    for length, status in (("\xb2", 411), ("9" * 5000, 413), ("1e3", 411), ("", 411), ("+7", 411)):
        assert client.ask(f"/api/answer/{entry.id}", "PUT", good, Content_Length=length)[0] == status
    assert entry.id not in client.server.RequestHandlerClass.desk.inbox.by_question()
    assert client.ask(f"/api/answer/{entry.id}", "PUT", good)[0] == 200


def raw(port, sent, patience=5.0):
    """What is answered to some bytes, and that the connection ends or waits for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(2**16):
            found += part
        return found


def test_a_body_that_does_not_come_keeps_nobody_waiting(client, monkeypatch, capfd):
    """One byte of five hundred, and then nothing, or a byte now and then."""
    monkeypatch.setattr(client.server.RequestHandlerClass, "patience", 0.3)
    entry = client.server.RequestHandlerClass.desk.inbox.newest()[0]
    head = (
        f"PUT /api/answer/{entry.id} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nX-Desk-Token: {client.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    ).encode()
    slow = socket.create_connection(("127.0.0.1", client.port), timeout=10)
    slow.sendall(head + b"{")
    assert client.ask("/api/next")[0] == 200, "while the other is waited for"
    for _ in range(20):
        try:
            slow.sendall(b" ")
        except ConnectionError:
            break
        time.sleep(0.05)
    else:
        assert b"408" in slow.recv(2**16)
    slow.close()
    assert b"408" in raw(client.port, head + b"{"), "who hangs up is not waited for either"
    assert client.ask("/api/next")[0] == 200
    assert capfd.readouterr().err == ""


ODD = [
    b"GET http://[/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: HOST\r\nX-Desk-Token: TOKEN\r\n\r\n",
    b"GET /api/view/%ff%00 HTTP/1.1\r\nHost: HOST\r\nX-Desk-Token: TOKEN\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"PUT /api/answer/r00-0000 HTTP/1.1\r\nHost: HOST\r\nX-Desk-Token: \xff\r\nContent-Length: 3\r\n\r\nabc",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"",
    b"\r\n\r\n",
    b"GET",
]


@pytest.mark.parametrize("request_", ODD, ids=range(len(ODD)))
def test_odd_requests_are_answered_or_hung_up_on(client, request_, capfd):
    sent = request_.replace(b"HOST", f"127.0.0.1:{client.port}".encode()).replace(b"TOKEN", client.token.encode())
    answered = raw(client.port, sent)
    assert b" 200 " not in answered.partition(b"\r\n")[0]
    assert client.ask("/")[0] == 200
    assert capfd.readouterr().err == "", "the terminal belongs to the person"


def test_mutated_requests_harm_nobody(client, capfd):
    """Bytes changed, left out and doubled, in what a page really sends."""
    rng = random.Random(0)
    entry = client.server.RequestHandlerClass.desk.inbox.newest()[0]
    body = json.dumps({"status": "labelled", "seconds": 2.5, "mask": text(truth(entry))})
    good = (
        f"PUT /api/answer/{entry.id} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nX-Desk-Token: {client.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    for _ in range(150):
        sent = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(sent))
            change = rng.choice(("flip", "drop", "double"))
            if change == "flip":
                sent[at] = rng.randrange(256)
            elif change == "drop":
                del sent[at : at + rng.randint(1, 9)]
            else:
                sent[at:at] = sent[at : at + rng.randint(1, 9)]
        raw(client.port, bytes(sent))
    assert client.ask("/api/next")[0] == 200
    assert capfd.readouterr().err == ""
    said = client.server.RequestHandlerClass.desk.inbox.replies()
    assert all(reply.id in client.server.RequestHandlerClass.desk.inbox.entries() for _, reply in said)


def test_to_look_takes_nothing(client):
    desk = client.server.RequestHandlerClass.desk
    entry = desk.inbox.newest()[0]
    assert client.ask("/api/next", "HEAD")[0] == 404
    assert client.ask(f"/api/question/{entry.id}", "HEAD")[0] == 200
    assert desk.leases.holder(entry) is None
    assert client.ask(f"/api/question/{entry.id}")[0] == 200
    assert desk.leases.holder(entry) == "ada"


def test_only_the_holder_gives_a_question_back(asked, tmp_path):
    shutil.copytree(asked, tmp_path / "run")
    entry, held = Inbox(tmp_path / "run").newest()[0], Leases(tmp_path / "run")
    assert held.hold(entry, "bob")
    held.release(entry, "ada")
    assert held.holder(entry) == "bob"
    held.release(entry, "bob")
    assert held.holder(entry) is None


def test_a_folder_that_cannot_be_written_is_named(client):
    desk = client.server.RequestHandlerClass.desk
    desk.leases.folder.touch()
    status, _, body = client.ask("/api/next")
    assert (status, json.loads(body)["error"]) == (507, "not saved: File exists: held")


def damages(whole):
    """A prefill in all kinds of states."""
    entry_of = io.BytesIO()
    np.save(entry_of, np.zeros(3))
    other = io.BytesIO()
    np.savez(other, label=np.zeros((16, 16), np.uint8), probability=np.zeros((2, 16, 16), np.uint8))
    floats = io.BytesIO()
    np.savez(floats, label=np.zeros((16, 16)), probability=np.zeros((3, 16, 16)))
    middle = len(whole) // 2
    return {
        "cut": whole[:200],
        "empty": b"",
        "no zip": b"PK\x03\x04" + b"x" * 50,
        "flipped": whole[:middle] + bytes(255 - b for b in whole[middle : middle + 60]) + whole[middle + 60 :],
        "an array": entry_of.getvalue(),
        "too few classes": other.getvalue(),
        "no bytes": floats.getvalue(),
    }


def test_a_damaged_prefill_is_said_and_made_again(client):
    inbox = client.server.RequestHandlerClass.desk.inbox
    entry = next(e for e in inbox.newest() if views.has_prefill(inbox.folder, e))
    path = inbox.folder / "prefill" / f"{entry.id}.npz"
    whole = path.read_bytes()
    for what, data in damages(whole).items():
        path.write_bytes(data)
        with pytest.raises(BadInput, match=r"is damaged; delete it, and --resume makes it again"):
            views.prefill(inbox.folder, entry)
        assert client.ask(f"/api/prefill/{entry.id}")[0] == 422, what
    path.write_bytes(whole)
    assert client.ask(f"/api/prefill/{entry.id}")[0] == 200


def test_a_refused_body_is_not_read_as_the_next_request(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    hidden = b"GET /api/next HTTP/1.1\r\nHost: x\r\n\r\n"
    headers = {"X-Desk-Token": client.token, "Content-Type": "application/json"}
    for path, body in (("/api/answer/nobody", b"{}"), ("/api/answer/nobody", hidden), ("/nothing", b"{}")):
        connection.request("PUT", path, body, headers)
        assert connection.getresponse().read().startswith(b'{"error"')
    connection.request("GET", "/api/next", headers=headers)
    assert json.loads(connection.getresponse().read())["question"]
    connection.close()


def test_every_reply_says_what_a_page_may_do(client):
    for path in ("/", "/main.js", "/desk.css", "/api/next", "/nothing"):
        _, headers, _ = client.ask(path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers["Server"]
    page = client.get("/").decode()
    assert "http" not in page.replace("http-equiv", "")
    assert client.token not in page, "only the address that the terminal shows has it"


def test_it_listens_on_this_machine_only(client):
    assert client.server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", client.port), timeout=2)


def test_a_full_disk_is_said_and_nothing_is_acknowledged(client, monkeypatch):
    entry = client.server.RequestHandlerClass.desk.inbox.newest()[0]

    def full(*args, **how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inbox, "answer", full)
    status, _, body = client.put(entry.id, status="skipped", seconds=1, mask=None)
    assert (status, json.loads(body)["error"]) == (507, "not saved: No space left on device")


def test_what_the_door_refuses(asked, capsys, tmp_path):
    for argv, line in (
        ([str(tmp_path)], "holds no questions to people"),
        ([str(tmp_path / "nowhere")], "there is no such folder"),
        ([str(asked), "--by", "a\nb"], "no name of a person"),
        ([str(asked), "--port", "99999999"], "--port 99999999"),
    ):
        assert door.main([*argv, "--no-open"]) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(BadInput, match="in use; leave it out"):
        server.serve(asked, "ada", taken.getsockname()[1])


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 4711"), OSError("No username set")])
def test_an_account_without_a_name(error, asked, capsys, monkeypatch):
    """As in many containers."""

    def nobody():
        raise error

    monkeypatch.setattr(door.getpass, "getuser", nobody)
    assert door.main([str(asked), "--no-open"]) == 2
    assert capsys.readouterr().err == "bal: error: this account has no name: say who answers (--by NAME)\n"


def test_names_are_shown_and_never_obeyed(inbox):
    """A file of an odd name, classes of odd names, a run in a folder of an odd name."""
    odd = dataclasses.replace(
        next(iter(inbox.entries().values())), image="\x1b[2J\u202egnp<b>", classes=("a", "\u202e<i>", "c")
    )
    desk = server.Desk(inbox.folder, "ada")
    assert desk.question(odd)["image"] == "\\x1b[2J\\u202egnp<b>"
    assert desk.question(odd)["classes"] == ["a", "\\u202e<i>", "c"]
    desk.inbox = Inbox(inbox.folder.rename(inbox.folder.with_name("a run; $(x)")))
    assert desk.progress()["resume"].endswith("/a run; $(x)'")
    for script in Path(server.__file__).parent.glob("*.js"):
        assert not re.search("innerHTML|outerHTML|insertAdjacentHTML|document.write", script.read_text()), script
