"""What a run leaves behind: files that are complete or absent, and journals that can be cut back to a known length."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bal.types import BadInput

MARK = "config.yaml"
SAYS = ("acq:", "rounds:")  # how some lines of it begin


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader finds the old one or the new one, never a part, whoever else writes it too."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


class Journal:
    """An append-only text file. An entry that cannot be written whole is taken back."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, size: int | None = None) -> str:
        """The first `size` bytes, all unless given: another process may be appending."""
        if not self.size:
            return ""
        with open(self.path, "rb") as file:
            return file.read(-1 if size is None else size).decode()

    def append(self, text: str) -> None:
        """Adds text and waits until it is on disk."""
        before = self.size
        try:
            with open(self.path, "ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.cut(before)
            raise

    def cut(self, size: int) -> None:
        """Forgets everything after the first `size` bytes. Raises BadInput where there are not as many."""
        if self.size < size:
            raise BadInput(
                f"{self.path} has lost {size - self.size} bytes since it was written; put them back or --overwrite"
            )
        if self.size > size:
            os.truncate(self.path, size)


class RunFolder:
    """One run on disk: config.yaml, curve.csv, queries.jsonl, checkpoints/, report.html and reliability.png."""

    def __init__(self, path: Path):
        self.path = path
        self.curve = Journal(path / "curve.csv")
        self.ledger = Journal(path / "queries.jsonl")
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.html"
        self.diagrams = path / "reliability.png"
        self.config = path / MARK
        self.new = False  # whether this process began the run
        self._made = False

    def begin(self, config: str, resume: bool, overwrite: bool) -> None:
        """Makes the folder ready for a new run, or leaves that of an old one as it is.

        `resume` without a run begins one, so that a run killed before its first file was written can be resumed too.
        `overwrite` deletes the files of a run and nothing else.

        Raises:
            BadInput: there is something in the way.
        """
        if self.path.exists() and not self.path.is_dir():
            raise BadInput(f"{self.path} is a file; --out names the folder of a run")
        self._made = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        if set(self.path.iterdir()) - set(self._parts()):
            if not self.holds_run():
                raise BadInput(f"{self.path} exists and holds no run; choose another --out")
            if not (resume or overwrite):
                raise BadInput(f"{self.path} holds a run already: give --resume, --overwrite or another --out")
            if overwrite:
                self.clear()
        for part in self._parts():
            part.unlink(missing_ok=True)
        self.new = not self.config.exists()
        if self.new:
            try:
                write_whole(self.config, config)
            except OSError:
                self.discard()
                raise

    def clear(self) -> None:
        """Deletes the files of a run and nothing else, that which makes the folder one last."""
        if self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)
        for file in (*self._parts(), self.report, self.diagrams, self.curve.path, self.ledger.path, self.config):
            file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Deletes a run that has come to nothing, and its folder if that was made for it."""
        self.clear()
        if self._made and not any(self.path.iterdir()):
            self.path.rmdir()

    def _parts(self) -> list[Path]:
        """Files that only a killed process leaves: it was about to rename or to delete them."""
        names = (MARK, self.diagrams.name, self.report.name, self.checkpoints.name)
        return [part for name in names for part in self.path.glob(f".{name}.????????")]

    def holds_run(self) -> bool:
        """Whether there is a config.yaml, and it is one of ours."""
        if not self.config.is_file():
            return False
        lines = self.config.read_text(encoding="utf-8", errors="replace").splitlines()
        return all(any(line.startswith(key) for line in lines) for key in SAYS)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Appends one line to curve.csv, and the header before the first.

        Raises:
            BadInput: its columns are not those of the rows before it.
        """
        header = next(csv.reader(io.StringIO(self.curve.read(), newline="")), None)
        if header is not None and header != list(row):
            odd = sorted(set(header) ^ set(row)) or ["their order"]
            raise BadInput(
                f"{self.curve.path} has other columns than this version of bal writes ({odd[0]}): finish the run with "
                "the version that began it, or choose another --out"
            )
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.curve.size:
            writer.writerow(row)
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in row.values()])
        self.curve.append(text.getvalue())

    def add_queries(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Appends lines to queries.jsonl."""
        if lines:
            self.ledger.append("".join(json.dumps(line) + "\n" for line in lines))

    def rows(self, size: int | None = None) -> list[dict[str, float]]:
        """The rows in the first `size` bytes of curve.csv, all unless given; whole numbers as int."""
        text = io.StringIO(self.curve.read(size), newline="")
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(text)]

    def queries(self, size: int | None = None) -> list[dict[str, Any]]:
        """The lines in the first `size` bytes of queries.jsonl, all unless given."""
        return [json.loads(line) for line in self.ledger.read(size).splitlines()]


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
