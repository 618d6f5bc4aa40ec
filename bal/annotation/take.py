"""Questions to another program, and its answers back, by one rule for every format.

An answer is matched by the id of its question, its size is checked, what lies outside the asked box is nobody's to say
(255), a picture on which nothing is drawn is all background, what is absent is unanswered, unknown ids are listed, and
nothing that the same person has said before is overwritten. A file that is refused, or that finds no room on the disk,
leaves nothing behind; after a kill it is taken again, for what is there already is known.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from bal.annotation import views
from bal.annotation.earlier import answers_of, run_in
from bal.annotation.entries import Entry, Reply, checked, name_of
from bal.annotation.formats import FORMATS, FormatName
from bal.annotation.formats._files import LARGEST, below, json_of, xml_of
from bal.annotation.formats.base import Imported, Task
from bal.annotation.inbox import Inbox, Outcome
from bal.system.exit_status import NO_ROOM
from bal.system.outside import kind
from bal.types import IGNORE, BadInput

MOST = 200_000  # files in an archive
DIMMED, GREY = 0.4, 128  # share of grey in what surrounds a region that is asked about, and which


@dataclass
class Taken:
    """What became of the answers of an export: ids by outcome."""

    outcomes: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in get_args(Outcome)})
    unknown: list[str] = field(default_factory=list)  # never asked here
    elsewhere: int = 0  # answers of another run about regions that are not asked about here

    def add(self, id: str, outcome: Outcome) -> None:
        """Counts one."""
        self.outcomes[outcome].append(id)


def give(inbox: Inbox, to: FormatName, out: Path, share: tuple[int, int] = (1, 1)) -> list[Entry]:
    """Writes the open questions of a run for another program.

    Args:
        inbox: of the run.
        to: of `FORMATS`.
        out: a folder that is made, or is empty. It appears whole.
        share: (i, n), the i-th of n parts of about equal size, 1 ≤ i ≤ n; the parts are disjoint and complete.

    Returns:
        The questions written.

    Raises:
        BadInput: nothing is open, the folder is in use, or a picture is missing.
    """
    which, parts = share
    if not 1 <= which <= parts:
        raise BadInput(f"--share {which}/{parts}: the first number runs from 1 to the second")
    newest, open_ = inbox.newest(), {entry.id for entry in inbox.open()}
    mine = [entry for place, entry in enumerate(newest) if place % parts == which - 1 and entry.id in open_]
    if not mine:
        raise BadInput(f"{inbox.folder} has no open question" + (f" in share {which}/{parts}" if parts > 1 else ""))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists and is not empty; choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        FORMATS[to].write([task_of(inbox, entry) for entry in mine], mine[0].classes, part)
        os.chmod(part, 0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return mine


def task_of(inbox: Inbox, entry: Entry) -> Task:
    """A question with its picture, the surroundings dimmed, and what a model would draw where that may be shown."""
    picture, drawn = views.pixels(inbox.folder, entry), views.prefill(inbox.folder, entry)
    top, left, height, width = entry.inside
    box, asked = (slice(top, top + height), slice(left, left + width)), np.zeros(picture.shape[:2], bool)
    asked[box] = entry.asked_pixels()
    view = np.where(asked[..., None], picture, (1 - DIMMED) * picture + DIMMED * GREY).astype(np.uint8)
    if drawn is None:
        return Task(entry, view, None, None)
    whole = np.zeros(asked.shape, np.uint8)
    whole[box] = np.where(entry.asked_pixels(), drawn.label, 0)
    return Task(entry, view, whole, entry.score)


def take(
    inbox: Inbox, export: Path, by: str | None = None, format: FormatName | None = None, *, replace: bool = False
) -> Taken:
    """Takes the answers of an export: all of it is read before the first is kept.

    Args:
        inbox: of the run.
        export: a file, a folder, or a .zip of either; or the folder of another run.
        by: who answered; whom the file names, or else the format, unless given.
        format: of `FORMATS`; by what the export looks like unless given.
        replace: whether what it says counts instead of what the same person has said before, of a purchase that is
            open.

    Raises:
        BadInput: it is no export, is damaged, or holds an answer that fits no question.
    """
    asked = inbox.entries()
    if not asked:
        raise BadInput(f"{inbox.folder} holds no questions; python -m bal.run --annotator people asks them")
    if by is not None:
        by = name_of(by)
    if not export.exists():
        raise BadInput(f"{export} does not exist")
    if (what := kind(export)) not in (None, "a folder"):
        raise BadInput(f"{export} is {what}; give a file or a folder")
    with _unpacked(export) as place:
        if format is None and (run := run_in(place)):
            name, (found, elsewhere) = "run", answers_of(run, asked)
        else:
            name, elsewhere = format or recognise(place, export), 0
            found = FORMATS[name].read(place, asked, next(reversed(asked.values())).classes)
    found = [answer._replace(by=by or answer.by) for answer in found]

    def may_go(before: Reply) -> bool:
        return replace and inbox.closed(asked[before.id].purchase) is None

    taken = keep(inbox, found, name, str(export), f"{name}:{export.name}", may_go)
    taken.elsewhere = elsewhere
    return taken


def keep(
    inbox: Inbox,
    found: Sequence[Imported],
    unnamed: str,
    where: str,
    source: str,
    replace: Callable[[Reply], bool] = lambda before: False,
) -> Taken:
    """Keeps answers by the one rule, all of them or none.

    Args:
        inbox: of the run.
        found: answers as another program has them.
        unnamed: who answered where nobody is named, unless somebody has said the same.
        where: what they were found in, for what is said of them.
        source: what answers.jsonl says they are from.
        replace: whether another may take the place of this one, which the same person has said before.

    Raises:
        BadInput: an answer fits no question, or there are two of one person to one question.
    """
    replies, result = _replies(found, inbox, unnamed, where, source), Taken()
    result.unknown = sorted({answer.id for answer in found if answer.id not in inbox.entries()})
    outcomes = inbox.answer_all(replies, replace)
    for reply, outcome in zip(replies, outcomes, strict=True):
        result.add(reply.id, outcome)
    return result


def recognise(place: Path, export: Path) -> FormatName:
    """The format of an export. Raises BadInput for none, or for more than one."""
    names: list[FormatName] = [name for name, format in FORMATS.items() if format.recognises(place)]
    if not names:
        for suffix, load in ((".json", json_of), (".xml", xml_of)):
            for path in below(place, suffix):
                load(path)  # which says how it is damaged
    if len(names) != 1:
        what = f"looks like {' and '.join(names)}" if names else f"looks like none of {', '.join(FORMATS)}"
        raise BadInput(f"{export} {what}; say which it is with --format")
    return names[0]


def _replies(found: Sequence[Imported], inbox: Inbox, unnamed: str, where: str, source: str) -> list[Reply]:
    """Answers to what was asked, checked; one a person and question."""
    asked, said = inbox.entries(), inbox.by_question()
    replies: dict[tuple[str, str], Reply] = {}
    for answer in found:
        if answer.id not in asked:
            continue
        entry, who = asked[answer.id], answer.by or unnamed
        label = None if answer.label is None else _cut(answer.label, entry, where)
        status = "skipped" if label is None else "labelled"
        reply = Reply(answer.id, who, "", status, label, answer.seconds, None, source)
        try:
            reply = checked(reply, entry)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        if answer.by is None:  # the same file again is no second person
            alike = (by for by, other in said.get(answer.id, {}).items() if other.same(reply))
            reply = reply._replace(by=next(alike, reply.by))
        before = replies.setdefault((answer.id, reply.by), reply)
        if not before.same(reply):
            raise BadInput(f"{where} answers {answer.id} twice, and differently, for {reply.by}; leave one of them")
    return list(replies.values())


def _cut(label: np.ndarray, entry: Entry, where: str) -> np.ndarray:
    """The asked box [height, width] of a label [h, w] of the view."""
    if label.shape != entry.view[2:]:
        size = " x ".join(map(str, label.shape))
        raise BadInput(f"{where}: {entry.id} is {size}; it was asked as {entry.view[2]} x {entry.view[3]}")
    top, left, height, width = entry.inside
    return np.where(entry.asked_pixels(), label[top : top + height, left : left + width], IGNORE)


@contextmanager
def _unpacked(export: Path) -> Iterator[Path]:
    """The export itself, or what a .zip holds, for as long as it is needed."""
    if export.suffix.lower() != ".zip" or not export.is_file():
        yield export
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(export) as archive:
                files = archive.infolist()
                names = [_place(file.filename) for file in files if not file.is_dir()]
                if twice := [name for name, count in Counter(names).items() if count > 1]:
                    raise BadInput(f"{export} holds {twice[0]!r:.80} twice; export it again")
                if len(files) > MOST or sum(file.file_size for file in files) > LARGEST:
                    raise BadInput(f"{export} holds more than any export; unpack it and give the folder")
                archive.extractall(folder)  # which leaves out roots and `..`
        except (BadInput, MemoryError):
            raise
        except Exception as error:  # of any of the ways to compress, by its own name
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            told = (zipfile.BadZipFile, RuntimeError)  # of the container; of a way to compress or a password
            why = " ".join(str(error).split()) if isinstance(error, told) else "its data are damaged"
            why = error.strerror if isinstance(error, OSError) and error.strerror else why
            raise BadInput(f"{export} cannot be unpacked ({why:.100}); export it again") from None
        try:
            yield Path(folder)
        except BadInput as error:
            raise BadInput(str(error).replace(folder, str(export))) from None


def _place(member: str) -> str:
    """Where a member of an archive is unpacked to."""
    return "/".join(part for part in member.split("/") if part not in ("", ".", ".."))
