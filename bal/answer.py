"""`python -m bal.answer RUN EXPORT`: answers from another program."""

from __future__ import annotations

from bal.system.exit_status import exit_status, leave, listen

if __name__ == "__main__":
    listen()  # before what takes seconds to import

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bal.annotation import fit_effort
from bal.annotation.agreement import agreement
from bal.annotation.formats import FORMATS, FormatName
from bal.annotation.inbox import Inbox, open_inbox
from bal.annotation.take import Taken, take
from bal.config.usage import option, read
from bal.system.outside import shown

SHOWN = 5  # ids that are named of each kind
MEANS = {
    "taken": "new",
    "known": "said before, by the same person",
    "conflicting": "differ from what the same person has said, and were left out; --replace takes them instead",
    "late": "came after their purchase was closed; kept in case their regions are asked about again",
}


@dataclass(frozen=True)
class Settings:
    """Takes answers to the questions of a run from what another program exports, and says what is open."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    export: Annotated[Path | None, tyro.conf.Positional, option("[EXPORT]")] = None
    """A file, a folder, a .zip, or the folder of another run; without one, what is open is said."""
    by: Annotated[str | None, option("NAME")] = None
    """Who answered; whom the file names unless given."""
    format: Annotated[FormatName | None, option("FORMAT", f"{', '.join(FORMATS)}; by its look unless given.")] = None
    """What the export is."""
    replace: Annotated[tyro.conf.FlagCreatePairsOff[bool], option()] = False
    """Let them count instead of what the same person has said before, of questions whose purchase is open."""
    fit_effort: Annotated[tyro.conf.FlagCreatePairsOff[bool], option()] = False
    """Fit an annotator's constants to the seconds of all answers, and write RUN/effort.yaml for --config."""


def main(argv: Sequence[str] | None = None) -> int:
    """Does what a command line says; returns the exit status."""
    return exit_status(lambda: _answer(read(Settings, argv, "python -m bal.answer")))


def _answer(settings: Settings) -> None:
    inbox = open_inbox(settings.run)
    if settings.export is not None:
        print(
            "\n".join(
                map(shown, told(take(inbox, settings.export, settings.by, settings.format, replace=settings.replace)))
            )
        )
    if settings.fit_effort:
        found = fit_effort.fit(inbox)
        path = settings.run / "effort.yaml"
        fit_effort.write(path, found)
        effort = found.effort
        print(
            shown(f"{found.answers} answers: {effort.open:g} s to open, {effort.edge:g} s a pixel of boundary → {path}")
        )
    print("\n".join(map(shown, standing(inbox))))


def told(taken: Taken) -> list[str]:
    """What became of an export, a line a kind; at least one."""
    lines = [_line(len(ids), kind, MEANS[kind], ids) for kind, ids in taken.outcomes.items() if ids]
    if taken.elsewhere:
        lines.append(f"{taken.elsewhere:>5} elsewhere: about regions not asked about here, or blindly; try again later")
    if taken.unknown:
        lines.append(_line(len(taken.unknown), "unknown", "were never asked here", taken.unknown))
    return lines or ["the export holds no answer"]


def standing(inbox: Inbox) -> list[str]:
    """What is open, how far people agree, and what to do next."""
    open_, newest, run = inbox.open(), inbox.newest(), inbox.folder
    lines, late, both = [], inbox.late(), agreement(inbox)
    if both.regions:
        ious = ", ".join(f"{name} {value:.2f}" for name, value in both.iou.items() if not math.isnan(value))
        lines.append(f"people agree on {both.regions} regions that two have labelled, IoU: {ious}")
    if late:
        lines.append(f"{len(late)} answers came too late, and count if their regions are asked about again")
    if not newest:
        more = "with more --budget and --rounds where all is decided"
        return [*lines, f"nothing is asked now; go on with: python -m bal.run --resume --out {run}", f"({more})"]
    if open_:
        return [*lines, f"{len(open_)} of {len(newest)} questions are still open: python -m bal.desk {run}"]
    return [*lines, f"all {len(newest)} questions are answered; go on with: python -m bal.run --resume --out {run}"]


def _line(count: int, kind: str, means: str, ids: Sequence[str]) -> str:
    if kind not in ("conflicting", "unknown", "late"):
        return f"{count:>5} {kind}: {means}"
    named = [f"{id if id.isprintable() else repr(id):.40}" for id in ids[:SHOWN]]  # as a file has them
    return f"{count:>5} {kind}: {means} ({', '.join(named)}{', …' if len(ids) > SHOWN else ''})"


if __name__ == "__main__":
    leave(main())
