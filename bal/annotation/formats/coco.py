"""COCO's instances: run-length coded masks; `iscrowd` marks what nobody knows.

Polygons are refused: rounded to corners, curves of one to three pixels lose nearly all of their area.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bal.annotation.entries import Entry
from bal.annotation.formats._files import class_of, file_of, flag, holds, id_of, json_of, keyed, paint, the_one, unsure
from bal.annotation.formats._rle import from_coco, to_coco
from bal.annotation.formats.base import Imported, Task
from bal.types import IGNORE, BadInput

FILE = "annotations.json"
QUESTIONS = "questions, as bal.query wrote them"  # of a file that nobody has answered in


@dataclass(frozen=True)
class COCO:
    """Pictures and one file of annotations; every picture that the file lists has been answered."""

    def write(self, tasks: Sequence[Task], classes: tuple[str, ...], out: Path) -> None:
        (out / "images").mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, task in enumerate(tasks, 1):
            height, width = task.view.shape[:2]
            Image.fromarray(task.view).save(out / "images" / f"{file_of(task.entry)}.png")
            images.append({"id": number, "file_name": f"{file_of(task.entry)}.png", "height": height, "width": width})
            images[-1] |= {"asked": list(task.entry.inside), "score": task.score}
            drawn = np.zeros((height, width), np.uint8) if task.prefill is None else task.prefill
            for c in range(1, len(classes)):
                if (mask := drawn == c).any():
                    annotations.append(_annotation(len(annotations) + 1, number, c, mask))
        names = [*classes[1:], unsure(classes)]
        categories = [{"id": c, "name": name, "supercategory": ""} for c, name in enumerate(names, 1)]
        found = {"info": {"description": QUESTIONS}, "images": images}
        found |= {"annotations": annotations, "categories": categories}
        (out / FILE).write_text(json.dumps(found), encoding="utf-8")

    def recognises(self, export: Path) -> bool:
        return holds(export, ".json", json_of, _is_coco)

    def read(self, export: Path, asked: Mapping[str, Entry], classes: tuple[str, ...]) -> list[Imported]:
        path, found = the_one(export, ".json", json_of, _is_coco, _asks)
        if _asks(found):
            raise BadInput(f"{path} holds questions, not answers (its info says so); give what your program exports")
        try:
            return _read(found, asked, classes, path)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadInput(f"{path} is no file of COCO instances, or a damaged one; export it again") from error


def _read(found: Mapping[str, Any], asked: Mapping[str, Entry], classes: tuple[str, ...], path: Path) -> list[Imported]:
    for name in ("images", "annotations", "categories"):
        if not isinstance(found[name], list):
            raise BadInput(f"{path}: its {name} are no list; export it again")
    names = {category["id"]: category["name"] for category in found["categories"]}
    ids = {image["id"]: id_of(str(image["file_name"]), asked, path) for image in found["images"]}
    for what, unique, listed in (("categories", names, found["categories"]), ("pictures", ids, found["images"])):
        if len(set(unique.values())) < len(listed):
            raise BadInput(f"{path} lists {what} twice; export it again")
    if unnamed := [image for image in found["images"] if not isinstance(image["file_name"], str)]:
        raise BadInput(f"{path}: picture {unnamed[0]['id']!r:.40} has no name of a file; export it again")
    labels: dict[str, np.ndarray] = {}
    for image in found["images"]:
        id = ids[image["id"]]
        if id in asked:
            height, width = asked[id].view[2:]
            if (image["height"], image["width"]) != (height, width):
                raise BadInput(
                    f"{path}: {id} is {image['height']!r:.20} x {image['width']!r:.20}; "
                    f"it was asked as {height} x {width}"
                )
            labels[id] = np.zeros((height, width), np.int32)
    crowds = not _from_datumaro(found)
    for annotation in found["annotations"]:
        if annotation["image_id"] not in ids:
            raise BadInput(f"{path}: an annotation of picture {annotation['image_id']!r:.40}, which is not listed")
        id = ids[annotation["image_id"]]
        if id not in labels:
            continue
        where, code = f"{path}: {id}", annotation["segmentation"]
        if not keyed(code, "counts", "size"):
            raise BadInput(f"{where}: a polygon, which loses thin curves; export masks (RLE)")
        height, width = labels[id].shape
        if list(code["size"]) != [height, width]:
            raise BadInput(f"{where}: a mask of {code['size']!r:.40}; expected [{height}, {width}]")
        try:
            mask = from_coco(code["counts"], height, width)
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
        nobody = flag(annotation.get("iscrowd"), "iscrowd", where) and crowds
        known = annotation["category_id"] in names
        value = IGNORE if nobody and not known else class_of(names.get(annotation["category_id"]), classes, where)
        paint(labels[id], mask, IGNORE if nobody else value)
    return [Imported(id, labels.get(id)) for id in ids.values()]


def _is_coco(found: Any) -> bool:
    return keyed(found, "images", "annotations", "categories") and not _is_other(found)


def _is_other(found: Mapping[str, Any]) -> bool:
    """Whether it is one of the files that lie beside instances: pictures alone, or panoptic segments."""
    annotations = found["annotations"]
    panoptic = isinstance(annotations, list) and any(keyed(a, "segments_info") for a in annotations[:1])
    return panoptic or (annotations == [] and found["categories"] == [])


def _asks(found: Any) -> bool:
    return keyed(found.get("info"), "description") and found["info"]["description"] == QUESTIONS


def _from_datumaro(found: Mapping[str, Any]) -> bool:
    """Whether it looks as Datumaro, and so CVAT, writes COCO: there every mask that is no polygon is a crowd."""
    info = found.get("info")
    nothing = keyed(info, "contributor", "date_created", "url", "year") and not any(info.values())
    return nothing and all(annotation.get("iscrowd") for annotation in found["annotations"])


def _annotation(number: int, image: int, category: int, mask: np.ndarray) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1]
    code = {"size": list(mask.shape), "counts": to_coco(mask)}
    area = int(mask.sum())
    made = {"id": number, "image_id": image, "category_id": category, "segmentation": code}
    return made | {"area": area, "bbox": box, "iscrowd": 0}
