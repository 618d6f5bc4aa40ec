"""The pictures of the README, from a finished run.

python -m bal.run --acq bald && python benchmarks/figures.py runs/bald-well_log-0
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from support.rows import FOLDER

from bal import load, report
from bal.experiment.folder import RunFolder
from bal.experiment.recorder import Recorder
from bal.experiment.setup import set_up
from bal.report.publish import draw
from bal.system import devices


@dataclass(frozen=True)
class Settings:
    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""


def main(settings: Settings) -> None:
    """Writes figures/curve.png and figures/purchase.png."""
    folder = RunFolder(settings.run)
    setup = set_up(load(folder.config))
    with Recorder(setup, folder, reading=True) as recorder:
        snapshot = recorder.read()
    assert snapshot is not None
    panels = draw(setup, snapshot)
    target = FOLDER / "figures"
    target.mkdir(exist_ok=True)
    curve = report.acquisition_curve(folder.rows(), setup.source.classes)
    curve.savefig(target / "curve.png", dpi=110)
    report.panel(panels[0], setup.source.classes).savefig(target / "purchase.png", dpi=110)


if __name__ == "__main__":
    devices.set_up_platform()
    main(tyro.cli(Settings, description=__doc__))
