"""What comes from outside: whether a path is a file that can be read, and text that can be shown to a person.

A FIFO is opened for ever, a device never ends, and a text that somebody else wrote can move the cursor of a terminal or
turn the order of what is read; every room that reads files or prints names asks here first.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

from bal.types import BadInput

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
HIDDEN = ("Cc", "Cs", "Zl", "Zp")  # categories that no terminal shows, or that move what it shows
DIRECTED = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # marks of direction
UNSEEN = "\u200b\u2060\ufeff\u00ad\u180e"  # of no width
BREAKS = "\x7f\x85\u2028\u2029"  # besides those below the blank
BRIEF = 80  # letters of a value that a message repeats


def kind(path: Path) -> str | None:
    """What something is that is no regular file: "a FIFO"; None for a file, and for what is not there."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError):  # a zero byte in a name; a link to itself
        return "a link to nowhere" if _is_link(path) else None
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in KINDS if is_kind(mode)), "no file")


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def check_file(path: Path, most: int, about: str = "") -> None:
    """Raises BadInput for what is there and is no file, or holds more than is read of one of its kind.

    Args:
        path: what somebody named.
        most: bytes.
        about: how the message begins.
    """
    found = kind(path)
    if found is not None:
        raise BadInput(f"{about}{path} is {found}; give a file")
    try:
        size = path.stat().st_size
    except (OSError, ValueError):  # whoever opens it says why
        return
    if size > most:
        raise BadInput(f"{about}{path} has {size / 2**20:,.1f} MiB; up to {most / 2**20:,.0f} MiB are read")


def read_bytes(path: Path, most: int, about: str = "") -> bytes:
    """All of a file, opened so that nothing waits for a writer.

    Raises:
        BadInput: it is no file, or holds more than `most` bytes.
        OSError: it cannot be read.
    """
    check_file(path, most, about)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:  # it grows, or has no size that could be asked for
        raise BadInput(f"{about}{path} has more than {most / 2**20:,.0f} MiB, which are read")
    return content


def shown(text: object) -> str:
    r"""A text on one line, in the order in which it is written: what a terminal would obey is escaped, as `\x1b`."""
    return "".join(_escaped(letter) if _obeyed(letter) else letter for letter in str(text))


def shown_lines(text: object) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(shown, str(text).split("\n")))


def breaks(text: str) -> bool:
    """Whether a text holds what breaks a line, or any other control character of ASCII."""
    return any(letter < " " or letter in BREAKS for letter in text)


def brief(value: object) -> str:
    """A value as a message repeats it: as Python writes it, shortened."""
    try:
        text = shown(repr(value))
    except ValueError:  # a number of thousands of digits
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def _obeyed(letter: str) -> bool:
    if letter.isascii():
        return not letter.isprintable()
    return letter in DIRECTED or letter in UNSEEN or unicodedata.category(letter) in HIDDEN


def _escaped(letter: str) -> str:
    return ascii(letter)[1:-1]
