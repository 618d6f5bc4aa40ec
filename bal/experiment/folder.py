"""What a run leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bal.experiment import journals
from bal.experiment.journals import Journal, Journals, Stand
from bal.experiment.lock import Lock
from bal.system.files import fsync, write_whole
from bal.system.lines import Lines
from bal.system.outside import kind
from bal.types import BadInput

MARK = "config.yaml"
LAST = "last_entry.json"
PEOPLE = ("questions.jsonl", "answers.jsonl")  # what people were asked, and what they answered
LINE = {"round", "image", "region", "policy", "cost"}  # what every line of queries.jsonl has
SAYS = ("acq:", "rounds:")  # how some lines of it begin


class RunFolder:
    """One run on disk: config.yaml, data.jsonl, curve.csv, queries.jsonl, fits/, checkpoints/ and the report's files.

    Where the source knows styles, styles/. Where it is logged elsewhere too (`--log`), logs/. Where people answer,
    questions.jsonl and answers.jsonl too (`bal.annotation.inbox`), which nothing here deletes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.curve = Journal(path / "curve.csv")
        self.ledger = Journal(path / "queries.jsonl")
        self.checkpoints = path / "checkpoints"
        self.journals = Journals((self.curve, self.ledger), self.checkpoints / LAST)
        self.report = path / "report.html"
        self.diagrams = path / "reliability.png"
        self.logs = path / "logs"  # of the sinks that a run is logged to besides, see `bal.report.logs`
        self.fits = path / "fits"  # how the loss went, see `bal.experiment.fits`
        self.styles = path / "styles"  # how good on each, see `bal.experiment.by_style`
        self.config = path / MARK
        self.people = tuple(path / name for name in PEOPLE)
        self.inputs = Lines(path / "data.jsonl")  # what the files of the source hold, see `bal.experiment.inputs`
        self.lock = Lock(path)  # held by the process that runs it
        self.new = False  # whether this process began the run
        self._made = False

    def begin(self, config: str, resume: bool, overwrite: bool) -> None:
        """Makes the folder ready for a new run, or leaves that of an old one as it is.

        `resume` without a run begins one, so that a run killed before its first file was written can be resumed too.
        `overwrite` deletes the files of a run and nothing else.

        Raises:
            BadInput: there is something in the way.
        """
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise BadInput(f"{self.path} is a name that is not UTF-8, in which no checkpoint can be written") from None
        if self.path.exists() and not self.path.is_dir():
            raise BadInput(f"{self.path} is a file; --out names the folder of a run")
        self._made = not self.path.exists()
        self._check(resume or overwrite)
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            for folder in made:
                with suppress(PermissionError):  # of a folder that can be entered and not read
                    fsync(folder.parent)
            self.lock.acquire()
            self._check(resume or overwrite)  # of what the last owner has left
            if overwrite and self.holds_run():
                self.clear()
            for part in self._parts():
                part.unlink(missing_ok=True)
            self.new = not self.config.exists()
            if self.new:
                write_whole(self.config, config)
        except BaseException as error:
            if isinstance(error, OSError) and self.new:
                self.discard()
            self.lock.release()
            self._unmake()
            raise

    def _check(self, allowed: bool) -> None:
        """Raises BadInput for a folder of somebody else, or for that of a run where there may be none."""
        there = set(self.path.iterdir()) if self.path.exists() else set()
        if there - {*self._parts(), self.lock.path}:
            if not self.holds_run():
                raise BadInput(f"{self.path} exists and holds no run; choose another --out")
            if not allowed:
                raise BadInput(f"{self.path} holds a run already: give --resume, --overwrite or another --out")

    def has_questions(self) -> bool:
        """Whether people have been asked, or have answered."""
        return any(os.path.lexists(file) for file in self.people)

    def clear(self) -> None:
        """Deletes the files of a run and nothing else, that which makes the folder one last.

        Raises:
            BadInput: people have been asked, whose work is never deleted.
        """
        if self.has_questions():
            raise BadInput(
                f"{self.path} holds questions to people or their answers, which --overwrite would delete: "
                "choose another --out, or delete the folder yourself"
            )
        for folder in (self.checkpoints, self.logs, self.fits, self.styles):
            if folder.exists():
                shutil.rmtree(folder)
        own = (self.report, self.diagrams, self.inputs.path, self.curve.path, self.ledger.path, self.config)
        for file in (*self._parts(), *own):
            file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Deletes a run that has come to nothing, and its folder if that was made for it; never what people did."""
        if self.has_questions():
            return
        self.clear()
        self.lock.release()
        self._unmake()

    def _unmake(self) -> None:
        """Deletes the folder if it was made for this run and is empty."""
        with suppress(OSError):  # somebody else has put something there
            if self._made:
                self.path.rmdir()

    def stands(self) -> dict[str, Stand]:
        """Of curve.csv, of queries.jsonl, of data.jsonl, and of what people were asked and answered, by name."""
        own = {journal.path.name: journals.stand(journal.path) for journal in (self.curve, self.ledger)}
        return own | {file.name: journals.stand(file, Lines(file).size) for file in self._grown()}

    def check(self, stands: Mapping[str, Stand]) -> None:
        """Raises BadInput for a journal that is not as the run left it, but for an entry that a kill has cut off."""
        for file in self._grown():
            journals.check(file, stands[file.name], None)
        self.journals.check([stands[journal.path.name] for journal in (self.curve, self.ledger)])

    def _grown(self) -> tuple[Path, ...]:
        """Files of whole lines, to which lines may be added between two checkpoints."""
        return (self.inputs.path, *self.people)

    def _parts(self) -> list[Path]:
        """Files that only a killed process leaves: it was about to rename or to delete them."""
        names = (MARK, self.inputs.path.name, self.diagrams.name, self.report.name, self.checkpoints.name)
        found = [part for name in names for part in self.path.glob(f".{name}.????????")]
        found += [*self.fits.glob(".*.????????"), *self.styles.glob(".*.????????")]
        return found + list(self.checkpoints.glob(f".{LAST}.????????"))

    def holds_run(self) -> bool:
        """Whether there is a config.yaml, and it is one of ours.

        Raises:
            BadInput: what should be a file of it is a FIFO, a device or a folder.
        """
        for path in (self.config, self.curve.path, self.ledger.path, self.inputs.path, *self.people):
            if found := kind(path):
                raise BadInput(f"{path} is {found}, and no file of a run: take it away, or choose another --out")
        if not self.config.is_file():
            return False
        lines = self.config.read_text(encoding="utf-8", errors="replace").splitlines()
        return all(any(line.startswith(key) for line in lines) for key in SAYS)

    def record(self, row: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> None:
        """Adds a line to curve.csv, unless it is empty, and lines to queries.jsonl.

        Raises:
            BadInput: the columns are not those of the rows before.
        """
        self.journals.add([self._row(row) if row else "", "".join(json.dumps(line) + "\n" for line in queries)])

    def _row(self, row: Mapping[str, Any]) -> str:
        header = next(csv.reader(io.StringIO(self.curve.read(), newline="")), None)
        if header is not None and header != list(row):
            odd = sorted(set(header) ^ set(row)) or ["their order"]
            raise BadInput(
                f"{self.curve.path} has other columns than this version of bal writes ({odd[0]}): finish the run with "
                "the version that began it, or choose another --out"
            )
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header is None:
            writer.writerow(row)
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in row.values()])
        return text.getvalue()

    def rows(self, size: int | None = None) -> list[dict[str, float]]:
        """The rows in the first `size` bytes of curve.csv, all unless given; whole numbers as int.

        Raises:
            BadInput: they cannot be what was written.
        """
        text = io.StringIO(self.curve.read(size), newline="")
        try:
            return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(text)]
        except (ValueError, AttributeError, csv.Error):
            raise self.curve.damaged() from None

    def queries(self, size: int | None = None) -> list[dict[str, Any]]:
        """The lines in the first `size` bytes of queries.jsonl, all unless given.

        Raises:
            BadInput: they cannot be what was written.
        """
        try:
            lines = [json.loads(line) for line in self.ledger.read(size).splitlines()]
        except (ValueError, RecursionError):
            raise self.ledger.damaged() from None
        if not all(isinstance(line, dict) and line.keys() >= LINE for line in lines):
            raise self.ledger.damaged()
        return lines


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def folder_of(out: Path | str) -> RunFolder:
    """The folder of a run. Raises BadInput for what names none."""
    if not isinstance(out, str | Path) or "\0" in str(out):
        raise BadInput(f"out: expected the name of a folder, got {out!r:.80}")
    return RunFolder(Path(out))
