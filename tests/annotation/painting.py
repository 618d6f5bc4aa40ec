"""What other programs export once somebody has painted in them; labels [h, w] of the views, None for skipped."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from bal.annotation.formats import _rle as rle
from bal.annotation.formats._files import unsure
from bal.annotation.formats.label_studio import URL
from bal.types import IGNORE

CLASSES = ("background", "curve_1", "curve_2")


def paint_png(package, labels, seconds=None):
    """Masks painted over, and the table filled in."""
    with open(package / "queries.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["id"] in labels:
            label = labels[row["id"]]
            row |= {"status": "skipped" if label is None else "labelled", "seconds": "" if seconds is None else seconds}
            if label is not None:
                image = Image.open(package / row["file"])
                image.putdata(label.ravel().tolist())
                image.save(package / row["file"])
    with open(package / "queries.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return package


def paint_label_studio(package, labels, seconds=None, brush=False, classes=CLASSES):
    """Annotations beside the predictions: bitmasks or brushes, an unsure label for what nobody knows."""
    tasks = json.loads((package / "tasks.json").read_text())
    for task in tasks:
        if task["data"]["id"] not in labels:
            continue
        label = labels[task["data"]["id"]]
        results = [] if label is None else drawn(label, brush, classes)
        task.pop("predictions", None)
        task["annotations"] = [{"result": results, "was_cancelled": label is None, "lead_time": seconds}]
    out = package.with_suffix(".json")
    out.write_text(json.dumps(tasks))
    return out


def drawn(label, brush=False, classes=CLASSES):
    """The regions of an annotation of Label Studio, one a class."""
    results, kind = [], "brushlabels" if brush else "bitmasklabels"
    for value in sorted(set(np.unique(label).tolist()) - {0}):
        mask = label == value
        code = {"format": "rle", "rle": rle.to_brush(mask)} if brush else {"imageDataURL": bitmask(mask)}
        name = unsure(classes) if value == IGNORE else classes[value]
        size = {"original_width": mask.shape[1], "original_height": mask.shape[0], "image_rotation": 0}
        results.append(
            {"type": kind, "from_name": "label", "to_name": "image", **size, "value": {**code, kind: [name]}}
        )
    return results


def bitmask(mask):
    """Black where it is, transparent elsewhere."""
    buffer = io.BytesIO()
    Image.fromarray(np.stack([*[np.zeros(mask.shape, np.uint8)] * 3, mask.astype(np.uint8) * 255], -1)).save(
        buffer, "PNG"
    )
    return URL + base64.b64encode(buffer.getvalue()).decode()


def paint_coco(package, labels, seconds=None):
    """One file of the pictures that are done."""
    found = json.loads((package / "annotations.json").read_text())
    names = {c["name"]: c["id"] for c in found["categories"]}
    ids = {Path(i["file_name"]).stem.partition("_")[0]: i for i in found["images"]}
    annotations = []
    for id, label in labels.items():
        for value in sorted(set(np.unique(label).tolist()) - {0}):
            category = names[unsure(CLASSES) if value == IGNORE else CLASSES[value]]
            code = {"size": list(label.shape), "counts": rle.to_coco(label == value)}
            if value == 1:  # some programs do not compress
                code["counts"] = rle.runs((label == value).ravel("F")).tolist()
            annotations.append({"id": 1, "image_id": ids[id]["id"], "category_id": category, "segmentation": code})
    images = [ids[id] for id in labels]
    out = package.with_suffix(".json")
    out.write_text(json.dumps({"images": images, "annotations": annotations, "categories": found["categories"]}))
    return out


def paint_cvat(package, labels, seconds=None):
    """The XML that an export of a task has, with the pictures that are done."""
    root = ElementTree.parse(package / "annotations.xml").getroot()
    root.find("meta/task/name").text = "mine"
    for image in list(root.iter("image")):
        for shape in list(image):
            image.remove(shape)
        label = labels.get(image.get("name").partition("_")[0])
        if label is None:
            root.remove(image)
            continue
        for value in sorted(set(np.unique(label).tolist()) - {0}):
            code, box = rle.to_cvat(label == value)
            where = dict(zip(("left", "top", "width", "height"), map(str, box), strict=True))
            name = unsure(CLASSES) if value == IGNORE else CLASSES[value]
            ElementTree.SubElement(image, "mask", {"label": name, "rle": code, **where, "z_order": "0"})
    out = package.with_suffix(".xml")
    out.write_text(ElementTree.tostring(root, "unicode", xml_declaration=True))
    return out


PAINT = {"png": paint_png, "label-studio": paint_label_studio, "coco": paint_coco, "cvat": paint_cvat}
SKIPS = {"png", "label-studio"}  # which can say that a region was skipped, and how long it took


def of_view(entry, label, beyond=0):
    """A label [height, width] of the box as one [h, w] of the view; what is drawn `beyond` must not count."""
    whole = np.full(entry.view[2:], beyond, label.dtype)
    top, left, height, width = entry.inside
    whole[top : top + height, left : left + width] = label
    return whole
