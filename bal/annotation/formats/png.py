"""Pictures and a table: for any program that paints, and as the fallback for everything else."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bal.annotation.entries import Entry
from bal.annotation.formats._files import below, bytes_of, file_of, id_of, png_of, seconds_of, text_of
from bal.annotation.formats.base import Imported, Task
from bal.annotation.palette import UNKNOWN, colour
from bal.types import IGNORE, BadInput

TABLE = "queries.csv"
COLUMNS = ("id", "file", "box", "by", "seconds", "status")
DONE = {"labelled": False, "skipped": True, "": None, "open": None}  # None: not answered yet
ABOUT = """\
views/ holds the regions to label, with their surroundings dimmed. masks/ holds a palette picture of the same size for
each: what the model would draw, or nothing. Paint there, without anti-aliasing, in the colours of its palette:

{colours}

Only what is not dimmed counts ({table} has its box: top left height width). In {table}, set status to labelled or
skipped when a region is done, and by and seconds if they are known; regions without a status are left open. Then

    python -m bal.answer RUN THIS_FOLDER --by NAME
"""


@dataclass(frozen=True)
class PNG:
    """A palette picture a question, and a table of who has answered which."""

    def write(self, tasks: Sequence[Task], classes: tuple[str, ...], out: Path) -> None:
        for folder in ("views", "masks"):
            (out / folder).mkdir()
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        palette = [v for index in range(256) for v in (UNKNOWN if index == IGNORE else colour(index))]
        for task in tasks:
            id, name = task.entry.id, f"{file_of(task.entry)}.png"
            Image.fromarray(task.view).save(out / "views" / name)
            ids = np.zeros(task.view.shape[:2], np.uint8) if task.prefill is None else task.prefill
            mask = Image.fromarray(ids)
            mask.putpalette(palette)
            mask.save(out / "masks" / name)
            table.writerow([id, f"masks/{name}", " ".join(map(str, task.entry.inside)), "", "", ""])
        (out / TABLE).write_text(text.getvalue(), encoding="utf-8")
        names = [f"    {rgb} {name}" for name, rgb in zip(classes, map(colour, range(len(classes))), strict=True)]
        colours = "\n".join([*names, f"    {UNKNOWN} unsure"])
        (out / "README.txt").write_text(ABOUT.format(colours=colours, table=TABLE), encoding="utf-8")

    def recognises(self, export: Path) -> bool:
        return any(path.name == TABLE for path in below(export, ".csv"))

    def read(self, export: Path, asked: Mapping[str, Entry], classes: tuple[str, ...]) -> list[Imported]:
        tables = [path for path in below(export, ".csv") if path.name == TABLE] or below(export, ".csv")
        if len(tables) != 1:
            raise BadInput(f"{export} holds {len(tables)} tables; it takes one {TABLE}")
        path = tables[0]
        lines = text_of(path)
        try:
            delimiter = max(",;\t", key=lines.partition("\n")[0].count)
            table = csv.DictReader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
            rows, header = [(table.line_num, row) for row in table], list(table.fieldnames or ())
        except csv.Error as error:
            raise BadInput(f"{path} cannot be read as a table ({error}); save it as CSV") from None
        if twice := [name for name, count in Counter(header).items() if count > 1]:
            raise BadInput(f"{path} has two columns called {twice[0]!r:.40}; leave one of them")
        if missing := [name for name in ("id", "file", "status") if name not in header]:
            raise BadInput(f"{path} lacks the column {missing[0]}; it needs {', '.join(COLUMNS)}")
        found, unmarked = [], 0
        for number, row in rows:
            where = f"{path}: line {number}"
            if None in row or None in row.values():
                raise BadInput(f"{where} has more or fewer cells than the {len(header)} columns; save the table again")
            status = row["status"].strip().lower()
            if status not in DONE:
                raise BadInput(f"{where}: status is {status!r:.40}; expected labelled, skipped, or nothing")
            if DONE[status] is None:
                unmarked += 1
                continue
            id, by = row["id"].strip(), row.get("by", "").strip() or None
            label = None
            if id in asked:
                _check(row, asked[id], asked, where)
            if not DONE[status] and id in asked:
                label = _mask(_beside(path, row["file"], where), asked[id].view[2:], classes)
            found.append(Imported(id, label, by, seconds_of(_decimal(row.get("seconds", ""), where), where)))
        if unmarked and not found:
            raise BadInput(
                f"{path}: none of its {unmarked} regions has a status, so nothing was taken: write labelled or skipped "
                "beside each that is done"
            )
        return found


def _check(row: Mapping[str, str], entry: Entry, asked: Mapping[str, Entry], where: str) -> None:
    """Raises BadInput for a row that is about another region than the question of its id."""
    named = id_of(row["file"], asked, where)
    if named in asked and named != entry.id:
        raise BadInput(f"{where}: {entry.id} has the file of {named}; put each beside its own")
    box = row.get("box", "").split()
    if box and box != [str(number) for number in entry.inside]:
        inside = " ".join(map(str, entry.inside))
        raise BadInput(f"{where}: {entry.id} was asked with the box {inside}, not {row['box']:.40}")


def _decimal(text: str, where: str) -> str:
    """A number as it may be written, with a comma in half of Europe; 1,234 may be either, and is refused."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", text):
        raise BadInput(f"{where}: {text:.40} seconds may be thousands or a fraction; write it with a point, or without")
    return text.replace(",", ".")


def _beside(table: Path, name: str, where: str) -> Path:
    """A file of the package. Raises BadInput for one outside, or one that is missing."""
    path = table.parent / name
    try:
        there = path.resolve().is_relative_to(table.parent.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, a link to itself
        there = False
    if not there:
        raise BadInput(f"{where}: {name!r:.80} is no file beside the table")
    return path


def _mask(path: Path, size: tuple[int, int], classes: tuple[str, ...]) -> np.ndarray:
    """Class ids of a size [h, w]: of a picture in colours by its colours, of a grey one as they are.

    A palette counts as colours where it has any of ours, since programs write it in another order, and else as it is.
    Where a picture is transparent nothing has been painted.
    """
    image = png_of(bytes_of(path), size, path)
    label = _painted(image, path, classes)
    if not image.has_transparency_data:
        return label
    opaque = np.asarray(image.convert("RGBA"))[..., 3]
    if ((opaque > 0) & (opaque < 255)).any():
        raise BadInput(f"{path} is half transparent in places; paint without anti-aliasing, at full opacity")
    return np.where(opaque > 0, label, 0)


def _painted(image: Image.Image, path: Path, classes: tuple[str, ...]) -> np.ndarray:
    """Class ids [h, w], also of what cannot be seen."""
    if image.mode not in ("P", "L", "1", "RGB", "RGBA"):
        raise BadInput(f"{path} is a picture of the kind {image.mode}; save it with a palette, or in RGB")
    if image.mode == "P" and np.asarray(image).max() >= len(image.getpalette() or ()) // 3:
        raise BadInput(f"{path} has colours that its palette lacks; export it again")
    ours = {_packed(UNKNOWN): IGNORE, **{_packed(colour(c)): c for c in range(len(classes))}}
    rgba = np.asarray(image.convert("RGBA"))
    rgb = rgba[..., :3].astype(np.int64) @ (1 << 16, 1 << 8, 1)
    rgb = np.where(rgba[..., 3] > 0, rgb, _packed(colour(0)))  # whatever colour lies beneath
    found, where = np.unique(rgb, return_inverse=True)
    if image.mode in ("L", "1") or (image.mode == "P" and not set(found.tolist()) & (ours.keys() - {0})):
        ids = np.asarray(image).astype(np.int32)
        if (ids == IGNORE).any() and np.isin(ids, (0, IGNORE)).all():
            raise BadInput(
                f"{path} is black and white, and {IGNORE} means unsure in a grey picture: paint in the colours of "
                "README.txt, or in shades 0, 1, 2, … by class"
            )
        return ids
    if odd := [value for value in found.tolist() if value not in ours]:
        first = (odd[0] >> 16, odd[0] >> 8 & 255, odd[0] & 255)
        raise BadInput(
            f"{path} has {len(odd)} colours of no class, such as {first}; paint without anti-aliasing, in the colours "
            "of README.txt"
        )
    return np.array([ours[value] for value in found.tolist()], np.int32)[where].reshape(rgb.shape)


def _packed(rgb: tuple[int, int, int]) -> int:
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]
