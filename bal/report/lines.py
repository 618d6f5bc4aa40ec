"""What is said of a round on a terminal, as plain text in the parts at which it may be broken."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bal.config.schema import Config
from bal.experiment.events import Record
from bal.experiment.stopping import forecast
from bal.pool.cost import COUNTED
from bal.report.columns import NO_CANDIDATE, on_audit, told


def folded(parts: Sequence[str], width: int) -> list[str]:
    """Lines no wider than `width`: broken between parts if that is enough, else between words.

    A word that is wider, such as a path, stays whole.
    """
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) < width:
            lines[-1] += " " + part
        else:
            lines.append("  " + part.lstrip(" |"))
    return [short for line in lines for short in _at_words(line, width)]


def _at_words(line: str, width: int) -> list[str]:
    if len(line) < width or " " not in line.strip():
        return [line]
    how = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": "  "}
    return textwrap.wrap(line, max(width - 1, 20), **how)


def reads_truth(config: Config) -> bool:
    """Whether a run is no method but an upper baseline, which looks at labels that nobody has given yet."""
    return "truth" in config.selector.needs


def notes(record: Record, config: Config) -> list[str]:
    """What a person would want to know about a purchase that is not as it was asked for."""
    if not record.queries:
        return []
    spent = dict.fromkeys(("steered", "foreground", "random", "audit"), 0.0)
    for query in record.queries:
        spent[query["policy"]] += query["cost"]
    found, dearest, counted = [], max(query["cost"] for query in record.queries), COUNTED[config.cost]
    steer = record.row["trust_share"] if config.steer == "auto" else config.steer
    asked = steer * (spent["steered"] + spent["random"]) if config.acq.needs and not spent["foreground"] else 0.0
    if spent["steered"] < asked - dearest:
        found.append(
            f"only {spent['steered']:g} of {asked:g} {counted} could follow the score, for the selector chose no "
            "more; the rest was spread at random"
        )
    if record.unspent >= 2 * dearest:
        where = "the pool" if config.look is None else "what was looked at (--look)"
        found.append(f"{record.unspent:g} {counted} were left over, for {where} had nothing more to buy")
    return found


def classes_of(row: Mapping[str, Any]) -> list[str]:
    """The names of the classes, from the columns of curve.csv."""
    return [key.removeprefix("f1_") for key in row if key.startswith("f1_")]


def round_parts(
    row: Mapping[str, Any], before: Mapping[str, Any] | None, config: Config, earlier: bool = False
) -> list[str]:
    """One round in one line, in the parts at which it may be broken.

    Args:
        row: of curve.csv.
        before: that of the round before, which it is compared with.
        config: of the run.
        earlier: whether its model is one that another process has trained, and said this of.
    """
    again = ", trained earlier" * earlier
    parts = [f"round {row['round']}/{config.rounds}{again}: {row['cost']:g} {COUNTED[config.cost]}, IoU"]
    for name in classes_of(row):
        change = math.nan if before is None else row[f"iou_{name}"] - before[f"iou_{name}"]
        gain = "" if math.isnan(change) else f" ({change:+.3f})"
        parts.append(f" {name} {told(row, f'iou_{name}', 3)}{'' if on_audit(row) else gain}")
    if on_audit(row):
        parts.append(f" on {row['regions_audit']} audited regions")
    raw, ece = row["ece_foreground_raw"], row["ece_foreground"]
    none = math.isnan(raw) and math.isnan(ece)
    parts.append(f" | {NO_CANDIDATE}" if none else f" | foreground ECE {digits(raw)} → {digits(ece)}")
    if said := forecast(row, before, config):
        parts.append(f" | {said}")
    parts.append(f" | fit {row['seconds_fit']:.0f} s, score {row['seconds_score']:.0f} s")
    return parts


def digits(value: float, count: int = 3) -> str:
    """Fixed digits, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{count}f}"
