"""What a request says, read with suspicion: everything odd is refused in a line, and nobody is waited for for long."""

from __future__ import annotations

import json
import re
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase
from typing import Any
from urllib.parse import unquote, urlsplit

LARGEST = 16 * 2**20  # bytes of a body
PATIENCE = 30.0  # seconds that the head of a request may take, and its body, all in all
FIELDS = {"status", "seconds", "mask"}


class Refused(Exception):
    """A request that is not answered, and why; `unread`: before its body was read, so that the connection ends."""

    def __init__(self, status: HTTPStatus, why: str, unread: bool = False):
        super().__init__(why)
        self.status, self.why, self.unread = status, why, unread


def path_of(target: str) -> str:
    """The path that is asked for, without its query."""
    try:
        return unquote(urlsplit(target).path)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "no address", unread=True) from None


def length_of(headers: Message) -> int:
    """The bytes of the body of an answer, from what its headers say of it."""
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is sent as application/json", unread=True)
    said = headers.get_all("Content-Length", [])
    if len(said) != 1 or not re.fullmatch("[0-9]+", said[0]) or "Transfer-Encoding" in headers:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "an answer says how long it is", unread=True)
    if len(said[0]) > 9 or int(said[0]) > LARGEST:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "an answer of more than 16 MiB", unread=True)
    return int(said[0])


def has_body(headers: Message) -> bool:
    """Whether something follows the head of a request."""
    return "Transfer-Encoding" in headers or not set(headers.get_all("Content-Length", [])) <= {"0"}


def body_of(file: BufferedIOBase, length: int) -> dict[str, Any]:
    """The answer in a body of so many bytes, from a file that raises TimeoutError where they do not come in time."""
    try:
        body = file.read(length)
    except TimeoutError:
        body = b""
    if len(body) < length:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "an answer that does not come", unread=True)
    try:
        found = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "an answer that is no JSON") from None
    if not isinstance(found, dict) or not set(found) <= FIELDS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"an answer has {', '.join(sorted(FIELDS))}")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
