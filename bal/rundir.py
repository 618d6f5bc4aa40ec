"""What a run leaves behind: files that are complete or absent, and journals that can be cut back to a known length."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bal.types import BadInput

MARK = "config.yaml"


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader finds the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class Journal:
    """An append-only text file. An entry that cannot be written whole is taken back."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

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
        """Forgets everything after the first `size` bytes."""
        if self.path.exists():
            os.truncate(self.path, size)


class RunFolder:
    """One run on disk: config.yaml, curve.csv, queries.jsonl, checkpoints/ and report.html."""

    def __init__(self, path: Path):
        self.path = path
        self.curve = Journal(path / "curve.csv")
        self.ledger = Journal(path / "queries.jsonl")
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.html"
        self.config = path / MARK

    def begin(self, config: str, resume: bool, overwrite: bool) -> None:
        """Makes the folder ready for a new run, or leaves that of an old one as it is.

        Raises:
            BadInput: there is something in the way, or nothing that could be resumed.
        """
        taken = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        if taken and not self.config.is_file():
            if not self._only_ours():
                raise BadInput(f"{self.path} exists and holds no run; choose another --out")
            taken = False
        if taken and not (resume or overwrite):
            raise BadInput(f"{self.path} holds a run already: give --resume, --overwrite or another --out")
        if taken and overwrite:
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            write_whole(self.config, config)

    def _only_ours(self) -> bool:
        """Whether all there is is a run killed before its first file was complete."""
        return self.path.is_dir() and all(p.name == f".{MARK}.part" for p in self.path.iterdir())

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Appends one line to curve.csv, and the header before the first."""
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

    def rows(self) -> list[dict[str, float]]:
        """The rows of curve.csv; whole numbers as int."""
        if not self.curve.size:
            return []
        with open(self.curve.path, encoding="utf-8", newline="") as file:
            return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(file)]

    def queries(self) -> list[dict[str, Any]]:
        """The lines of queries.jsonl."""
        if not self.ledger.size:
            return []
        return [json.loads(line) for line in self.ledger.path.read_text(encoding="utf-8").splitlines()]


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
