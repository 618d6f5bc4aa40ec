"""The annotator against Label Studio itself, in an environment of its own; it is killed in between and comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time

import pytest
from asking import go_on, truth
from environments import LABEL_STUDIO, environment
from painting import drawn, of_view
from runs import tiny

from bal.annotation.annotators import LabelStudio
from bal.annotation.inbox import Inbox
from bal.annotation.take import take

httpx = pytest.importorskip("httpx", reason="the extra label-studio is not installed")
pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef0123456789abcdef01234567"
BOOT = 400  # seconds


class Live:
    """A server of the machine's own, with a database in a folder."""

    def __init__(self, programs, folder):
        self.programs, self.folder, self.process = programs, folder, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Token {TOKEN}"}, timeout=120, trust_env=False
        )

    def start(self):
        """Boots it, for whom it would call elsewhere there is no way out."""
        environ = {name: value for name, value in os.environ.items() if name != "CI"}
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        environ |= {**nowhere, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "SENTRY_DSN": ""}
        environ |= {"LATEST_VERSION_CHECK": "false", "FEATURE_FLAGS_OFFLINE": "true", "COLLECT_ANALYTICS": "false"}
        environ |= {"FRONTEND_SENTRY_DSN": "", "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder / "data")}
        who = ["--username", "user@example.org", "--password", "not-secret-1", "--user-token", TOKEN]
        where = ["--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port)]
        command = [self.programs / "label-studio", "start", *where, *who, "--enable-legacy-api-token"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        end = time.monotonic() + BOOT
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.client.get("/api/projects/").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(1)
        tail = (self.folder / "log").read_text(errors="replace")[-500:]
        pytest.fail(f"Label Studio did not boot within {BOOT} s: {tail}")

    def kill(self):
        """At once, with whatever it has started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tasks(self):
        """By question id."""
        (project,) = self.client.get("/api/projects/").json()["results"]
        found = self.client.get("/api/tasks/", params={"project": project["id"], "page_size": 1000, "fields": "all"})
        return {task["data"]["id"]: task for task in found.json()["tasks"]}

    def next(self):
        """What a person would be shown."""
        (project,) = self.client.get("/api/projects/").json()["results"]
        return self.client.get(f"/api/projects/{project['id']}/next").json()

    def submit(self, task, results, seconds):
        """What a person submits; None: skips."""
        made = {"result": results or [], "was_cancelled": results is None, "lead_time": seconds}
        assert self.client.post(f"/api/tasks/{task}/annotations/", json=made).status_code == 201


@pytest.fixture(scope="module")
def live(pytestconfig, tmp_path_factory):
    """A server that runs, and can be killed."""
    server = Live(environment(pytestconfig, "label-studio", LABEL_STUDIO), tmp_path_factory.mktemp("label-studio"))
    with server.client:
        try:
            server.start()
            yield server
        finally:
            server.kill()


def test_people_in_label_studio_who_know_the_truth_buy_what_the_oracle_buys(tmp_path, live, oracle, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    out, config, turn = tmp_path / "run", tiny(annotator=LabelStudio(live.url)), 0
    while go_on(out, config):
        inbox = Inbox(out)
        open_, shown = inbox.open(), []
        while "data" in (task := live.next()):
            entry = inbox.entries()[task["data"]["id"]]
            assert bool(task["predictions"]) != entry.blind, "a person is shown what a model thinks, or must not be"
            label = of_view(entry, truth(entry), beyond=2)
            live.submit(task["id"], drawn(label, brush=len(shown) % 2 == 1), seconds=1.25)
            shown.append(entry)
            if len(shown) == 4:  # in the middle of a purchase
                live.kill()
                live.start()
                go_on(out, config)
        assert shown == open_, "one after the other, in our order, each once"
        turn += 1
    assert turn == 3
    mine = (out / "queries.jsonl").read_text()
    assert mine.count(', "seconds": 1.25') == len(mine.splitlines())
    assert mine.replace(', "seconds": 1.25', "") == (oracle / "queries.jsonl").read_text()
    assert len(live.tasks()) == len(inbox.entries())
    export = tmp_path / "export.json"
    (project,) = live.client.get("/api/projects/").json()["results"]
    export.write_bytes(live.client.get(f"/api/projects/{project['id']}/export", params={"exportType": "JSON"}).content)
    taken = take(inbox, export)
    assert sorted(taken.outcomes["known"]) == sorted(inbox.entries()), "its export says what was collected"
    assert json.loads(export.read_text())


def test_who_skips_is_not_asked_again(tmp_path, live, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    for project in live.client.get("/api/projects/").json()["results"]:
        live.client.delete(f"/api/projects/{project['id']}/")
    out, config = tmp_path / "run", tiny(annotator=LabelStudio(live.url))
    go_on(out, config)
    first, *_ = Inbox(out).open()
    live.submit(live.next()["id"], None, 0.5)
    assert live.next()["data"]["id"] != first.id
    assert go_on(out, config).answered == 1
    assert Inbox(out).by_question()[first.id]["1"].label is None
