"""Files that are complete or absent."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader finds the old one or the new one, never a part, whoever else writes it too."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        file = open(part, "xb")  # noqa: SIM115  (what could not be made is not deleted)
    except OSError as error:
        raise of_file(error, path) from None
    try:
        with file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        fsync(path.parent)
    except OSError as error:
        raise of_file(error, path) from None
    finally:
        part.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Waits until what a file holds is on disk, or the names of what is in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def of_file(error: OSError, path: Path) -> OSError:
    """The same error, with the name of the file that somebody knows."""
    return OSError(error.errno, error.strerror, str(path)) if error.errno else error
