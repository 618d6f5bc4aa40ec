"""CVAT's own XML, version 1.1: run-length coded masks, each in its tight box."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from bal.annotation.entries import Entry
from bal.annotation.formats._files import class_of, file_of, holds, id_of, labels_of, the_one, xml_of
from bal.annotation.formats._rle import from_cvat, to_cvat
from bal.annotation.formats.base import Imported, Task
from bal.types import BadInput

FILE = "annotations.xml"
QUESTIONS = "questions, as bal.query wrote them"  # the name of a task that nobody has answered


@dataclass(frozen=True)
class CVAT:
    """Pictures and one XML file; every picture that the file lists has been answered. Pictures are told by name."""

    def write(self, tasks: Sequence[Task], classes: tuple[str, ...], out: Path) -> None:
        (out / "images").mkdir()
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        project = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
        ElementTree.SubElement(project, "name").text = QUESTIONS
        labels = ElementTree.SubElement(project, "labels")
        for name, rgb in labels_of(classes):
            label = ElementTree.SubElement(labels, "label")
            ElementTree.SubElement(label, "name").text = name
            ElementTree.SubElement(label, "color").text = rgb
            ElementTree.SubElement(label, "type").text = "mask"
        for number, task in enumerate(tasks):
            height, width = task.view.shape[:2]
            Image.fromarray(task.view).save(out / "images" / f"{file_of(task.entry)}.png")
            what = {"id": str(number), "name": f"{file_of(task.entry)}.png", "width": str(width), "height": str(height)}
            image = ElementTree.SubElement(root, "image", what)
            for c, name in enumerate(classes):
                if c and task.prefill is not None and (mask := task.prefill == c).any():
                    rle, box = to_cvat(mask)
                    where = dict(zip(("left", "top", "width", "height"), map(str, box), strict=True))
                    what = {"label": name, "source": "auto", "occluded": "0", "rle": rle, **where, "z_order": "0"}
                    ElementTree.SubElement(image, "mask", what)
        ElementTree.indent(root)
        (out / FILE).write_text(ElementTree.tostring(root, "unicode", xml_declaration=True), encoding="utf-8")

    def recognises(self, export: Path) -> bool:
        return holds(export, ".xml", xml_of, _is_cvat)

    def read(self, export: Path, asked: Mapping[str, Entry], classes: tuple[str, ...]) -> list[Imported]:
        path, root = the_one(export, ".xml", xml_of, _is_cvat, _asks)
        if _asks(root):
            raise BadInput(f"{path} holds questions, not answers (its task says so); give what CVAT exports")
        found: dict[str, Imported] = {}
        for image in root.iter("image"):
            name = image.get("name", "")
            if not Path(name.replace("\\", "/")).stem:
                raise BadInput(f"{path}: a picture without a name; export it again")
            id = id_of(name, asked, path)
            if id in found:
                raise BadInput(f"{path} lists picture {id!r:.40} twice; export it again")
            label = _label(image, asked[id], classes, f"{path}: {id}") if id in asked else None
            found[id] = Imported(id, label)
        return list(found.values())


def _label(image: ElementTree.Element, entry: Entry, classes: tuple[str, ...], where: str) -> np.ndarray:
    """[h, w] of the view; what lies higher (z_order), or comes later, covers what lies below."""
    height, width = entry.view[2:]
    if (image.get("height"), image.get("width")) != (str(height), str(width)):
        size = f"{image.get('height', '?'):.20} x {image.get('width', '?'):.20}"
        raise BadInput(f"{where} is {size}; it was asked as {height} x {width}")
    label = np.zeros((height, width), np.int32)
    shapes = [shape for shape in image if shape.tag != "tag"]
    for shape in sorted(shapes, key=lambda shape: _number(shape, "z_order", where, "0")):
        if shape.tag != "mask":
            raise BadInput(f"{where}: a {shape.tag:.40}, which loses thin curves; draw with the brush")
        left, top, across, down = (_number(shape, name, where) for name in ("left", "top", "width", "height"))
        try:
            mask = from_cvat(shape.get("rle", ""), (left, top, across, down), height, width)
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
        if shape.get("label") is None:
            raise BadInput(f"{where}: a mask without a label")
        label[mask] = class_of(shape.get("label"), classes, where)
    return label


def _number(shape: ElementTree.Element, name: str, where: str, default: str = "") -> int:
    """A whole number of a shape. Raises BadInput where there is none."""
    text = shape.get(name, default)
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise BadInput(f"{where}: a mask whose {name} is {text!r:.40}")
    return int(text)


def _is_cvat(root: ElementTree.Element) -> bool:
    return root.tag == "annotations"


def _asks(root: ElementTree.Element) -> bool:
    return root.findtext("meta/task/name") == QUESTIONS
