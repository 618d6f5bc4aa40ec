"""The page and the diagrams of a run, from its folder: also of one that is still going, waits or was killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bal.annotation.inbox import Inbox
from bal.config.resolve import load
from bal.experiment import by_style, fits, inputs
from bal.experiment.folder import RunFolder
from bal.experiment.recorder import Recorder, Snapshot
from bal.experiment.setup import Setup, set_up
from bal.experiment.state import Look
from bal.metrics import bootstrap
from bal.report import page
from bal.report.images import Box, Panel
from bal.report.people import team_of
from bal.report.reliability import reliability_png
from bal.scoring.score import inspect
from bal.sources.base import truth
from bal.system.files import write_whole
from bal.types import BadInput

PANELS = 4  # images drawn in the report


def publish(folder: RunFolder | None, setup: Setup, snapshot: Snapshot | None) -> None:
    """Writes report.html and reliability.png of the newest round; nothing before there is one, or without a folder."""
    if folder is None or snapshot is None or snapshot.info.tally is None:
        return
    tally, classes = snapshot.info.tally, setup.source.classes
    rows = folder.rows(snapshot.journals[0])
    if not rows or rows[-1]["round"] < snapshot.info.row["round"]:
        rows.append(snapshot.info.row)  # of a model whose questions are open
    diagrams = bootstrap.bands(tally, classes) if bootstrap.count(tally) else {}
    shown = 3 if bootstrap.count(tally) < bootstrap.LEAST else 5  # fields of a band: so few images have no interval
    bins = {
        name: {"calibrated": tuple(diagrams[name])[:shown], "raw": tuple(diagrams[f"{name}_raw"])[:shown]}
        for name in (*classes, "foreground")
        if name in diagrams
    }
    page.write(
        folder.report,
        rows,
        folder.queries(snapshot.journals[1]),
        draw(setup, snapshot),
        yaml.safe_load(folder.config.read_text(encoding="utf-8")),
        classes,
        bins,
        bootstrap.around(tally, classes),
        waiting=len(snapshot.newest) if snapshot.open else 0,
        team=team_of(Inbox(folder.path)),
        fits=_fits(folder, rows),
        styles=by_style.table(setup, tally),
        changes=inputs.accepted(folder),
    )
    if bins:
        write_whole(folder.diagrams, reliability_png(bins, classes))


def _fits(folder: RunFolder, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[Look]]:
    """The looks at the fit of every row, as far as they are there."""
    found = {int(row["round"]): fits.read(folder.fits, int(row["round"])) for row in rows}
    return {round: looks for round, looks in found.items() if looks}


def republish(path: Path) -> Path:
    """Writes the page of a run again, and changes nothing else in its folder.

    Returns:
        The page.

    Raises:
        BadInput: there is no run, or it has not come to its first row.
    """
    folder = RunFolder(path)
    if not folder.holds_run():
        raise BadInput(f"{path} holds no run")
    setup = set_up(load(folder.config))
    snapshot = _read(setup, folder)
    if snapshot is None or snapshot.info.tally is None:
        if folder.curve.size:
            raise BadInput(f"{path} has lost its checkpoints, without which there is nothing to show: put them back")
        raise BadInput(f"the run in {path} has not finished its first model yet, so there is nothing to show")
    publish(folder, setup, snapshot)
    return folder.report


def _read(setup: Setup, folder: RunFolder, tries: int = 3) -> Snapshot | None:
    """The run as its folder has it; again where it goes on meanwhile and deletes the checkpoint that is being read."""
    try:
        with Recorder(setup, folder, reading=True) as recorder:
            return recorder.read()
    except FileNotFoundError:
        if tries == 1:
            raise
        return _read(setup, folder, tries - 1)


def draw(setup: Setup, snapshot: Snapshot) -> list[Panel]:
    """The images in which the newest purchase bought most, as the model that was asked saw them."""
    model, objective = snapshot.model, snapshot.objective
    if model is None or objective is None:
        return []
    audited = {query["image"] for query in snapshot.newest if query["policy"] == "audit"} if snapshot.open else ()
    by_image: dict[str, list[Mapping[str, Any]]] = {}
    for query in snapshot.newest:
        if query["image"] in audited:  # people who have yet to answer for it may not see what a model thinks
            continue
        by_image.setdefault(query["image"], []).append(query)
    most = sorted(by_image.items(), key=lambda item: -sum(q["policy"] == "steered" for q in item[1]))[:PANELS]
    drawn = []
    for id, asked in most:
        prediction, score = inspect(model, setup.source, objective, id)
        drawn.append(Panel(id, setup.source.image(id), prediction, _truth(setup, id), score, _boxes(setup, id, asked)))
    return drawn


def _boxes(setup: Setup, id: str, asked: Sequence[Mapping[str, Any]]) -> list[Box]:
    index = [setup.regions.find(id, q["region"]) for q in asked]
    regions = setup.regions.describe(index, setup.source.image)
    return [Box(*r.box, q["policy"], q["score"], r.mask) for r, q in zip(regions, asked, strict=True)]


def _truth(setup: Setup, id: str) -> np.ndarray | None:
    """The source's mask; None for an image that only the annotator can label."""
    try:
        return truth(setup.source, id)
    except BadInput:
        return None
