"""A file of lines that many processes add to."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from bal.system.files import fsync, of_file
from bal.system.outside import kind
from bal.types import BadInput

TAIL = 1024  # bytes that are compared at every visit


class Lines:
    """A file of lines of JSON that many processes append to, each line whole or not at all.

    A last line that lacks its end alone, as some editors leave it, is whole; its end is counted, and written first by
    whoever adds to it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._read, self._count = 0, 0  # bytes and lines that `news` has given
        self._owed = 0  # bytes of these that are not there yet: the end of the last line
        self._file = (0, 0)  # device and inode that were read
        self._mark = hashlib.sha256()  # of what was read
        self._tail = b""  # the end of that
        self._alone: int | None = None  # the thread that writes, if one of this process does

    @property
    def size(self) -> int:
        """Bytes of whole lines."""
        if not self._there():
            return 0
        with self._written() as file:
            end, rest = _whole(file)
            return end + len(rest) + bool(rest)

    def news(self, parse: Callable[[str], Any]) -> Iterator[tuple[int, Any]]:
        """Each whole line since the last visit, parsed, with the byte at which it ends; waits while somebody writes.

        Raises:
            BadInput: a line cannot be parsed, the file is another than at the last visit or has become shorter, or
                another program has changed its line ends: what is remembered of it is counted in bytes.
        """
        if not self._there():
            return
        with self._written() as file:  # given back before a line is parsed, which may read another file
            about = os.fstat(file.fileno())
            there = self._read - self._owed
            if about.st_size < there:
                raise BadInput(f"{self.path} has become shorter while it was read; put it back as it was")
            file.seek(there - len(self._tail))
            same = file.read(len(self._tail)) == self._tail
            if there and self._file != (about.st_dev, about.st_ino):
                file.seek(0)
                same = hashlib.sha256(file.read(there)).digest() == self._mark.digest()
            if not same:
                raise BadInput(f"{self.path} is another than it was when it was read: begin again")
            self._file = about.st_dev, about.st_ino
            new = file.read()
            end = there + len(new)
        if b"\r" in new:
            raise other_ends(self.path)
        if self._owed and new:
            if not new.startswith(b"\n"):
                raise BadInput(f"{self.path}: line {self._count} is damaged: it goes on; put it back as it was")
            new, self._owed = new[1:], 0
            self._hash(b"\n")
        if self._owed:
            return
        lines, rest = new[: new.rfind(b"\n") + 1].splitlines(keepends=True), new[new.rfind(b"\n") + 1 :]
        for line in [*lines, rest + b"\n"] if _lacks_end(rest) else lines:
            try:
                found = parse(line.decode())
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                why = f": {error}" if isinstance(error, BadInput) else ""
                raise BadInput(f"{self.path}: line {self._count + 1} is damaged{why}; put it back as it was") from None
            self._read += len(line)
            self._hash(line[: len(line) - (self._read > end)])
            self._count += 1
            self._owed = int(self._read > end)
            yield self._read, found

    def _hash(self, read: bytes) -> None:
        self._mark.update(read)
        self._tail = (self._tail + read)[-TAIL:]

    def check(self) -> None:
        """Raises BadInput for what is there and is no file, which could be waited for without end."""
        if (what := kind(self.path)) is not None:
            raise BadInput(f"{self.path} is {what}; it is to be a file")

    def _there(self) -> bool:
        """Whether there is a file."""
        self.check()
        return self.path.exists()

    @contextmanager
    def _written(self) -> Iterator[BinaryIO]:
        """The file, to read, while nobody else writes: what is being written may be taken back yet."""
        with open(self.path, "rb") as file:
            if self._alone != threading.get_ident():  # who would wait for itself
                with suppress(OSError):  # where there are no locks, nobody writes either
                    fcntl.flock(file, fcntl.LOCK_SH)
            yield file

    def append(self, text: str) -> None:
        """Adds lines and waits until they are on disk; nothing for no lines."""
        if text:
            with self.alone() as file:
                self.write(file, text)

    @contextmanager
    def alone(self) -> Iterator[FileIO]:
        """The file, while no other process of ours writes to it."""
        new = not self._there()
        with open(self.path, "ab+", buffering=0) as file:  # what cannot be written is not kept for later
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            self._alone = threading.get_ident()
            try:
                yield file
            finally:
                self._alone = None
        if new:
            fsync(self.path.parent)

    def write(self, file: FileIO, text: str) -> None:
        """Adds lines to the file that `alone` gave; one that cannot be written whole is taken back."""
        end, rest = _whole(file)
        end += len(rest)
        file.truncate(end)
        left = memoryview(("\n" * bool(rest) + text).encode())
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            raise of_file(error, self.path) from None


def other_ends(path: Path) -> BadInput:
    """What there is to say of a file that another program has saved with CRLF at the ends of its lines."""
    return BadInput(
        f"{path} has been saved with other line ends (CRLF): save it with LF, or put it back as it was; "
        "nothing has been touched"
    )


def _whole(file: BinaryIO | FileIO) -> tuple[int, bytes]:
    """Bytes up to the end of the last whole line, and a line after that, if it lacks its end alone."""
    end = there = file.seek(0, os.SEEK_END)
    at = -1
    while end and at < 0:
        start = max(0, end - 2**16)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        end = start if at < 0 else start + at + 1
    file.seek(end)
    rest = file.read(there - end)
    return end, rest if _lacks_end(rest) else b""


def _lacks_end(rest: bytes) -> bool:
    """Whether what follows the last end of a line is an object of JSON, and no part of one."""
    try:
        return isinstance(json.loads(rest), dict)
    except (ValueError, RecursionError):
        return False
