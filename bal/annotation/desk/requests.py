"""What a request says, read with suspicion: everything odd is refused in a line, and nobody is waited for for long."""

from __future__ import annotations

import json
import re
import time
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase
from typing import Any
from urllib.parse import unquote, urlsplit

LARGEST = 16 * 2**20  # bytes of a body
PATIENCE = 30.0  # seconds that a body may take, all in all
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


def body_of(file: BufferedIOBase, length: int, patience: float = PATIENCE) -> dict[str, Any]:
    """The answer in a body of so many bytes, all of which come in so many seconds or are not waited for."""
    ends, parts, left = time.monotonic() + patience, [], length
    while left:
        part = file.read1(left)
        if not part or time.monotonic() > ends:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "an answer that does not come", unread=True)
        parts.append(part)
        left -= len(part)
    try:
        found = json.loads(b"".join(parts), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "an answer that is no JSON") from None
    if not isinstance(found, dict) or not set(found) <= FIELDS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"an answer has {', '.join(sorted(FIELDS))}")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
