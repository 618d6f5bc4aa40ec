"""The files that the images and masks of a run come from, remembered to the byte.

Whoever corrects a mask or scans a page again while a run waits changes what its curve is about. That is found out,
named, and accepted only where somebody says so, on record in data.jsonl.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bal.annotation.journal import write_whole
from bal.experiment.folder import RunFolder
from bal.outside import shown
from bal.sources.base import HasFiles, Source
from bal.sources.reading import THREADS, counted
from bal.types import BadInput

SHOWN = 3  # files that a message names
State = tuple[int, int] | None  # bytes and time of the last change; None of what is not there


class Content(NamedTuple):
    """What a file holds."""

    bytes: int | None  # None: it is not there
    sha256: str | None


class Inputs:
    """The files that a source reads; none where it does not say."""

    def __init__(self, source: Source):
        names = sorted(set(map(str, source.files))) if isinstance(source, HasFiles) else []
        self._states: dict[str, State] = {name: _state(name) for name in names}

    def check(self) -> None:
        """Raises BadInput if a file is not as it was when this was made, as far as its size and its time tell."""
        changed = [name for name, state in self._states.items() if _state(name) != state]
        if changed:
            raise BadInput(
                f"{_some(changed)} while the run was going on: put {_them(changed)} back, or give --resume "
                "--accept-changes to go on with what is there now"
            )

    def remember(self, folder: RunFolder, accept: bool) -> list[str]:
        """Writes down what the files hold, if the run has not done so, or else what has changed.

        Args:
            folder: of the run, whose data.jsonl is as the run left it.
            accept: whether changes are accepted.

        Returns:
            What a person should know.

        Raises:
            BadInput: something has changed, and is not accepted; names it.
        """
        now = dict(zip(self._states, self._read(), strict=True))
        if not folder.inputs.path.exists():
            if now:
                write_whole(folder.inputs.path, "".join(_line(name, content) for name, content in now.items()))
            return []
        before: dict[str, Content] = {}
        for _, (name, content, accepted) in folder.inputs.news(_entry):
            if name in before and not accepted:
                raise BadInput(f"{folder.inputs.path} has {shown(name)} twice; put it back as it was")
            before[name] = content
        now |= {name: Content(None, None) for name in before if name not in now}
        changed = {name: content for name, content in now.items() if before.get(name, Content(None, None)) != content}
        if changed and not accept:
            raise BadInput(
                f"{_some([*changed])} since {folder.path} was begun: put {_them(changed)} back, or give "
                "--accept-changes to go on with what is there now"
            )
        round = len(folder.rows())
        folder.inputs.append("".join(_line(name, content, round=round) for name, content in changed.items()))
        are = "is" if len(changed) == 1 else "are"
        said = f"{_some([*changed])} since the run was begun, and {are} read as now; data.jsonl says so"
        return [said] if changed else []

    def _read(self) -> Iterator[Content]:
        with ThreadPoolExecutor(THREADS) as threads:
            yield from counted(threads.map(content_of, self._states), len(self._states))


def content_of(name: str) -> Content:
    """Of a file, by its name; one that is a folder, or is gone, has none."""
    try:
        with open(name, "rb") as file:
            mark = hashlib.file_digest(file, "sha256").hexdigest()
            return Content(file.tell(), mark)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Content(None, None)


def _entry(text: str) -> tuple[str, Content, bool]:
    """A file, what it holds, and whether that was accepted as a change."""
    line = json.loads(text)
    return line["file"], Content(line["bytes"], line["sha256"]), "round" in line


def _line(name: str, content: Content, **more: Any) -> str:
    return json.dumps({"file": name, **content._asdict(), **more}) + "\n"


def _state(name: str) -> State:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _some(names: list[str]) -> str:
    if len(names) == 1:
        return f"{shown(names[0])} has changed"
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} files have changed ({', '.join(map(shown, names[:SHOWN]))}{more})"


def _them(names: Any) -> str:
    return "it" if len(names) == 1 else "them"
