"""Who is looking at which question: for ten minutes nobody else is shown it, whatever desk they sit at.

A lease is a small file in `held/` of the run's folder, derived and deletable: without it two people may answer the same
question, which is merged as if it had been asked of two.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bal.annotation.entries import Entry
from bal.system.files import write_whole

SECONDS = 600.0


class Leases:
    """The leases of a run's folder."""

    def __init__(self, folder: Path, now=time.time):
        self.folder, self.now = folder / "held", now

    def hold(self, entry: Entry, by: str) -> bool:
        """Takes or renews a lease; False where somebody else has one."""
        with self._alone():
            if self.holder(entry) not in (None, by):
                return False
            write_whole(self._path(entry), json.dumps({"by": by, "until": self.now() + SECONDS}))
        return True

    def holder(self, entry: Entry) -> str | None:
        """Who holds a question now; nobody where the file is damaged, or says so for longer than anybody may."""
        try:
            found, now = json.loads(self._path(entry).read_text()), self.now()
            return found["by"] if now < found["until"] <= now + 2 * SECONDS and isinstance(found["by"], str) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def release(self, entry: Entry, by: str) -> None:
        """Gives a question back, unless it is somebody else's by now."""
        with self._alone():
            if self.holder(entry) == by:
                self._path(entry).unlink(missing_ok=True)

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{entry.id}.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other desk takes or gives back a lease: to look and to take is one step."""
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / ".lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            yield
