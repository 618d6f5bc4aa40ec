"""Reading what other programs export: which file, what encoding, and nothing that a file could do to us."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from PIL import Image

from bal.annotation.entries import LONGEST, shortened
from bal.annotation.palette import UNKNOWN, colour
from bal.annotation.views import DAMAGED_PICTURE
from bal.types import IGNORE, BadInput

LARGEST = 2**28  # bytes of an export
UNSURE = "unsure"  # what a pixel that nobody knows is called in other programs


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


def text_of(path: Path) -> str:
    """A text file in UTF-8 or UTF-16, with or without a mark. Raises BadInput for anything else, or too much of it."""
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path} has {path.stat().st_size / 2**20:,.0f} MiB; export fewer questions at a time")
    data = path.read_bytes()
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
    """The root of an XML file that declares no entities, which could make it grow without end. Raises BadInput."""
    text, builder = text_of(path), ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*args: object) -> None:
        raise BadInput(f"{path} declares entities, which no export does; export it again")

    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise BadInput(f"{path}: line {error.lineno}: {error}; the file is damaged, export it again") from None
    return builder.close()


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


def png_of(data: bytes, where: object) -> Image.Image:
    """A picture from the bytes of a PNG, all of it, to its end mark. Raises BadInput for none, or for several."""
    try:
        Image.open(io.BytesIO(data), formats=["PNG"]).verify()
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        image.load()
    except DAMAGED_PICTURE:
        raise BadInput(f"{where} is no PNG, or a damaged one; export it again") from None
    if getattr(image, "n_frames", 1) > 1:
        raise BadInput(f"{where} is an animation; export one picture")
    return image


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
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else float("nan")
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
