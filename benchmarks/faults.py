"""Does anything that befalls a run lose a purchase, or make one twice?

    python benchmarks/faults.py --kills 200
    python benchmarks/faults.py --seconds 600

A run of seconds (48 × 48 logs, three purchases, no report drawn) and everything that may happen to it. What it should
have bought is known from a run in peace, and every disturbed one is taken up with `--resume` until it has ended. Its
ledger is then compared line by line, its metrics number by number, and what lies in its folder name by name.

    kill      SIGKILL at random instants, uniform over the length of a run; a run is killed again until it ends in peace
    cut       SIGKILL before each call that changes the folder, and in the middle of each write; two that leave the same
              are one
    full      from each call that needs room on, the disk has none
    signal    SIGINT and SIGTERM at each stage: when it begins, and a third of a second later
    flip      a bit flipped, and a byte inserted, in each file of a run that was left half-way
    input     what no run can be made of

Cases of a kind come in a random order, so that a part of them is a sample. Rows that are there are not computed again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from support import disturbed, rows
from support.disturbed import Bench, Forks

NAME = "faults"
KINDS = ("kill", "cut", "full", "signal", "flip", "input")
EVERY = 10**6


@dataclass(frozen=True)
class Settings:
    kills: int = 200
    """Random instants."""
    cuts: int = EVERY
    """Calls before which a run is killed, and writes within which it is; all that there are unless fewer."""
    fulls: int = EVERY
    """Calls from which on the disk is full."""
    signals: int = EVERY
    """Signals at stages."""
    flips: int = EVERY
    """Damaged files."""
    inputs: int = EVERY
    """Bad inputs."""
    seconds: float = 1e9
    """The longest to go on with each kind."""
    seed: int = 0
    """Of instants, places and orders."""
    folder: Path = Path(tempfile.gettempdir()) / "bal-faults"
    """Where the runs are; compiled programs stay there."""


def plan(
    bench: Bench, wanted: Settings
) -> Iterator[tuple[str, list[Any], int, Callable[..., Iterator[dict[str, Any]]]]]:
    """Kinds, all their cases, how many of them one process takes, and what to do with these."""
    if wanted.inputs:
        yield "input", disturbed.bad_cases(bench), 40, disturbed.bad
    if wanted.flips:
        yield "flip", disturbed.flips(bench), 20, disturbed.damaged
    if wanted.signals:
        yield "signal", disturbed.signal_cases(bench), 1, disturbed.interrupted
    if wanted.kills:
        yield "kill", list(range(wanted.kills)), 1, disturbed.kill
    if wanted.cuts:
        yield "cut", disturbed.cut_states(bench), 20, disturbed.cut
    if wanted.fulls:
        yield "full", [call.number for call in bench.calls if call.fills], 20, disturbed.full


def weight(row: dict[str, Any]) -> int:
    """How many of its kind a row counts for."""
    return len(row["killed"]) if row["kind"] == "kill" else 1


def measure(settings: Settings) -> None:
    """One row a case; of those of one kind as many as are wanted, in a random order."""
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"  # to compile
    os.environ.setdefault("XLA_FLAGS", quick)
    cache = settings.folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with Forks(cache) as forks:
        bench = Bench(forks, settings.folder, settings.seed)
        for kind, cases, batch, do in plan(bench, settings):
            wanted, until = getattr(settings, f"{kind}s"), time.monotonic() + settings.seconds
            bench.random(kind).shuffle(cases)
            while time.monotonic() < until:
                mine = [row for row in rows.read(NAME) if row["kind"] == kind]
                done, left = [row["case"] for row in mine], wanted - sum(map(weight, mine))
                some = [case for case in cases if case not in done][: max(0, min(batch, left))]
                if not some:
                    break
                for case, found in zip(some, do(bench, some), strict=True):
                    rows.append(NAME, {"kind": kind, "case": case, "of": len(cases), **found})
                    print(kind, case, found, flush=True)


SAID = {
    "kill": "SIGKILL at a random instant",
    "cut": "SIGKILL before a call, or within a write",
    "full": "the disk is full from a call on",
    "signal": "SIGINT or SIGTERM at a stage",
    "flip": "a bit flipped or a byte inserted in a file",
    "input": "input that no run can be made of",
}


def counts() -> dict[str, list[int]]:
    """By kind: cases, of how many, purchases lost, bought twice, and cases that did not end as they should."""
    found: dict[str, list[int]] = {}
    for row in rows.read(NAME):
        mine = found.setdefault(row["kind"], [0, 0, 0, 0, 0])
        mine[0] += weight(row)
        mine[1] = row["of"]
        mine[2] += row.get("lost", 0)
        mine[3] += row.get("twice", 0)
        mine[4] += not row.get("same", False)
    return found


def table() -> str:
    """What befell runs, and what they lost."""
    everything, found = rows.read(NAME), counts()
    lines = []
    for kind in (kind for kind in KINDS if kind in found):
        cases, of, lost, twice, odd = found[kind]
        bought = ["–", "–"] if kind == "input" else [str(lost), str(twice)]
        every = kind == "kill" or cases >= of  # where files and stages differ from session to session, there are more
        lines.append([SAID[kind], str(cases) if every else f"{cases} of {of}", *bought, str(odd)])
    lines.append(["together", *(str(sum(found[kind][n] for kind in found)) for n in (0, 2, 3, 4))])
    ends = [row.get("outcome", "failed") for row in everything if row["kind"] == "flip"]
    damage = ", ".join(f"{ends.count(end)} {end}" for end in ("refused", "set aside", "harmless"))
    return (
        "## Faults\n\n`python benchmarks/faults.py`: a run of three purchases, disturbed, taken up with `--resume` and "
        "compared with one that was left in peace: ledger byte by byte, metrics number by number. Odd is a case that "
        "ended in any other way than the undisturbed run, or one line and nothing changed. Of the damaged files "
        f"{damage}. Where not all cases of a kind are there, those that are were drawn at random; the script goes on "
        "with the rest.\n\n" + rows.markdown(["what befell", "cases", "purchases lost", "bought twice", "odd"], lines)
    )


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
