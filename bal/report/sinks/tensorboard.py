"""Event files for TensorBoard, written by tensorboardX: `tensorboard --logdir RUN/logs`."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from importlib import import_module  # for its messages are made at run time, where no type checker sees them
from pathlib import Path
from typing import Any

from PIL import Image

from bal.experiment.events import Event
from bal.report.sinks._losses import Losses
from bal.report.sinks.base import numbers
from bal.types import BadInput

NAME = "events.out.tfevents.{:08d}.bal"  # TensorBoard reads files of one folder in the order of their names


class TensorBoard:
    """A file a round, complete or absent, so that a run killed anywhere shows no value twice.

    Columns are scalars `iou/iou_paper`, grouped by their first word; values are of single precision, as TensorBoard
    shows them.
    """

    def __init__(self) -> None:
        try:
            self._event = import_module("tensorboardX.proto.event_pb2").Event
            self._summary = import_module("tensorboardX.proto.summary_pb2").Summary
            self._writer = import_module("tensorboardX.record_writer").RecordWriter
        except ImportError:
            raise BadInput(
                "--log tensorboard needs tensorboardX; install it with: pip install 'bal[tensorboard]'"
            ) from None
        self._losses = Losses()

    def open(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def event(self, event: Event) -> None:
        self._losses.add(event)

    def record(self, row: Mapping[str, Any], pictures: Sequence[Path]) -> None:
        path = self._folder / NAME.format(row["round"])
        if not path.exists():
            self._write(path, self._entries(row, pictures))
        self._losses.forget(row["round"])

    def close(self, done: bool) -> None:
        """Nothing is open."""

    def _entries(self, row: Mapping[str, Any], pictures: Sequence[Path]) -> list[Any]:
        """The entries of one file: its version, the losses, and the columns with the pictures."""
        now, one = time.time(), self._summary.Value
        shown = [one(tag=f"{name.split('_')[0]}/{name}", simple_value=value) for name, value in numbers(row).items()]
        shown += [one(tag=f"pictures/{path.stem}", image=self._image(path)) for path in pictures]
        losses = self._losses.of(row["round"])
        steps = [(step, [one(tag="loss/loss", simple_value=loss)]) for step, loss in losses.items()]
        return [
            self._event(wall_time=now, file_version="brain.Event:2"),
            *(self._event(wall_time=now, step=s, summary=self._summary(value=v)) for s, v in steps),
            self._event(wall_time=now, step=row["round"], summary=self._summary(value=shown)),
        ]

    def _write(self, path: Path, entries: Sequence[Any]) -> None:
        part = self._folder / "unfinished"  # a name that TensorBoard does not look at
        writer = self._writer(str(part))
        try:
            for entry in entries:
                writer.write(entry.SerializeToString())
            writer.flush()  # and waits until it is on disk
        finally:
            writer.close()
        os.replace(part, path)

    def _image(self, path: Path) -> Any:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            width, height, bands = *image.size, len(image.getbands())
        return self._summary.Image(height=height, width=width, colorspace=bands, encoded_image_string=content)
