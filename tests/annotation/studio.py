"""A server that answers as Label Studio 1.23 does where an annotator asks, and people in it who annotate."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 4  # tasks or projects that it gives at once, whatever it is asked for


class Studio:
    """Projects, tasks and annotations in memory; they outlive `stop` and `start`, at one address."""

    def __init__(self):
        self.token = "0123456789abcdef0123456789abcdef01234567"
        self.personal = False  # whether it takes only tokens that are bought
        self.projects, self.tasks, self.log = [], [], []
        self.spoil: Callable | None = None  # is given every request, with its method and path; True: it has answered
        self.port, self.server = 0, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *rest):
        self.stop()

    def start(self):
        handler = type("Of", (Handler,), {"studio": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
            self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def task(self, id):
        """The one task of a question."""
        (found,) = (task for task in self.tasks if task["data"].get("id") == id)
        return found

    def annotate(self, id, results, by=1, seconds=1.5):
        """What one person submits; None is skipped. Submitted again, it is an update."""
        task, now = self.task(id), datetime.now(UTC).isoformat()
        found = next((a for a in task["annotations"] if a["completed_by"] == by), None)
        if found is None:
            found = {"id": sum(len(t["annotations"]) for t in self.tasks) + 1, "completed_by": by}
            task["annotations"].append(found)
        found |= {"result": results or [], "was_cancelled": results is None, "lead_time": seconds, "updated_at": now}


class Handler(BaseHTTPRequestHandler):
    """The five addresses that are used."""

    studio: Studio

    def do_GET(self):
        self.answer("GET", None)

    def do_POST(self):
        self.answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, method, body):
        studio, path = self.studio, urlsplit(self.path).path
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        studio.log.append((method, path, asked, body))
        if studio.spoil is not None and studio.spoil(self, method, path):
            return None
        if path == "/api/token/refresh/" and method == "POST":
            good = studio.personal and body == {"refresh": studio.token}
            return self.send(200, {"access": f"bought-{len(studio.log)}"}) if good else self.send(401, {})
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer bought-")
        good = bearer.isdigit() if studio.personal else self.headers.get("Authorization") == f"Token {studio.token}"
        if not good:
            return self.send(401, {"detail": "Invalid token."})
        if (method, path) == ("POST", "/api/projects/"):
            assert 3 <= len(body["title"]) <= 50
            studio.projects.append({**body, "id": len(studio.projects) + 1})
            return self.send(201, studio.projects[-1])
        if (method, path) == ("GET", "/api/projects/"):
            part, more = page(studio.projects, asked)
            if part is None:
                return self.send(404, {"detail": "Invalid page."})
            return self.send(200, {"results": part, "next": "there" if more else None})
        if method == "POST" and (found := re.fullmatch(r"/api/projects/(\d+)/import", path)):
            for task in body:
                task = {"annotations": [], **task, "id": len(studio.tasks) + 1, "project": int(found[1])}
                studio.tasks.append(task)
            return self.send(201, {"task_count": len(body)})
        if (method, path) == ("GET", "/api/tasks/"):
            mine = [task for task in studio.tasks if task["project"] == int(asked["project"])]
            part, _ = page(mine, asked)
            if part is None:
                return self.send(404, {"detail": "Invalid page."})
            less = set() if asked.get("fields") == "all" else {"annotations", "predictions"}
            tasks = [{name: value for name, value in task.items() if name not in less} for task in part]
            return self.send(200, {"tasks": tasks, "total": len(mine)})
        return self.send(404, {"detail": "Not found."})

    def send(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *rest):
        pass


def page(things, asked):
    """A page, and whether there are more; None behind the last."""
    number = int(asked["page"])
    start = (number - 1) * PAGE
    if number > 1 and start >= len(things):
        return None, False
    return things[start : start + PAGE], start + PAGE < len(things)
