"""Files of images, masks, tables and curves that were changed under a run, and accepted (`--accept-changes`)."""

from __future__ import annotations

from collections.abc import Sequence

from bal.experiment.inputs import Content
from bal.report.columns import ABSENT
from bal.report.style import escape
from bal.report.tables import header, table

Changes = Sequence[tuple[int, str, Content]]  # the first round whose model saw it, the file, what it holds since then
LISTED = 100  # of which there are rows


def changes_table(changes: Changes) -> str:
    """A line a change, oldest first."""
    body = [
        (
            str(round),
            escape(name),
            *(("gone", ABSENT) if held.bytes is None else (str(held.bytes), (held.sha256 or "")[:12])),
        )
        for round, name, held in changes[:LISTED]
    ]
    more = len(changes) - LISTED
    note = f'<p class="note">{more} more in data.jsonl.</p>' if more > 0 else ""
    return (
        table(header("from round", "file", "bytes", "SHA-256 begins", text=(1, 3)), body, newest=False, text=(1, 3))
        + note
    )


def said(changes: Changes) -> str:
    """What they mean for the rows of a run."""
    files, first = len({name for _, name, _ in changes}), min(round for round, *_ in changes)
    many = files > 1
    return (
        f"{files} file{'s' * many} of the data {'were' if many else 'was'} changed after the run was begun, and "
        f"accepted with --accept-changes: what is said from round {first} on rests on other data than what came before."
    )
