"""The two journals of a run. They only grow, and are found to the byte as they were written, or refused untouched.

What an entry will add is on disk before it is added, so what a kill leaves of it can be told from what others did.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bal.system.files import fsync, of_file, write_whole
from bal.system.lines import other_ends
from bal.types import BadInput


class Stand(NamedTuple):
    """What a file was when a checkpoint was made."""

    size: int  # bytes
    mark: bytes  # SHA-256 of them


def stand(path: Path, size: int | None = None) -> Stand:
    """Of the first `size` bytes of a file, all unless given; one that is not there is empty."""
    try:
        content = path.read_bytes()[:size]
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    return Stand(len(content), hashlib.sha256(content).digest())


class Journal:
    """An append-only text file. An entry that cannot be written whole is taken back."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, size: int | None = None) -> str:
        """The whole lines in the first `size` bytes, all unless given: another process may be appending.

        Raises:
            BadInput: they are not the text that was written.
        """
        if not self.size:
            return ""
        with open(self.path, "rb") as file:
            found = file.read(-1 if size is None else size)
        try:
            return found[: found.rfind(b"\n") + 1].decode()
        except UnicodeDecodeError:
            raise self.damaged() from None

    def damaged(self) -> BadInput:
        """What there is to say of a file that cannot be what was written."""
        return BadInput(f"{self.path} is damaged: put it back as it was; nothing has been touched")

    def append(self, text: str) -> None:
        """Adds text and waits until it is on disk."""
        before, new = self.size, not self.path.exists()
        try:
            with open(self.path, "ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            if new:
                fsync(self.path.parent)
        except OSError as error:
            self.cut(before)
            raise of_file(error, self.path) from None

    def cut(self, size: int) -> None:
        """Forgets everything after the first `size` bytes."""
        if self.size > size:
            os.truncate(self.path, size)


class Journals:
    """Some journals to which entries are added together, and a file that tells what the last entry was to be."""

    def __init__(self, journals: Sequence[Journal], last: Path):
        self._journals, self._last = journals, last

    def add(self, texts: Sequence[str]) -> None:
        """Adds a text to each, or nothing at all."""
        before = [journal.size for journal in self._journals]
        self._last.parent.mkdir(exist_ok=True)
        write_whole(self._last, json.dumps({"before": before, "texts": list(texts)}))
        try:
            for journal, text in zip(self._journals, texts, strict=True):
                if text:
                    journal.append(text)
        except OSError:
            self.cut(before)
            raise

    def cut(self, sizes: Sequence[int]) -> None:
        """Forgets what comes after the first bytes of each."""
        for journal, size in zip(self._journals, sizes, strict=True):
            journal.cut(size)

    def check(self, stands: Sequence[Stand]) -> None:
        """Raises BadInput unless each is as it was written, with the last entry or a part of it after that, or not."""
        for number, (journal, then) in enumerate(zip(self._journals, stands, strict=True)):
            check(journal.path, then, self._added(number, then.size))

    def _added(self, number: int, size: int) -> bytes:
        """What was, or was to be, added to a journal when it had so many bytes."""
        try:
            last = json.loads(self._last.read_text(encoding="utf-8"))
            return last["texts"][number].encode() if last["before"][number] == size else b""
        except (FileNotFoundError, ValueError, KeyError, IndexError, TypeError, AttributeError):
            return b""  # there is none, or somebody has been at it


def check(path: Path, then: Stand, added: bytes | None = b"") -> None:
    """Raises BadInput unless a file is as it was; after that may follow the first part of `added`, or, if None, all."""
    found = path.read_bytes() if path.exists() else b""
    same = hashlib.sha256(found[: then.size]).digest() == then.mark
    unix = found.replace(b"\r\n", b"\n")
    if unix != found and hashlib.sha256(unix[: then.size]).digest() == then.mark:
        raise other_ends(path)
    if same and (added is None or added.startswith(found[then.size :])):
        return
    if same:
        why = f"has {len(found) - then.size} bytes more than the run has written"
    elif not path.exists():
        why = "is missing"
    elif len(found) < then.size:
        why = f"has lost {then.size - len(found)} bytes since the run wrote it"
    else:
        why = "has been changed since the run wrote it"
    raise BadInput(
        f"{path} {why}: put it back as it was; nothing has been touched. Without a copy, begin anew with another --out "
        "and take along what people have said: python -m bal.answer OUT RUN"
    )


def pack(stands: Mapping[str, Stand]) -> dict[str, list]:
    """As plain values."""
    return {name: [then.size, then.mark.hex()] for name, then in stands.items()}


def unpack(saved: Mapping[str, Sequence]) -> dict[str, Stand]:
    """The inverse of `pack`."""
    return {name: Stand(int(size), bytes.fromhex(mark)) for name, (size, mark) in saved.items()}
