"""How far people agree where two have answered: as much as any model can be shown to reach."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from bal.annotation.inbox import Inbox
from bal.types import IGNORE, confusion, jaccard


class Agreement(NamedTuple):
    """Between people, over the regions that several have labelled."""

    regions: int
    iou: dict[str, float]  # by class, pooled over pixels; NaN where nobody has drawn one


def agreement(inbox: Inbox) -> Agreement:
    """IoU of every class between any two people who labelled the same region. Neither of them is the truth.

    Pixels that one of them was unsure of are left out.
    """
    entries, regions = inbox.entries(), 0
    classes = next(reversed(entries.values())).classes if entries else ()
    table = np.zeros((len(classes), len(classes)), np.int64)
    for said in inbox.by_question().values():
        labels = [reply.label for reply in said.values() if reply.label is not None]
        regions += len(labels) > 1
        for one, two in combinations(labels, 2):
            known = (one != IGNORE) & (two != IGNORE)
            table += confusion(one[known], two[known], len(classes))
    return Agreement(regions, {name: float(value) for name, value in zip(classes, jaccard(table), strict=True)})


class Person(NamedTuple):
    """What one person has done."""

    by: str
    labelled: int
    skipped: int
    audits_skipped: int  # among them: what an audit cannot say anything of
    seconds: float  # median of a region, NaN where nobody measured
    changed: float  # share of the pixels drawn beforehand that were changed, NaN where nothing was drawn


def people(inbox: Inbox) -> list[Person]:
    """Everybody who has answered, by name."""
    entries, said = inbox.entries(), inbox.by_question()
    found = []
    for by in sorted({by for answers in said.values() for by in answers}):
        mine = [(entries[id], answers[by]) for id, answers in said.items() if by in answers]
        skips = [entry for entry, reply in mine if reply.label is None]
        seconds = [reply.seconds for _, reply in mine if reply.seconds is not None]
        helped = [
            (reply.touched, int(entry.asked_pixels().sum())) for entry, reply in mine if reply.touched is not None
        ]
        found.append(
            Person(
                by,
                len(mine) - len(skips),
                len(skips),
                sum(entry.policy == "audit" for entry in skips),
                float(np.median(seconds)) if seconds else float("nan"),
                sum(n for n, _ in helped) / sum(n for _, n in helped) if helped else float("nan"),
            )
        )
    return found
