"""Whether a stopping rule ends a run, and what a person is told of what more labels would bring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bal.config.schema import Config
from bal.experiment.failures import named
from bal.experiment.setup import Setup
from bal.pool.cost import COUNTED
from bal.types import BadInput

HOUR = 3600.0  # seconds


def why(setup: Setup, row: Mapping[str, Any]) -> str:
    """Why the rule ends the run with the model of a row of curve.csv; empty where it goes on."""
    return _why(setup.config, row, setup.source.classes)


def _why(config: Config, row: Mapping[str, Any], classes: Sequence[str]) -> str:
    with named("stop", config.stop):
        said = config.stop.why(row, classes)
    if not isinstance(said, str):
        raise BadInput(f"the stopping rule {type(config.stop).__name__} says {said!r:.40}, where a text is expected")
    return said


def sentence(config: Config, row: Mapping[str, Any], classes: Sequence[str]) -> str:
    """What a person should know of a run that its rule has ended; empty of any other."""
    said = _why(config, row, classes) if row.get("stopped") else ""
    return f"the run has stopped: {said}; --resume with --stop never goes on" if said else ""


def forecast(row: Mapping[str, Any], before: Mapping[str, Any] | None, config: Config) -> str:
    """What one more purchase like the newest is expected to gain, and in an hour; empty while nobody knows."""
    gain, low, high = (float(row.get(f"gain_next{end}", math.nan)) for end in ("", "_low", "_high"))
    if before is None or not math.isfinite(gain):
        return ""
    price = float(row["cost"]) - float(before["cost"])
    hourly = f", {gain * HOUR / price:+.3f} an hour" if config.cost == "effort" and price > 0 else ""
    return f"another {price:.0f} {COUNTED[config.cost]}: {gain:+.3f} IoU expected ({low:+.3f} … {high:+.3f}){hourly}"
