"""An annotator's constants from recorded answers: seconds = open + edge · pixels of boundary drawn."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from bal.annotation import views
from bal.annotation.entries import Entry, Reply
from bal.annotation.inbox import Inbox
from bal.pool.cost import Effort, boundary
from bal.system.files import write_whole
from bal.types import IGNORE, BadInput

FEWEST = 10  # answers with seconds that two constants can be told from


class Fitted(NamedTuple):
    """What recorded answers say of those who gave them."""

    effort: Effort
    answers: int  # with seconds
    people: int
    error: float  # median of |seconds − what this says| over what this says


def fit(inbox: Inbox) -> Fitted:
    """Least squares in which a coffee break counts little (soft L1), over all answers that were measured.

    What was drawn is the boundary of the label, or, where a prediction was there to correct, that of its errors if they
    are less. Clicks of the trace tool are not recorded, so what one takes is not fitted.

    Raises:
        BadInput: fewer than FEWEST answers have seconds.
    """
    entries = inbox.entries()
    said = [r for by in inbox.by_question().values() for r in by.values() if r.label is not None and r.seconds]
    if len(said) < FEWEST:
        raise BadInput(f"{inbox.folder}: {len(said)} answers have seconds, and it takes {FEWEST} to fit an effort to")
    drawn = [_drawn(inbox.folder, entries[reply.id], reply) for reply in said]
    length, seconds = np.array([n for n, _ in drawn], np.float64), np.array([r.seconds for r in said], np.float64)
    spread = max(float(np.median(np.abs(seconds - np.median(seconds)))), 1e-3)
    start = np.array([np.median(seconds) / 2, np.median(seconds) / 2 / max(length.mean(), 1.0)])
    found = least_squares(
        lambda x: x[0] + x[1] * length - seconds, start, bounds=((1e-3, 0.0), np.inf), loss="soft_l1", f_scale=spread
    )
    opening, edge = (round(float(v), 4) for v in found.x)
    helped = any(shown for _, shown in drawn)
    effort = Effort(max(opening, 1e-3), edge, "correct" if helped else "none")
    expected = effort.open + effort.edge * length
    error = float(np.median(np.abs(seconds - expected) / expected))
    return Fitted(effort, len(said), len({r.by for r in said}), error)


def write(path: Path, fitted: Fitted) -> None:
    """Writes what `--config` takes."""
    effort = fitted.effort
    write_whole(
        path,
        f"# fitted to {fitted.answers} answers of {fitted.people} people, half of which took within "
        f"{100 * fitted.error:.0f} % of what this says\n"
        f"cost: effort\neffort:\n  open: {effort.open:g}\n  edge: {effort.edge:g}\n  assist: {effort.assist}\n",
    )


def _drawn(folder: Path, entry: Entry, reply: Reply) -> tuple[int, bool]:
    """Pixels of boundary that were drawn for an answer, and whether there was something to correct."""
    assert reply.label is not None
    label = reply.label.astype(np.int32)
    before, length = views.prefill(folder, entry), boundary(label)
    if before is None:
        return length, False
    wrong = np.where(label == IGNORE, IGNORE, before.label != label)
    return min(length, boundary(wrong.astype(np.int32))), True
