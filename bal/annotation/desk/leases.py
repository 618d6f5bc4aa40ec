"""Who is looking at which question: for ten minutes nobody else is shown it, whatever desk they sit at.

A lease is a small file in `held/` of the run's folder, derived and deletable: without it two people may answer the same
question, which is merged as if it had been asked of two.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from bal.annotation.entries import Entry
from bal.annotation.journal import write_whole

SECONDS = 600.0


class Leases:
    """The leases of a run's folder."""

    def __init__(self, folder: Path, now=time.time):
        self.folder, self.now = folder / "held", now

    def hold(self, entry: Entry, by: str) -> bool:
        """Takes or renews a lease; False where somebody else has one."""
        path = self.folder / f"{entry.id}.json"
        self.folder.mkdir(exist_ok=True)
        mine = json.dumps({"by": by, "until": self.now() + SECONDS})
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if self.holder(entry) not in (None, by):
                return False
            write_whole(path, mine)
            return True
        with os.fdopen(handle, "w") as file:
            file.write(mine)
        return True

    def holder(self, entry: Entry) -> str | None:
        """Who holds a question now."""
        try:
            found = json.loads((self.folder / f"{entry.id}.json").read_text())
            return found["by"] if found["until"] > self.now() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def release(self, entry: Entry, by: str) -> None:
        """Gives a question back, unless it is somebody else's by now."""
        if self.holder(entry) not in (None, by):
            return
        (self.folder / f"{entry.id}.json").unlink(missing_ok=True)
