"""Connections to the desk: few at a time, none of them waited for for long, and nothing of theirs in the terminal."""

from __future__ import annotations

import io
import socket
import sys
import time
from contextlib import suppress
from http.server import ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any

from bal.system.outside import shown

MOST = 64  # connections at a time; a browser keeps six a page
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LINGER, LEFT = 2.0, 32 * 2**20  # seconds and bytes of what nobody reads, so that who sends it hears why


class Deadline(io.RawIOBase):
    """What comes from a socket before a deadline. Reading raises TimeoutError after it, however much has come."""

    def __init__(self, connection: socket.socket, seconds: float):
        self.connection = connection
        self.within(seconds)

    def within(self, seconds: float) -> None:
        """Sets the deadline anew."""
        self.ends = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come by now, at least a byte; 0 at the end."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("it takes too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


class Connections(ThreadingHTTPServer):
    """A server with so many threads at most. Who comes when all are taken is told to come again."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, most: int = MOST):
        self.room = BoundedSemaphore(most)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begins a thread, if there is room for one."""
        if not self.room.acquire(blocking=False):
            with suppress(OSError):
                request.setblocking(False)
                request.send(BUSY)
            return self.shutdown_request(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was begun
            self.room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What a thread does, from the first byte to the last."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says in a line what is wrong with us; nothing where somebody has only gone."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            complain(error)


def complain(error: BaseException) -> None:
    """A line in the terminal for an error that nobody has foreseen."""
    print(f"bal: a request has failed: {type(error).__name__}: {shown(str(error)[:200])}", file=sys.stderr)


def hang_up(connection: socket.socket, linger: float = LINGER) -> None:
    """Ends what we say, and lets the other end finish: closing at once would also take back what was said last."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        rest, read = io.BufferedReader(Deadline(connection, linger)), 0
        while read < LEFT and (part := rest.read1(2**16)):
            read += len(part)
