"""What a person sees while a run goes on: progress on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from bal.config import Config
from bal.extensions import name_of
from bal.loop import Event, Record
from bal.rundir import RunFolder

SHARE = {"fit": (0.0, 0.85), "evaluate": (0.85, 0.05), "score": (0.9, 0.1)}  # where a stage lies in a round
NAMES = {"fit": "training", "evaluate": "evaluating", "score": "scoring the pool"}


class Display:
    """A context in which a run is watched. `watch` and `record` are given to the loop."""

    def __init__(self, config: Config, out: Path, quiet: bool = False):
        self.config, self.out, self.quiet = config, out, quiet
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
        self.last: Mapping[str, Any] | None = None
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.task = self.progress.add_task("starting", total=config.rounds + 1, detail="")

    def __enter__(self) -> Display:
        if not self.quiet:
            head, source = name_of("head", self.config.head), name_of("source", self.config.source)
            self.console.print(
                f"bal: {name_of('acq', self.config.acq)} with {head} on {source}; {self.config.budget:g} "
                f"{self.config.cost} in {self.config.rounds} rounds after a start of {self.config.start:g} → {self.out}"
            )
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.progress.stop()
        if kind is None and not self.quiet:
            folder = RunFolder(self.out)
            rows = folder.rows()
            if rows:
                self.console.print(summary_table(rows))
                self.console.print(f"report: {folder.report}\ncurve:  {folder.curve.path}", soft_wrap=True)

    def watch(self, event: Event) -> None:
        """Moves the progress bar."""
        first, length = SHARE[event.stage]
        loss = "" if event.loss is None else f", loss {event.loss:.4f}"
        self.progress.update(
            self.task,
            completed=event.round + first + length * event.done / max(event.total, 1),
            description=f"round {event.round} of {self.config.rounds}: {NAMES[event.stage]}",
            detail=f"{event.done}/{event.total}{loss}",
        )

    def record(self, record: Record) -> None:
        """Says what a round has brought."""
        if not self.quiet:
            self.console.print(round_line(record.row, self.last, self.config), soft_wrap=True)
        if record.short >= 1 and not any(q["policy"] == "random" for q in record.queries):
            self.console.print(
                f"note: the pool had no more regions for {record.short:g} {self.config.cost} of this purchase",
                style="yellow",
                soft_wrap=True,
            )
        self.last = record.row


def classes_of(row: Mapping[str, Any]) -> list[str]:
    """The names of the classes, from the columns of curve.csv."""
    return [key.removeprefix("f1_") for key in row if key.startswith("f1_")]


def round_line(row: Mapping[str, Any], before: Mapping[str, Any] | None, config: Config) -> str:
    """One round in one line."""
    parts = [f"round {row['round']}/{config.rounds}: {row['cost']:g} {config.cost}, IoU"]
    for name in classes_of(row):
        gain = "" if before is None else f" ({row[f'iou_{name}'] - before[f'iou_{name}']:+.3f})"
        parts.append(f"{name} {row[f'iou_{name}']:.3f}{gain}")
    parts.append(f"| foreground ECE {row['ece_foreground_raw']:.3f} → {row['ece_foreground']:.3f}")
    parts.append(f"| fit {row['seconds_fit']:.0f} s, score {row['seconds_score']:.0f} s")
    return "  ".join(parts)


def summary_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The acquisition curve as a table; pooled IoU, and the mean over images beside it."""
    names = classes_of(rows[0])
    baseline = rows[-1]["iou_all_background"]
    table = Table(
        title="IoU over all test pixels (mean over images)",
        caption=f"Predicting {names[0]} everywhere scores {baseline:.3f} on {names[0]} and 0 on the rest.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("round", justify="right")
    table.add_column("regions", justify="right")
    table.add_column("cost", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("fg ECE before → after", justify="right")
    table.add_column("T", justify="right")
    for row in rows:
        cells = [f"{_shown(row[f'iou_{n}'])} ({_shown(row[f'iou_image_{n}'])})" for n in names]
        ece = f"{_shown(row['ece_foreground_raw'])} → {_shown(row['ece_foreground'])}"
        table.add_row(
            str(row["round"]), str(row["regions"]), f"{row['cost']:g}", *cells, ece, f"{_shown(row['temperature'], 2)}"
        )
    return table


def _shown(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
