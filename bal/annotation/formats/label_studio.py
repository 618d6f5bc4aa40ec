"""Label Studio's JSON: tasks with predictions out, annotations back.

Masks go out as bitmasks, which are exact; brushes are read too. Its COCO export is not: it loses thin curves.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

from bal.annotation.entries import LONGEST, Entry
from bal.annotation.formats._files import (
    check_mark,
    class_of,
    flag,
    holds,
    json_of,
    keyed,
    labels_of,
    mark_of,
    paint,
    png_of,
    seconds_of,
    the_one,
)
from bal.annotation.formats._rle import from_brush
from bal.annotation.formats.base import Imported, Task
from bal.types import BadInput

URL = "data:image/png;base64,"
NAME, IMAGE = "label", "image"  # of the control and of the picture in the labelling configuration


@dataclass(frozen=True)
class LabelStudio:
    """A list of tasks with the pictures inside, and a labelling configuration."""

    def write(self, tasks: Sequence[Task], classes: tuple[str, ...], out: Path) -> None:
        (out / "tasks.json").write_text(json.dumps([task_of(task, classes) for task in tasks]), encoding="utf-8")
        (out / "labeling.xml").write_text(configuration(classes), encoding="utf-8")

    def recognises(self, export: Path) -> bool:
        return holds(export, ".json", json_of, _is_export)

    def read(self, export: Path, asked: Mapping[str, Entry], classes: tuple[str, ...]) -> list[Imported]:
        path, tasks = the_one(export, ".json", json_of, _is_export, _asks)
        return [answer for task in tasks for answer in answers_of(task, asked, classes, path)]


def configuration(classes: tuple[str, ...]) -> str:
    """The labelling configuration of a project: a bitmask a class, exact pixels, and what nobody knows."""
    labels = [f"    <Label value={quoteattr(name)} background={quoteattr(rgb)}/>\n" for name, rgb in labels_of(classes)]
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}" smoothing="false" zoom="true"/>\n'
        f'  <BitmaskLabels name="{NAME}" toName="{IMAGE}">\n{"".join(labels)}  </BitmaskLabels>\n</View>\n'
    )


def task_of(task: Task, classes: tuple[str, ...]) -> dict[str, Any]:
    """A task as Label Studio imports it."""
    buffer = io.BytesIO()
    Image.fromarray(task.view).save(buffer, "PNG")
    top, left, height, width = task.entry.inside
    data = {"id": task.entry.id, "of": mark_of(task.entry), IMAGE: URL + base64.b64encode(buffer.getvalue()).decode()}
    found: dict[str, Any] = {"data": {**data, "box": f"top {top}, left {left}, {height} x {width}"}}
    if task.prefill is not None:
        results = [
            _result(task.prefill == c, name) for c, name in enumerate(classes) if c and (task.prefill == c).any()
        ]
        found["predictions"] = [{"model_version": "bal", "score": task.score or 0.0, "result": results}]
    return found


def check(data: Mapping[str, Any], entry: Entry, where: str) -> None:
    """Raises BadInput for the data of a task that asks something else by the same id, as every run has a r01-0007."""
    check_mark(data.get("of", mark_of(entry)), entry, where)


def answers_of(
    task: Mapping[str, Any], asked: Mapping[str, Entry], classes: tuple[str, ...], where: object
) -> list[Imported]:
    """Every annotation of a task; a cancelled one is skipped, drafts and predictions are none."""
    id = task["data"].get("id") if isinstance(task["data"], Mapping) else None
    if not isinstance(id, str):
        raise BadInput(f"{where}: a task without an id of ours in its data; export tasks that `bal.query` wrote")
    found = []
    for annotation in task.get("annotations", []):
        if not keyed(annotation, "result") or not isinstance(annotation["result"], list):
            raise BadInput(f"{where}: {id}: an annotation without a result; export it again")
        label = None
        if id in asked:
            check(task["data"], asked[id], str(where))
        if not flag(annotation.get("was_cancelled"), "was_cancelled", f"{where}: {id:.40}") and id in asked:
            label = _label(annotation["result"], asked[id], classes, f"{where}: {id}")
        name = _name(annotation.get("completed_by"), f"{where}: {id:.40}")
        seconds = annotation.get("lead_time")
        if isinstance(seconds, int | float) and LONGEST < seconds < float("inf"):  # a page that was left open for weeks
            seconds = None
        found.append(Imported(id, label, name, seconds_of(seconds, f"{where}: {id}")))
    return found


def _name(by: object, where: str) -> str | None:
    """Who answered: an address or a number, alone or in a description of the person; None for nobody."""
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("id")
    if by is None or by == "":
        return None
    if not isinstance(by, str | int) or isinstance(by, bool):
        raise BadInput(f"{where}: completed_by is {by!r:.40}; expected a person's address or number")
    return str(by)


def _label(results: Sequence[Any], entry: Entry, classes: tuple[str, ...], where: str) -> np.ndarray:
    """[h, w] of the view, from the regions of an annotation."""
    height, width = entry.view[2:]
    label = np.zeros((height, width), np.int32)
    for result in results:
        kind = result.get("type") if isinstance(result, Mapping) else None
        if kind not in ("bitmasklabels", "brushlabels"):
            raise BadInput(f"{where}: a region of the kind {kind!r:.40}; expected bitmasklabels or brushlabels")
        value, size = result.get("value"), (result.get("original_height"), result.get("original_width"))
        if size != (height, width) or result.get("image_rotation"):
            raise BadInput(
                f"{where}: a mask for a picture of {size[0]!r:.20} x {size[1]!r:.20}; it is {height} x {width}, upright"
            )
        if not keyed(value, kind) or not isinstance(value[kind], list) or not value[kind]:
            raise BadInput(f"{where}: a mask without a label")
        mask = _mask(value, height, width, where)
        for name in value[kind]:
            paint(label, mask, class_of(name, classes, where))
    return label


def _mask(value: Mapping[str, Any], height: int, width: int, where: str) -> np.ndarray:
    """[h, w] bool: opaque pixels of a picture, or a brush."""
    if isinstance(value.get("imageDataURL"), str):
        try:
            data = base64.b64decode(value["imageDataURL"].removeprefix(URL), validate=True)
        except ValueError:
            raise BadInput(f"{where}: a mask that is no picture in base64") from None
        image = png_of(data, (height, width), f"{where}: a mask")
        return np.asarray(image.convert("RGBA"))[..., 3] >= 128
    try:
        return from_brush(value.get("rle", ()), height, width)
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def _result(mask: np.ndarray, name: str) -> dict[str, Any]:
    """One class of a prediction: black where it is, transparent elsewhere."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[..., 3] = 255 * mask
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    data = URL + base64.b64encode(buffer.getvalue()).decode()
    return {
        "from_name": NAME,
        "to_name": IMAGE,
        "type": "bitmasklabels",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "value": {"imageDataURL": data, "bitmasklabels": [name]},
    }


def _is_export(found: Any) -> bool:
    """Whether something is a list of tasks, with or without annotations."""
    return isinstance(found, list) and all(
        keyed(task, "data") and isinstance(task.get("annotations", []), list) for task in found
    )


def _asks(tasks: Sequence[Mapping[str, Any]]) -> bool:
    return not any(task.get("annotations") for task in tasks)
