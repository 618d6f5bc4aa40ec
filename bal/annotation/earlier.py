"""The answers of another run to questions about the same regions: a label is paid once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bal.annotation.entries import Entry, Reply
from bal.annotation.formats.base import Imported
from bal.annotation.inbox import Inbox, open_inbox
from bal.types import BadInput

Place = tuple[str, tuple[int, int, int, int], str | None, tuple[str, ...]]  # an image, box, mask and classes


def run_in(export: Path) -> Path | None:
    """The folder of a run that people were asked in: this one, or the only folder in it, as an archive may have it."""
    inside = [path for path in export.iterdir() if not path.name.startswith(".")] if export.is_dir() else []
    places = [export, *(inside if len(inside) == 1 else ())]
    return next((place for place in places if Inbox(place).exists()), None)


def answers_of(run: Path, asked: Mapping[str, Entry]) -> tuple[list[Imported], int]:
    """What people said in another run about regions that this one asks about.

    An image is the same if its pixels are. Where this run must not show what a model thinks, an answer that began from
    what a model had drawn is left out.

    Args:
        run: the folder of the other run, which is not changed.
        asked: questions of this one by id.

    Returns:
        The last answer of each person to each region, by the ids of this run; and how many others there are.

    Raises:
        BadInput: the files of the other run are damaged, or it has other classes.
    """
    inbox = open_inbox(run)
    entries = inbox.entries()
    theirs, ours = ({entry.classes for entry in some.values()} for some in (entries, asked))
    if theirs and ours and not theirs & ours:
        names = [", ".join(next(iter(classes))) for classes in (theirs, ours)]
        raise BadInput(f"{run} has the classes {names[0]}, and this run {names[1]}: its answers mean something else")
    last: dict[Place, dict[str, Reply]] = {}
    for _, reply in inbox.replies():  # in the order of time, whichever question was answered
        last.setdefault(_place(entries[reply.id]), {})[reply.by] = reply
    found = [
        Imported(entry.id, _in_view(reply, entry), by, reply.seconds)
        for entry in asked.values()
        for by, reply in last.get(_place(entry), {}).items()
        if reply.touched is None or not entry.blind
    ]
    here = {(_place(asked[answer.id]), answer.by) for answer in found}
    return found, sum(map(len, last.values())) - len(here)


def _place(entry: Entry) -> Place:
    return entry.pixels, entry.box, entry.mask, entry.classes


def _in_view(reply: Reply, entry: Entry) -> np.ndarray | None:
    """The label [h, w] of the view of a question; None where it was skipped."""
    if reply.label is None:
        return None
    top, left, height, width = entry.inside
    label = np.zeros(entry.view[2:], np.int32)
    label[top : top + height, left : left + width] = reply.label
    return label
