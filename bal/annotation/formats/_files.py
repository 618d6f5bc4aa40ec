"""Reading what other programs export: which file, what encoding, and nothing that a file could do to us."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import re
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from bal.annotation.entries import LONGEST, Entry, shortened
from bal.annotation.palette import UNKNOWN, colour
from bal.annotation.views import DAMAGED_PICTURE
from bal.types import IGNORE, BadInput

LARGEST = 2**28  # bytes of an export
BROKEN = (*DAMAGED_PICTURE, IndexError, AssertionError, UserWarning)  # what Pillow says of a damaged PNG
WRITTEN = ("utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be")  # encodings that a text may say it has
UNSURE = "unsure"  # what a pixel that nobody knows is called in other programs


def file_of(entry: Entry) -> str:
    """The name of a question's picture, without suffix: its id, which any run may have, and a mark of what it asks."""
    return f"{entry.id}_{mark_of(entry)}"


def id_of(name: str, asked: Mapping[str, Entry], where: object) -> str:
    """The id of the question that a picture is of, by the name of its file.

    Raises:
        BadInput: the file was written by another run, or before a picture was changed, and asks something else.
    """
    stem = Path(name.replace("\\", "/")).stem
    id, _, mark = stem.partition("_")
    if id not in asked or not re.fullmatch(r"[0-9a-f]{8}", mark):
        return stem
    check_mark(mark, asked[id], where)
    return id


def check_mark(mark: object, entry: Entry, where: object) -> None:
    """Raises BadInput for the mark of a question that asks something else by the same id."""
    if mark != mark_of(entry):
        raise BadInput(f"{where}: {entry.id} is a question of another run, or of a copy of this one")


def mark_of(entry: Entry) -> str:
    """Eight letters that differ where another image, or another place in it, is asked about."""
    return hashlib.sha256(f"{entry.pixels} {entry.size} {entry.box} {entry.view}".encode()).hexdigest()[:8]


def unsure(classes: tuple[str, ...]) -> str:
    """The name of what nobody knows, beside some classes."""
    name = UNSURE
    while name in classes:
        name += "?"
    return name


def labels_of(classes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Name and colour (#rrggbb) of what can be drawn: every class but the background, and what nobody knows."""
    shown = [(name, colour(index)) for index, name in enumerate(classes)][1:]
    return [(name, "#{:02x}{:02x}{:02x}".format(*rgb)) for name, rgb in (*shown, (unsure(classes), UNKNOWN))]


def below(export: Path, suffix: str) -> list[Path]:
    """The file itself, or those in a folder, by suffix; no more than two folders deep."""
    if export.is_file():
        return [export] if export.suffix.lower() == suffix else []
    found = [p for depth in ("*", "*/*", "*/*/*") for p in sorted(export.glob(depth))]
    return [p for p in found if p.suffix.lower() == suffix and p.is_file() and not p.name.startswith(".")]


def bytes_of(path: Path) -> bytes:
    """What a file holds. Raises BadInput for more than any export has."""
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path} has {path.stat().st_size / 2**20:,.0f} MiB; export fewer questions at a time")
    return path.read_bytes()


def text_of(path: Path) -> str:
    """A text file in UTF-8 or UTF-16, with or without a mark. Raises BadInput for anything else, or too much of it."""
    data = bytes_of(path)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8 or UTF-16 (byte {error.start}); export it again") from None


def json_of(path: Path) -> Any:
    """What a JSON file holds. Raises BadInput for what is none, or is nested deeper than any export."""
    text = text_of(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}: line {error.lineno}: {error.msg}; the file is damaged, export it again") from None
    except RecursionError:
        raise BadInput(f"{path} is nested too deeply to be an export") from None
    except ValueError:
        raise BadInput(f"{path} holds a number of thousands of digits; the file is damaged, export it again") from None


def xml_of(path: Path) -> ElementTree.Element:
    """The root of an XML file. Raises BadInput for damage, and for what makes a text other than it is written.

    That is a document type, whose entities grow without end or vanish, and an encoding that the file does not have.
    """
    text, builder = text_of(path), ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*args: object) -> None:
        raise BadInput(f"{path} declares entities or a document type, which no export does; export it again")

    def check(version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and not _may_declare(encoding, text):
            raise BadInput(f"{path} is not written in the encoding {encoding!r:.40} that it declares; export it again")

    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = check
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise BadInput(f"{path}: line {error.lineno}: {error}; the file is damaged, export it again") from None
    return builder.close()


def _may_declare(encoding: str, text: str) -> bool:
    """Whether a text that was read as Unicode may say that it has an encoding."""
    try:
        return codecs.lookup(encoding).name in WRITTEN or text.isascii()
    except LookupError:
        return False


def holds(export: Path, suffix: str, load: Callable[[Path], Any], suits: Callable[[Any], bool]) -> bool:
    """Whether an export holds a file of a kind. Raises nothing."""
    for path in below(export, suffix):
        try:
            if suits(load(path)):
                return True
        except BadInput:
            continue
    return False


def the_one(
    export: Path, suffix: str, load: Callable[[Path], Any], suits: Callable[[Any], bool], asks: Callable[[Any], bool]
) -> tuple[Path, Any]:
    """The file of an export that holds the answers, and what is in it.

    Args:
        export: a file, or a folder in which every file of this kind must be whole.
        suffix, load: of the kind.
        suits: whether what a file holds is of the format.
        asks: whether it holds but questions; such files are left out where there are answers.

    Raises:
        BadInput: a file is damaged, or there is none of the format, or more than one.
    """
    paths = [export] if export.is_file() else below(export, suffix)
    found = [(path, inside) for path, inside in ((path, load(path)) for path in paths) if suits(inside)]
    answers = [(path, inside) for path, inside in found if not asks(inside)] or found
    if len(answers) != 1:
        several = ", ".join(path.name for path, _ in answers[:4])
        what = f"several files that could be meant ({several:.120})" if answers else "nothing of this format"
        raise BadInput(f"{export} holds {what}; give the one file that was exported")
    return answers[0]


def png_of(data: bytes, size: tuple[int, int], where: object) -> Image.Image:
    """A picture of a size (height, width) from the bytes of a PNG, all of it, to its end mark.

    Raises:
        BadInput: it is none, or several, or of another size, which is found out before it is unpacked.
    """
    try:
        if data[12:16] == b"IHDR":
            _check_size(struct.unpack(">II", data[16:24]), size, where)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # such as an animation that breaks off
            PngImageFile(io.BytesIO(data)).verify()
            image = PngImageFile(io.BytesIO(data))
            _check_size(image.size, size, where)
            image.load()
    except BadInput:
        raise
    except BROKEN:
        raise BadInput(f"{where} is no PNG, or a damaged one; export it again") from None
    if image.n_frames > 1:
        raise BadInput(f"{where} is an animation; export one picture")
    return image


def _check_size(found: Sequence[int], size: tuple[int, int], where: object) -> None:
    """Raises BadInput for a picture whose (width, height) are not what was asked."""
    if tuple(found) != size[::-1]:
        raise BadInput(f"{where} is {found[1]} x {found[0]}; it was asked as {size[0]} x {size[1]}")


def flag(value: object, what: str, where: object) -> bool:
    """Yes or no, as JSON has it; no where nothing is said. Raises BadInput for anything else, such as a text."""
    if not (value is None or (isinstance(value, int) and value in (0, 1))):
        raise BadInput(f"{where}: {what} is {shortened(value):.40}; expected true or false")
    return bool(value)


def paint(label: np.ndarray, mask: np.ndarray, value: int) -> None:
    """Adds a mask [h, w] of a class to a label [h, w]; what two classes claim nobody knows."""
    other = mask & (label != 0) & (label != value)
    label[mask] = value
    label[other] = IGNORE


def class_of(name: object, classes: tuple[str, ...], where: object) -> int:
    """The number of a class, IGNORE for unsure. Raises BadInput for a name that is none."""
    if name == unsure(classes):
        return IGNORE
    if not isinstance(name, str) or name not in classes:
        raise BadInput(f"{where}: there is no class {name!r:.80}; the classes are {', '.join(classes)}")
    return classes.index(name)


def seconds_of(value: object, where: object) -> float | None:
    """Seconds from a number or its text; None for nothing. Raises BadInput for what is none."""
    if value is None or value == "":
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    written = isinstance(value, str) and re.fullmatch(r"[0-9eE.+-]+", value)  # no 1_0, which Python reads as ten
    try:
        found = float(str(value)) if number or written else float("nan")
    except (ValueError, OverflowError):
        found = float("nan")
    if not 0 <= found <= LONGEST:
        raise BadInput(
            f"{where}: {shortened(value):.40} are no seconds; expected a number from 0 to 1,000,000, or nothing"
        )
    return found


def keyed(value: object, *names: str) -> TypeGuard[Mapping[str, Any]]:
    """Whether something is a mapping that has these keys."""
    return isinstance(value, Mapping) and all(name in value for name in names)
