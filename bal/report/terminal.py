"""What a person sees while a run goes on: progress on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from bal.config.extensions import name_of
from bal.config.schema import Config
from bal.experiment import fits, stopping
from bal.experiment.events import Event, Record
from bal.experiment.folder import RunFolder
from bal.experiment.hand_over import sentence as unseen
from bal.metrics import summary
from bal.metrics.base import Headline
from bal.metrics.trust import sentence
from bal.pool.cost import COUNTED
from bal.report.columns import of_whom, on_audit, over, told
from bal.report.learned import sentence as unlearned, untold
from bal.report.lines import classes_of, digits, folded, notes, reads_truth, round_parts
from bal.system.outside import shown
from bal.types import Waiting

PLAIN = 80  # columns where there is no terminal, and COLUMNS does not say
SHARE = {
    "read": (0.0, 0.0),
    "pretrain": (0.0, 0.0),
    "fit": (0.0, 0.85),
    "evaluate": (0.85, 0.05),
    "score": (0.9, 0.1),
}  # where a stage lies in a round
NAMES = {"read": "reading", "pretrain": "pre-training", "fit": "training", "evaluate": "evaluating", "score": "scoring"}
UNITS = {"read": "file", "pretrain": "step", "fit": "step", "evaluate": "image", "score": "image"}


class TimeLeft(ProgressColumn):
    """Counts down to when the run will be done, as far as is known."""

    def render(self, task: Task) -> Text:
        if task.fields["done_at"] is None:
            return Text("-:--:-- left")
        seconds = max(0, round(task.fields["done_at"] - time.monotonic()))
        return Text(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left")


class Display:
    """A context in which a run is watched. `watch` and `record` are given to the loop."""

    def __init__(self, config: Config, out: Path, quiet: bool = False, resume: bool = False):
        self.config, self.out, self.quiet, self.resume = config, out, quiet, resume
        self.console = Console(
            highlight=False, width=None if sys.stdout.isatty() else get_terminal_size((PLAIN, 24)).columns
        )
        self.rows: list[Mapping[str, Any]] = []  # of the run so far
        self.fitted: set[int] = set()  # rounds that this process has trained
        self.seen: set[str] = set()  # stages that have made progress, so that their programs are compiled
        self.banner: Sequence[str] = ()  # what the run is, until it is said: not before a refusal
        self.told = False  # that it compiles, where there is no terminal
        self.begun: tuple[float, float] | None = None  # when measuring the pace began, and how far the run was then
        self.pace: float | None = None  # seconds a round
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[detail]}"),
            TimeLeft(),
            console=self.console,
            transient=True,
            expand=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.task = self.progress.add_task("starting", total=config.rounds + 1, detail="", done_at=None)

    def __enter__(self) -> Display:
        self.rows = list(RunFolder(self.out).rows()) if self.resume else []
        if not self.quiet:
            config = self.config
            folder = RunFolder(self.out)
            head, source = name_of("head", config.head), name_of("source", config.source)
            counted = COUNTED[config.cost]
            again = f"resuming {folder.path}" if folder.config.is_file() else f"no run in {folder.path} yet: a new one"
            rounds = f"{config.rounds} round{'s' * (config.rounds != 1)}"
            self.banner = [
                f"bal: {name_of('acq', config.acq)} with {head} on {source};",
                f"{config.start:g} {counted} at random, then up to {config.budget:g} in {rounds}",
                *(["(the selector reads the truth: an upper baseline)"] if reads_truth(config) else []),
                f"→ {self.out}",
                *([f"({again})"] if self.resume else []),
            ]
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *rest: object) -> None:
        self.progress.stop()
        if kind is None or isinstance(error, Waiting):
            self._introduce()
        if isinstance(error, Waiting) and error.row is not None:
            self._say_round(error.row)
            if not self.quiet:
                self._print(f"report: {RunFolder(self.out).report}")
        folder = RunFolder(self.out)
        if kind is None and (rows := folder.rows()):
            if not self.quiet:
                self._table(summary_table(rows, self.console.width))
            names = classes_of(rows[-1])
            said = [*(of(rows, names) for of in (unlearned, untold)), stopping.sentence(self.config, rows[-1], names)]
            self.note([one for one in said if one])
            if not self.quiet:
                self._print(f"report: {folder.report}", f"curve:  {folder.curve.path}")
                self.say([f"more:   python -m bal.run --resume --out {self.out}", "--budget … --rounds …"])

    def _introduce(self) -> None:
        """Says what the run is, once it is known to go on."""
        banner, self.banner = self.banner, ()
        if banner:
            self.say(banner)

    def _say_round(self, row: Mapping[str, Any]) -> None:
        """A round, compared with the one before it, perhaps of an earlier process; and what nobody has seen yet."""
        before = next((one for one in reversed(self.rows) if one["round"] < row["round"]), None)
        if not self.quiet:
            self.say(round_parts(row, before, self.config, row["round"] not in self.fitted))
        if said := unseen(row, classes_of(row)):
            self.note([said])

    def say(self, parts: Sequence[str], style: str | None = None) -> None:
        """Prints a line; what is wider than the terminal, or than COLUMNS where there is none, goes on below."""
        self._print(*folded(list(map(shown, parts)), self.console.width), style=style)

    def _print(self, *lines: str, style: str | None = None) -> None:
        """Lines as they are: no name in them is taken for markup, and none moves the cursor."""
        self.console.print("\n".join(map(shown, lines)), style=style, soft_wrap=True, markup=False, emoji=False)

    def _table(self, table: Table) -> None:
        """As rich lays it out; where there is no terminal, without blanks at the ends of lines."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        self._print(*(line.rstrip() for line in captured.get().splitlines()))

    def note(self, lines: Sequence[str]) -> None:
        """What a person should know although nothing has failed; also of a quiet run."""
        if lines:
            self._introduce()
        for line in lines:
            self.say([f"note: {line}"], style="yellow")

    def watch(self, event: Event) -> None:
        """Moves the progress bar, or says a note."""
        if event.note:
            self.note([event.note])
            return
        if event.stage != "read" or self.console.is_terminal:  # how far reading is, is shown there
            self._introduce()
        first, length = SHARE[event.stage]
        completed = event.round + first + length * event.done / max(event.total, 1)
        if event.done and event.stage not in self.seen:
            self.seen.add(event.stage)
            self.begun = None  # compiling says nothing of how long the rest will take
        if event.stage == "fit":
            self.fitted.add(event.round)
        stage, detail = NAMES[event.stage], f"{UNITS[event.stage]} {event.done}/{event.total}"
        if event.stage not in self.seen:
            stage, detail = "compiling", "takes a while"
            if event.stage == "fit" and not (self.quiet or self.told or self.console.is_terminal):
                self.say([f"round {event.round}/{self.config.rounds}: compiling, which takes a while, then training"])
                self.told = True
        elif not event.done:
            detail = "starting"
        elif event.loss is not None:
            detail += f", loss {event.loss:.4f}"
        self.progress.update(
            self.task,
            completed=completed,
            description=f"round {event.round}/{self.config.rounds}: {stage:<10}",
            detail=detail,
            done_at=self._done_at(completed),
        )

    def record(self, record: Record) -> None:
        """Says what a round has brought, and whether less was bought than should have been."""
        self._say_round(record.row)
        if self.config.steer == "auto" and self.config.acq.needs and record.queries and not self.quiet:
            self.say([f"trust: {sentence(record.row)}"])
        if not record.queries and (falling := fits.sentence(record.row)):  # the last fit, after which nothing is bought
            self.note([falling])
        self.note(notes(record, self.config))
        self.rows.append(record.row)
        self.begun = None  # the first round has compiled everything: later ones say better how long a round takes

    def _done_at(self, completed: float) -> float | None:
        """When the run will be done, if it goes on as it has since the end of its newest round."""
        now = time.monotonic()
        if self.begun is None:
            self.begun = now, completed
        since, base = self.begun
        if completed - base > 0.1 or (self.pace is None and completed > base):
            self.pace = (now - since) / (completed - base)
        return None if self.pace is None else now + self.pace * (self.config.rounds + SHARE["score"][0] - completed)


def summary_table(rows: Sequence[Mapping[str, Any]], width: int = PLAIN) -> Table:
    """The acquisition curve as a table of at most `width` columns; what does not fit is in curve.csv."""
    names = classes_of(rows[0])
    lines = [line for line in summary.headlines(names) if line.column in rows[-1]]
    *others, narrowest = (_table(rows, names, layout) for layout in _layouts(lines, names))
    return next((table for table in others if Console(width=10_000).measure(table).maximum <= width), narrowest)


class Layout(NamedTuple):
    """What a table shows."""

    lines: list[Headline]
    images: bool  # the mean over images beside what is pooled over all pixels
    temperature: bool = True


def _layouts(lines: Sequence[Headline], names: Sequence[str]) -> Iterator[Layout]:
    """What a table may show, widest first.

    Of each class, and of the foreground, the first family's column stays longest. Then go the second number of each,
    the temperature, the background, and last the classes of the foreground, from the end; never the calibration.
    """
    first = {line.name: line for line in reversed(lines)}
    more = [line for line in lines if line != first[line.name]]
    for kept in range(len(more), -1, -1):
        yield Layout([line for line in lines if line not in more[kept:]], True)
    short = [line for line in lines if line == first[line.name]]
    yield Layout(short, False)
    for gone in ((), names[:1]):
        yield Layout([line for line in short if line.name not in gone], False, False)
    for kept in range(len(names) - 1, 1, -1):
        yield Layout([line for line in short if line.name not in (names[0], *names[kept:])], False, False)


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], layout: Layout) -> Table:
    """The means over images are not there where intervals have to be."""
    lines, means = layout.lines, layout.images and not on_audit(rows[-1])
    left_out = [name for name in names if name not in {line.name for line in lines}]
    what = "that of the background" if left_out == [names[0]] else f"{len(left_out)} more classes"
    more = f"; {what} in curve.csv" if left_out else ""
    captions = list(dict.fromkeys(line.caption for line in lines if line.caption))
    captions += ["T: temperature, mean over classes"] * layout.temperature
    title = of_whom("IoU over all test pixels" + (" (mean over images)" if means else "") + more, rows[-1])
    everywhere = f"IoU {rows[-1]['iou_all_background']:.3f} on it, 0 on the rest."
    table = Table(
        title=_text(title + (f", 95 % intervals {over(rows[-1])}" if on_audit(rows[-1]) else "")),
        caption=_text(
            f"Predicting {names[0]} everywhere: {everywhere}",
            *([f"{'; '.join(captions)}."] if captions else []),
        ),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    temperature = ["T"] * layout.temperature
    by_pixels = any(row["cost"] != row["regions"] for row in rows)
    for name in ("round", "regions", *(("cost",) if by_pixels else ()), *(line.title for line in lines), *temperature):
        table.add_column(_text(*name.split("\n")), justify="right", no_wrap=True)
    for row in rows:
        cells = [str(row["round"]), str(row["regions"])]
        if by_pixels:
            cells.append(f"{row['cost']:g}")
        cells += [_cell(row, line, means) for line in lines]
        table.add_row(*cells, *(digits(row["temperature"], 2) for _ in temperature))
    return table


def _text(*lines: str) -> Text:
    """What rich shows as it is, not as markup."""
    return Text("\n".join(map(shown, lines)))


def _cell(row: Mapping[str, Any], line: Headline, images: bool) -> str:
    """One number, what it was before calibration, and its mean over images."""
    raw = row.get(f"{line.column}_raw")
    before = "" if raw is None or (math.isnan(raw) and math.isnan(row[line.column])) else f"{digits(raw)}→"
    beside = f" ({digits(row[line.beside])})" if images and line.beside else ""
    if on_audit(row) and line.beside:  # a share of pixels, which a handful of regions cannot tell
        return told(row, line.column)
    return before + digits(row[line.column]) + beside
