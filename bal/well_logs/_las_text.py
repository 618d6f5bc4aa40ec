"""The sections of a LAS file, whatever it is encoded in and however its lines end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from bal.system.devices import memory
from bal.system.outside import read_bytes
from bal.types import BadInput

MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)  # in this order: the mark of UTF-32 begins like that of UTF-16
WORDS = {"V": "VERSION", "W": "WELL", "C": "CURVE", "P": "PARAMETER", "O": "OTHER", "A": "ASCII"}
LAS_3 = {"LOG_DEFINITION": "C", "LOG_DATA": "A", "LOG_PARAMETER": "P"}
LIDAR = b"LASF"
MOST = 2**31  # bytes of a file
SPREAD = 8  # times its size is what a file takes in memory, about


class Section(NamedTuple):
    """What follows a line that begins with ~: its lines that are neither blank nor a comment."""

    title: str
    lines: list[str]
    numbers: list[int]  # of those lines in the file, from 1


def sections(path: Path) -> dict[str, Section]:
    """The sections V, W, C and A of a file, those that it has.

    Those of LAS 3.0 that hold its logs (~Log_Definition, ~Log_Data) count as C and A; other sections are left out.

    Raises:
        BadInput: the file cannot be read, is none of text, is no LAS file, or has one of these sections twice.
    """
    found: list[Section] = []
    for number, text in enumerate(_decode(path).split("\n"), 1):
        text = text.strip(" ")  # a tab at an end may stand beside a missing value
        if text.startswith("~"):
            found.append(Section(text, [], []))
        elif found and text.strip() and not text.startswith("#"):
            found[-1].lines.append(text)
            found[-1].numbers.append(number)
    if not found:
        raise BadInput(f"curves: {path} cannot be read as LAS: it has no section, a line that begins with ~")
    kept: dict[str, Section] = {}
    for letter in "VWCA":
        same = [s for s in found if _letter(s.title, strictly=True) == letter]
        same = same or [s for s in found if _letter(s.title, strictly=False) == letter]
        if len(same) > 1 and letter in "CA":
            titles = " and ".join(s.title[:40] for s in same[:2])
            raise BadInput(f"curves: {path} holds {len(same)} logs ({titles}); save each in a file of its own")
        if same:
            kept[letter] = same[0]
    return kept


def _letter(title: str, *, strictly: bool) -> str | None:
    """Which of the six sections of LAS 2.0 a title stands for, spelt out or, not strictly, by its first letter."""
    match = re.match(r"~\s*(\w+)", title)
    word = match[1].upper() if match else ""
    if "_" in word:
        return LAS_3.get(word)
    known = WORDS.get(word[:1])
    if known is None or (strictly and not (known.startswith(word) or word.startswith(known[:3]))):
        return None
    return word[0]


def _decode(path: Path) -> str:
    try:
        raw = read_bytes(path, min(MOST, memory() // SPREAD), "curves: ")
    except OSError as error:
        raise BadInput(f"curves: {path} cannot be read ({error.strerror})") from None
    if raw.startswith(LIDAR):
        raise BadInput(
            f"curves: {path} is a cloud of lidar points, which ends in .las too; give a Log ASCII Standard file"
        )
    for encoding in _encodings(raw):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise BadInput(f"curves: {path} cannot be read as LAS: it is no text; export it again")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\0\x1a \n")  # DOS ends a text with ^Z
    if not text.strip():
        raise BadInput(f"curves: {path} is empty; export it again")
    if "\0" in text:
        raise BadInput(f"curves: {path} cannot be read as LAS: it is no text; export it again")
    return text


def _encodings(raw: bytes) -> tuple[str, ...]:
    """What to try: as marked; UTF-16 by its zeros; else UTF-8 and the code pages of western Europe."""
    for mark, encoding in MARKS:
        if raw.startswith(mark):
            return (encoding,)
    head = raw[:2000]
    if len(head) > 3 and head[1::2].count(0) > len(head) / 4 and not head[::2].count(0):
        return ("utf-16-le",)
    if len(head) > 3 and head[::2].count(0) > len(head) / 4 and not head[1::2].count(0):
        return ("utf-16-be",)
    return ("utf-8", "cp1252", "latin-1")
