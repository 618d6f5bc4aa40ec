"""Tables that people keep beside their pictures: any delimiter, UTF-8 or UTF-16, any form of a name."""

from __future__ import annotations

import csv
import difflib
import io
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bal.system.outside import read_bytes, shown
from bal.types import BadInput

MOST = 2**28  # bytes of a table
DELIMITERS = ",;\t|"
PLACES = ("images", "jpegimages")  # folders of images, in lower case


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The values of some columns, a row each that names a file; the first column is the file's name.

    The delimiter is the one by which the first line has these columns; a byte order mark is no part of the first.

    Raises:
        BadInput: it is no table, or has other columns.
    """
    text = decode(path, f"a CSV with the columns {','.join(columns)}")
    first = text.partition("\n")[0]
    try:
        for delimiter in sorted(DELIMITERS, key=first.count, reverse=True):
            names = [name.strip().lower() for name in next(csv.reader([first.strip()], delimiter=delimiter), [])]
            if set(columns) <= set(names):
                break
        else:
            usual = max(DELIMITERS, key=first.count)
            names = [name.strip() for name in next(csv.reader([first.strip()], delimiter=usual), [])]
            has = ", ".join(names) or "none"
            raise BadInput(f"folder: {path} has the columns {has:.100}; it needs {' and '.join(columns)}")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[1:]
    except csv.Error as error:
        raise BadInput(f"folder: {path} cannot be read as CSV ({error}); save it as UTF-8 text") from None
    best = {name: names.index(name) for name in columns}
    found = []
    for row in rows:
        values = tuple(row[k].strip() if k < len(row) else "" for k in best.values())
        if values[0]:
            found.append(values)
    return found


def decode(path: Path, what: str) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark. Raises BadInput."""
    try:
        data = read_bytes(path, MOST, "folder: ")
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"folder: {path} cannot be read as CSV or text ({error}); save {what} as UTF-8") from None


def composed(name: str) -> str:
    """The name of a file in the one form that names are compared in; where it is no UTF-8, it is taken for Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("latin-1")
    return unicodedata.normalize("NFC", name)


def one_line(text: str) -> str:
    """A text that may hold names of files, such as anything can print."""
    return shown(" ".join(text.split()))


class Names:
    """Finds which images a name in a table means: a path or a bare name, with or without suffix."""

    def __init__(self, files: Mapping[str, tuple[str, ...]]):
        """`files`: under the path of each file, relative to the folder and in normal form, the ids of its pages."""
        self._whole: dict[str, set[str]] = {}  # names that leave nothing out
        self._bare: dict[str, set[str]] = {}
        for file, ids in files.items():
            path = PurePosixPath(file)
            parts = [part for part in path.parts if part.lower() not in PLACES]
            short = PurePosixPath(*parts)
            for name in (file, file.removesuffix(path.suffix), str(short), str(short).removesuffix(path.suffix)):
                self._whole.setdefault(name, set()).update(ids)
            for name in (path.name, path.stem):
                self._bare.setdefault(name, set()).update(ids)
            for id in ids:
                self._whole.setdefault(id, set()).add(id)

    def find(self, name: str, table: Path) -> set[str]:
        """Ids of the images that are meant; empty if there are none.

        Raises:
            BadInput: a bare name that files of several folders have.
        """
        key = composed(name)
        if key not in self._whole and key not in self._bare:  # as another system writes it
            key = key.strip().replace("\\", "/").removeprefix("./")
        if key in self._whole:
            return self._whole[key]
        found = self._bare.get(key, set())
        if "/" in key:  # a path from elsewhere, where there is only one folder that it can mean
            found = {id for id in self._bare.get(PurePosixPath(key).name, ()) if "/" not in id}
        folders = {id.rpartition("/")[0] for id in found}
        if len(folders) > 1:
            some = " and ".join(sorted(found)[:2])
            raise BadInput(f"folder: {name!r} in {table} may mean {some}; write their folder, too")
        return found

    def nearest(self, name: str) -> str:
        """The end of a message about an unknown name."""
        return nearest(composed(name), [*self._whole, *self._bare])


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: one that it may have meant."""
    names = list(names)
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else f"; there is {min(names)}" if names else ""
