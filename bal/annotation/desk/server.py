"""The desk's server: a view of a run's folder, which may be killed at any time.

It listens on this machine only, and answers nobody who does not know the token in the address that it prints. A page of
another site that the browser has open cannot reach it: there is no cookie, the token goes in a header that such a page
may not send, and hosts are checked against rebinding. Ids are looked up among the questions and never become paths.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import secrets
import shlex
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from bal.annotation import views
from bal.annotation.desk.connections import LINGER, MOST, Connections, Deadline, complain, hang_up
from bal.annotation.desk.leases import Leases
from bal.annotation.desk.replies import HEADERS, PAGES, as_json, as_png, as_text
from bal.annotation.desk.requests import PATIENCE, Refused, body_of, has_body, length_of, path_of
from bal.annotation.entries import Entry, Reply, name_of
from bal.annotation.inbox import Inbox
from bal.annotation.palette import on_the_desk
from bal.system.outside import shown
from bal.types import BadInput

HOSTS = ("127.0.0.1", "localhost")


class Desk:
    """What one person does at a run's folder; requests come from several threads."""

    def __init__(self, folder: Path, by: str):
        self.inbox, self.by, self.lock = Inbox(folder), name_of(by), RLock()
        self.leases = Leases(folder)

    def progress(self) -> dict[str, Any]:
        """How much is done, and what comes next in a run."""
        newest, said = self.inbox.newest(), self.inbox.by_question()
        mine = sum(self.by in said.get(entry.id, {}) for entry in newest)
        open_ = self.inbox.open(self.by)
        what = {
            "run": shown(self.inbox.folder.name),
            "by": self.by,
            "asked": len(newest),
            "open": len(open_),
            "mine": mine,
        }
        return what | {"resume": f"python -m bal.run --resume --out {shlex.quote(str(self.inbox.folder))}"}

    def next(self) -> dict[str, Any]:
        """The first open question that nobody else holds; none where all are answered or held."""
        for entry in self.inbox.open(self.by):
            if self.leases.hold(entry, self.by):
                return {"question": self.question(entry), "progress": self.progress()}
        return {"question": None, "progress": self.progress()}

    def question(self, entry: Entry) -> dict[str, Any]:
        """What the page needs; why it is asked only once it has been answered."""
        reply = self.inbox.by_question().get(entry.id, {}).get(self.by)
        found: dict[str, Any] = {
            "id": entry.id,
            "image": shown(entry.image),
            "place": list(entry.box[:2]),
            "view": list(entry.view[2:]),
            "inside": list(entry.inside),
            "classes": list(map(shown, entry.classes)),
            "colours": on_the_desk(len(entry.classes)),
            "prefill": self.inbox.exists() and not entry.blind and views.has_prefill(self.inbox.folder, entry),
            "asked": None if entry.mask is None else as_text(entry.asked_pixels().astype(np.uint8)),
            "answer": None,
        }
        if reply is not None:
            label = None if reply.label is None else as_text(reply.label)
            found["answer"] = {"status": reply.status, "seconds": reply.seconds, "mask": label}
            found["why"] = {"policy": entry.policy, "score": entry.score, "for": dict(entry.share)}
        return found

    def answer(self, entry: Entry, body: dict[str, Any]) -> dict[str, Any]:
        """Keeps an answer, which is on disk when this returns."""
        status, seconds, mask = body.get("status"), body.get("seconds"), body.get("mask")
        label = None
        if status == "labelled":
            try:
                flat = np.frombuffer(base64.b64decode(mask, validate=True), np.uint8)  # pyright: ignore
            except (binascii.Error, TypeError, ValueError):
                raise Refused(HTTPStatus.BAD_REQUEST, "a mask that is no base64") from None
            if flat.size != entry.box[2] * entry.box[3]:
                raise Refused(HTTPStatus.BAD_REQUEST, f"a mask of {flat.size} pixels for a region of {entry.box[2:]}")
            label = flat.reshape(entry.box[2:])
        reply = Reply(entry.id, self.by, "", status, label, seconds, None, "desk")  # pyright: ignore
        outcome = self.inbox.answer(reply, replace=True)
        with suppress(OSError):  # the answer is kept, and a lease ends by itself
            self.leases.release(entry, self.by)
        return {"outcome": outcome, "question": self.question(entry), "progress": self.progress()}

    def prefill(self, entry: Entry) -> bytes:
        """What a model would draw: a byte a pixel of the box, then the probabilities, class by class."""
        drawn = views.prefill(self.inbox.folder, entry)
        if drawn is None:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing is drawn beforehand for this question")
        return drawn.label.tobytes() + drawn.probability.tobytes()


def serve(folder: Path, by: str, port: int = 0, most: int = MOST) -> tuple[Connections, str]:
    """A server that is ready to `serve_forever`, and its address with the token.

    Raises:
        BadInput: the name is none, or the port is in use.
    """
    desk, token = Desk(folder, by), secrets.token_urlsafe(24)

    class DeskHandler(Handler):
        pass

    handler, handler.desk, handler.token = DeskHandler, desk, token
    try:
        server = Connections((HOSTS[0], port), handler, most)
    except OSError as error:
        raise BadInput(f"--port {port}: {error.strerror}; leave it out to use any") from None
    except OverflowError as error:  # no number of a port
        raise BadInput(f"--port {port}: {error}; leave it out to use any") from None
    handler.port = server.server_port
    return server, f"http://{HOSTS[0]}:{server.server_port}/#{token}"


class Handler(BaseHTTPRequestHandler):
    """Requests of one desk."""

    desk: Desk
    token: str
    port: int
    patience, linger = PATIENCE, LINGER  # seconds for the head of a request, for its body, for our answer; at the end
    server_version, sys_version, default_request_version = "bal", "", "HTTP/1.0"
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.arrives = Deadline(self.connection, self.patience)
        self.rfile = io.BufferedReader(self.arrives)

    def handle_one_request(self) -> None:
        self.arrives.within(self.patience)
        super().handle_one_request()

    def finish(self) -> None:
        hang_up(self.connection, self.linger)
        super().finish()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What Python's parser refuses."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._send(status, *as_json({"error": f"{message or status.phrase:.200}"}))

    def do_GET(self) -> None:
        self._handle(self._get)

    def do_HEAD(self) -> None:
        self._handle(self._get)

    def do_PUT(self) -> None:
        self._handle(self._put)

    def do_POST(self) -> None:
        self._handle(self._other)

    do_DELETE = do_PATCH = do_OPTIONS = do_POST

    def log_message(self, *args: object) -> None:
        """Nothing: the terminal belongs to the person."""

    def _handle(self, respond: Callable[[], tuple[bytes, str]]) -> None:
        if self.command != "PUT" and has_body(self.headers):
            self.close_connection = True  # it is not read as the next request
        try:
            self._send(*self._answered(respond))
        except (ConnectionError, TimeoutError):  # nobody is there any more
            self.close_connection = True

    def _answered(self, respond: Callable[[], tuple[bytes, str]]) -> tuple[HTTPStatus, bytes, str]:
        try:
            self._check_host()
            return (HTTPStatus.OK, *respond())
        except Refused as refused:
            self.close_connection |= refused.unread
            return (refused.status, *as_json({"error": refused.why}))
        except BadInput as error:
            return (HTTPStatus.UNPROCESSABLE_ENTITY, *as_json({"error": str(error)}))
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            name = f": {Path(error.filename).name}" if isinstance(error.filename, str) else ""
            why = f"not saved: {error.strerror or error}{name}"
            return (HTTPStatus.INSUFFICIENT_STORAGE, *as_json({"error": why}))
        except Exception as error:  # ours to mend, and no reason to fill the terminal of whoever answers
            complain(error)
            return (
                HTTPStatus.INTERNAL_SERVER_ERROR,
                *as_json({"error": f"the desk has failed: {type(error).__name__}"}),
            )

    def _get(self) -> tuple[bytes, str]:
        path = path_of(self.path)
        if path in PAGES:
            name, kind = PAGES[path]
            return Path(__file__).with_name(name).read_bytes(), kind
        self._check_token()
        with self.desk.lock:
            return self._found(path.strip("/").split("/"))

    def _found(self, parts: list[str]) -> tuple[bytes, str]:
        looks = self.command == "HEAD"  # and takes nothing
        if parts == ["api", "next"] and not looks:
            return as_json(self.desk.next())
        if len(parts) == 3 and parts[0] == "api" and parts[1] in ("question", "view", "prefill"):
            entry = self._entry(parts[2])
            if parts[1] == "view":
                return as_png(views.pixels(self.desk.inbox.folder, entry)), "image/png"
            if parts[1] == "prefill":
                return self.desk.prefill(entry), "application/octet-stream"
            if not looks:
                self.desk.leases.hold(entry, self.desk.by)
            return as_json({"question": self.desk.question(entry), "progress": self.desk.progress()})
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _put(self) -> tuple[bytes, str]:
        self._check_token()
        length = length_of(self.headers)
        self.arrives.within(self.patience)
        body = body_of(self.rfile, length)  # before anybody else has to wait
        parts = path_of(self.path).strip("/").split("/")
        if len(parts) != 3 or parts[:2] != ["api", "answer"]:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        with self.desk.lock:
            return as_json(self.desk.answer(self._entry(parts[2]), body))

    def _other(self) -> tuple[bytes, str]:
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "an answer is PUT", unread=True)

    def _entry(self, id: str) -> Entry:
        entry = self.desk.inbox.entries().get(id)
        if entry is None:
            raise Refused(HTTPStatus.NOT_FOUND, "nobody asked this")
        return entry

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        if host not in [f"{name}:{self.port}" for name in HOSTS] or len(self.headers.get_all("Host", [])) != 1:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "another host's page", unread=True)
        origin = self.headers.get("Origin")
        if origin is not None and origin not in [f"http://{name}:{self.port}" for name in HOSTS]:
            raise Refused(HTTPStatus.FORBIDDEN, "a page of another site", unread=True)

    def _check_token(self) -> None:
        given = self.headers.get("X-Desk-Token", "")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            why = "open the desk at the address that the terminal shows"
            raise Refused(HTTPStatus.FORBIDDEN, why, unread=True)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.connection.settimeout(self.patience)
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
