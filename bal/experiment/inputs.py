"""The files that the images and masks of a run come from, remembered to the byte.

Whoever corrects a mask or scans a page again while a run waits changes what its curve is about. That is found out,
named, and accepted only where somebody says so, on record in data.jsonl.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bal.experiment.folder import RunFolder
from bal.sources.base import HasFiles, Source
from bal.sources.reading import THREADS, counted
from bal.system.files import write_whole
from bal.system.lines import Lines
from bal.system.outside import shown
from bal.types import BadInput

SHOWN = 3  # files that a message names
State = tuple[int, int] | None  # bytes and time of the last change; None of what is not there


class Content(NamedTuple):
    """What a file holds."""

    bytes: int | None  # None: it is not there
    sha256: str | None


GONE = Content(None, None)


class Held(NamedTuple):
    """What a run knows of a file."""

    content: Content
    round: int | None = None  # of which the model is the first to see it as it is now; None: it was begun with it


NEVER = (Held(GONE),)  # of a file that was not there when the run was begun


class Inputs:
    """The files that a source reads; none where it does not say."""

    def __init__(self, source: Source):
        names = sorted(set(map(str, source.files))) if isinstance(source, HasFiles) else []
        self._states: dict[str, State] = {name: _state(name) for name in names}

    def check(self, stays: bool) -> None:
        """Raises BadInput if a file is not as it was when this was made, as far as its size and its time tell.

        Args:
            stays: whether there is then a run to go on with.
        """
        changed = [name for name, state in self._states.items() if _state(name) != state]
        if changed:
            go_on = "give --resume --accept-changes to go on with what is there now"
            raise BadInput(
                f"{_some(changed)} while the run was going on: put {_them(changed)} back, or "
                f"{go_on if stays else 'begin again'}"
            )

    def remember(self, folder: RunFolder, accept: bool, round: int) -> list[str]:
        """Writes down what the files hold, if the run has not done so, or else what has changed.

        Args:
            folder: of the run, whose data.jsonl is as the run left it.
            accept: whether changes are accepted.
            round: of the next model to be trained, the first that sees them.

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
        before = history(folder)
        now |= {name: GONE for name in before if name not in now}
        changed = {name: content for name, content in now.items() if before.get(name, NEVER)[-1].content != content}
        if not changed:
            return []
        said, known = _said(changed, before)
        if not accept:
            since = "" if known else f" since {folder.path} was begun"
            there = f"put {_them(changed)} back{' as accepted' if known else ''}"
            raise BadInput(f"{said}{since}: {there}, or give --accept-changes to go on with what is there now")
        folder.inputs.append("".join(_line(name, content, round=round) for name, content in changed.items()))
        since, are = "" if known else " since the run was begun", "is" if len(changed) == 1 else "are"
        return [f"{said}{since}, and {are} read as now; data.jsonl says so"]

    def differing(self, folder: RunFolder) -> str:
        """What is new to a run, has gone or has changed since it last looked, as a sentence; empty for nothing.

        Raises BadInput for a damaged data.jsonl.
        """
        before = {name: held[-1].content for name, held in history(folder).items()}
        if not before:
            return ""
        now = dict(zip(self._states, self._read(), strict=True))
        new = [name for name in now if before.get(name, GONE) == GONE]
        gone = [name for name, content in before.items() if content != GONE and now.get(name, GONE) == GONE]
        other = [name for name in now if name not in {*new, *gone} and now[name] != before[name]]
        parts = [_some(new, "is", "are", "new"), _some(gone, "has", "have", "gone"), _some(other)]
        return ", ".join(part for part in parts if part)

    def _read(self) -> Iterator[Content]:
        with ThreadPoolExecutor(THREADS) as threads:
            yield from counted(threads.map(content_of, self._states), len(self._states))


def history(folder: RunFolder) -> dict[str, list[Held]]:
    """Every file that a run knows, by name: what it held, oldest first. Raises BadInput for a damaged data.jsonl."""
    found: dict[str, list[Held]] = {}
    for _, (name, held) in Lines(folder.inputs.path).news(_entry):
        if name in found and held.round is None:
            raise BadInput(f"{folder.inputs.path} has {shown(name)} twice; put it back as it was")
        found.setdefault(name, [] if held.round is None else [*NEVER]).append(held)
    return found


def accepted(folder: RunFolder) -> list[tuple[int, str, Content]]:
    """Changes that were accepted, oldest first: the first round whose model saw it, the file, and what it holds."""
    found = [(name, held) for name, all_of_it in history(folder).items() for held in all_of_it]
    changes = [(held.round, name, held.content) for name, held in found if held.round is not None]
    return sorted(changes, key=lambda change: change[:2])


def content_of(name: str) -> Content:
    """Of a file, by its name; one that is a folder, or is gone, has none."""
    try:
        with open(name, "rb") as file:
            mark = hashlib.file_digest(file, "sha256").hexdigest()
            return Content(file.tell(), mark)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Content(None, None)


def _entry(text: str) -> tuple[str, Held]:
    """A file, and what it held when a run was begun or from a round on."""
    line = json.loads(text)
    return line["file"], Held(Content(line["bytes"], line["sha256"]), int(line["round"]) if "round" in line else None)


def _line(name: str, content: Content, **more: Any) -> str:
    return json.dumps({"file": name, **content._asdict(), **more}) + "\n"


def _state(name: str) -> State:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _said(changed: Mapping[str, Content], before: Mapping[str, Sequence[Held]]) -> tuple[str, bool]:
    """What there is to say of files that have changed, and whether a change of one of them was accepted before."""
    back: dict[str, int] = {}  # those that are as they were before a change, and the round of that
    for name, content in changed.items():
        held = before.get(name, NEVER)
        was = [later.round for earlier, later in pairwise(held) if earlier.content == content]
        back |= {name: was[-1]} if was and was[-1] is not None else {}
    parts = [_some(others)] if (others := [name for name in changed if name not in back]) else []
    for round in sorted(set(back.values())):
        names = [name for name in back if back[name] == round]
        many = len(names) > 1
        parts.append(
            f"{f'{len(names)} files ({_few(names)}) are as they were' if many else f'{shown(names[0])} is as it was'} "
            f"before the change{'s' * many} that {'were' if many else 'was'} accepted in round {round}"
        )
    return ", and ".join(parts), any(len(before.get(name, NEVER)) > 1 for name in changed)


def _some(names: Sequence[str], one: str = "has", many: str = "have", what: str = "changed") -> str:
    if not names:
        return ""
    if len(names) == 1:
        return f"{shown(names[0])} {one} {what}"
    return f"{len(names)} files {many} {what} ({_few(names)})"


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")


def _them(names: Sized) -> str:
    return "it" if len(names) == 1 else "them"
