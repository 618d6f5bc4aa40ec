"""One run, one process.

What is relied on is `flock`: the kernel gives the lock back when its owner dies, however it dies. On Linux that holds
on local disks and, by way of their servers, on NFS and SMB; a client that has gone is found out by an NFS server after
its lease, a minute or two. A forked process would hold it too, and longer: it lets go at once, since it is no run.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import weakref
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from bal.system.files import of_file
from bal.types import BadInput

NAME = "run.lock"  # in a run's folder, with who holds it; what a dead process leaves of it locks nobody out
TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_open: set[int] = set()  # the files of the locks of this process


class Lock:
    """A folder that nobody else runs in while this is held; given back at the latest when this is gone."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._held: weakref.finalize | None = None
        self._handle = -1

    def acquire(self) -> None:
        """Takes the lock, also one whose owner is dead.

        Raises:
            BadInput: somebody holds it, or the file system knows no locks.
        """
        while True:
            new = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            _open.add(handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                _close(handle)
                if new and error.errno not in TAKEN:
                    self.path.unlink(missing_ok=True)
                raise self._refusal(error) from None
            if _is(handle, self.path):
                break
            _close(handle)  # its owner has just deleted it
        self._handle = handle
        self._held = weakref.finalize(self, _give_back, self.path, handle, os.getpid())
        began = datetime.now().astimezone().isoformat(timespec="seconds")
        owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": began})
        try:
            os.truncate(handle, 0)
            os.write(handle, owner.encode())
        except OSError as error:
            raise of_file(error, self.path) from None

    @property
    def in_place(self) -> bool:
        """Whether the folder is still the one that was locked."""
        return self._held is not None and self._held.alive and _is(self._handle, self.path)

    def check(self) -> None:
        """Raises BadInput for a folder that was moved or replaced since it was locked: what lies there is another's."""
        if not self.in_place:
            raise BadInput(
                f"{self.path.parent} was moved, replaced or deleted while it was being run; nothing more is "
                "written: put it back, and go on with --resume"
            )

    def release(self) -> None:
        """Gives it back; nothing if it is not held."""
        if self._held is not None:
            self._held()

    def _refusal(self, error: OSError) -> BadInput:
        run = self.path.parent
        if error.errno not in TAKEN:
            return BadInput(f"{run}: the file system gives no locks ({error.strerror}); choose another --out")
        try:
            owner = json.loads(self.path.read_bytes())
            who = f"process {owner['pid']:d} on {owner['host']:.255} since {owner['since']:.40}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        return BadInput(f"{run} is being run by {who}: wait for it, or end it")


def _is(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.path.samestat(os.fstat(handle), os.stat(path))
    return False


def _give_back(path: Path, handle: int, owner: int) -> None:
    """Deletes the file while it is locked, so that nobody locks one that is about to go; not in a forked process."""
    if os.getpid() == owner:
        if _is(handle, path):
            path.unlink(missing_ok=True)
        _close(handle)


def _close(handle: int) -> None:
    _open.discard(handle)
    os.close(handle)


def _let_go() -> None:
    """In a forked process: closes what its parent holds, which stays locked until the parent closes it too."""
    while _open:
        os.close(_open.pop())


os.register_at_fork(after_in_child=_let_go)
