"""Who has answered, how long it took them, and how far they agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bal.annotation.agreement import Agreement, Person, agreement, people
from bal.annotation.inbox import Inbox
from bal.report.columns import ABSENT, show
from bal.report.style import escape
from bal.report.tables import header, table


class Team(NamedTuple):
    """The people of a run."""

    people: Sequence[Person]
    agreement: Agreement


def team_of(inbox: Inbox) -> Team | None:
    """Whoever has answered so far; None where nobody was asked, or nobody has answered yet."""
    found = people(inbox) if inbox.exists() else []
    return Team(found, agreement(inbox)) if found else None


def team_table(team: Team) -> str:
    """A line a person, and above it what they agree on and what they skipped."""
    body = [
        (
            escape(person.by),
            str(person.labelled),
            str(person.skipped) if person.skipped else ABSENT,
            show(person.seconds, 1),
            ABSENT if math.isnan(person.changed) else f"{100 * person.changed:.1f} %",
        )
        for person in team.people
    ]
    head = header("who", "labelled", "skipped", "seconds a region", "drawn pixels changed", text=(0,))
    return f'<p class="note">{escape(said(team))}</p>{table(head, body, newest=False, text=(0,))}'


def said(team: Team) -> str:
    """Agreement and skipped audits, in words."""
    both, skipped = team.agreement, sum(person.audits_skipped for person in team.people)
    ious = ", ".join(f"{name} {value:.2f}" for name, value in both.iou.items() if not math.isnan(value))
    parts = ["Medians. How much of a prediction was changed says how much it helped, not how good it was."]
    if both.regions:
        parts.append(
            f"On {both.regions} region{'s' * (both.regions != 1)} that two people labelled they agree with an IoU of "
            f"{ious}: no model can be shown to do better."
        )
    if skipped:
        parts.append(
            f"{skipped} audited region{'s were' if skipped > 1 else ' was'} skipped: nothing that is said of the model "
            "is said of those."
        )
    return " ".join(parts)
