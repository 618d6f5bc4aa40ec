"""The styles of an archive of well logs: how each looks, and which are common and which rare.

The table is in order of rank, the most common first. Of the twelve one is a trap: its ink is drowned in grain, so that
no label of it teaches anything. A style shows curves of its own axes and pens besides its damage, because archives
differ by who drew the log as well as by how it was kept. In all of them curve_2 is the bold or the dashed one: a style
where that is otherwise cannot be told even by full supervision.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from bal.well_logs.style import PRESETS, Style

Grid = Literal["linear", "log"]
NEITHER, SECOND = (False, False), (False, True)  # which curves are dashed


class Vintage(NamedTuple):
    """One style of log."""

    name: str  # of letters, digits and underscores
    about: str  # what it looks like
    style: Style
    grid: Grid
    dashed: tuple[bool, bool]
    pace: float = 4.0  # pixels per depth sample
    gain: float = 1.0  # how many times too tight the axis is, about its middle; the curves wrap to the other edge


def _of(preset: str, **knobs: Any) -> Style:
    return dataclasses.replace(PRESETS[preset], **knobs)


BOLD = (1.7, 2.1)  # the second pen where neither curve is dashed, or nothing would tell them apart
PRINTED = {"off_scale": 0.0, "handwriting": 0.0, "stains": 0.0, "rings": 0.0, "seams": 0.0}  # nothing on top

VINTAGES = (
    Vintage("plain", "linear grid, a thin and a bold line, clean", _of("clean", thicker=BOLD), "linear", NEITHER),
    Vintage("scanned", "linear grid, second curve dashed, scanned", _of("scanned"), "linear", SECOND),
    Vintage(
        "log", "logarithmic grid, second curve in long dashes, clean", _of("clean", dash=(11.0, 5.0)), "log", SECOND
    ),
    Vintage(
        "drowned",
        "the trap: linear grid, ink paler than the grain of the scan",
        _of("harsh", **PRINTED, contrast=0.05, darkest=0.06, grain=0.3),
        "linear",
        SECOND,
    ),
    Vintage(
        "log_scanned",
        "logarithmic grid, a thin and a bold line, scanned",
        _of("scanned", thicker=BOLD),
        "log",
        NEITHER,
    ),
    Vintage("worn", "linear grid, a thin and a bold line, harsh", _of("harsh", thicker=BOLD), "linear", NEITHER, 6.0),
    Vintage(
        "wrapped",
        "curves that run off scale and wrap to the other edge, again and again, scanned",
        _of("scanned", off_scale=0.0),
        "linear",
        SECOND,
        gain=2.4,
    ),
    Vintage(
        "stained",
        "linear grid, stains and coffee rings all over",
        _of("scanned", stains=6.0, rings=2.5, brightness=0.15, thicker=BOLD),
        "linear",
        NEITHER,
    ),
    Vintage("noted", "much written on by hand", _of("scanned", handwriting=5.0, labels=2.0), "linear", SECOND),
    Vintage("log_worn", "logarithmic grid, second curve dashed, harsh", _of("harsh"), "log", SECOND),
    Vintage(
        "crooked",
        "seams and crooked feed, skewed and tilted",
        _of("scanned", seams=1.5, feed=0.02, skew=5.0, tilt=0.08, thicker=BOLD),
        "linear",
        NEITHER,
    ),
    Vintage(
        "faint",
        "linear grid, pale ink, a pen of one pixel and one of two",
        _of("scanned", stroke=(1.0, 1.0), thicker=BOLD, contrast=0.45, darkest=0.6),
        "linear",
        NEITHER,
    ),
)


def digest(vintages: Sequence[Vintage] = VINTAGES) -> str:
    """A short hash of the looks and of their order, which is how common each is: 12 hexadecimal digits.

    SHA-256 of a canonical JSON; what a style is said to look like is no part of it.
    """
    table = [
        {"rank": rank}
        | {name: value for name, value in v._asdict().items() if name not in ("about", "style")}
        | {"style": dataclasses.asdict(v.style)}
        for rank, v in enumerate(vintages, 1)
    ]
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def zipf(styles: int, exponent: float) -> np.ndarray:
    """[G] shares of G styles by rank r = 1 … G: w_r = r^(−exponent) / Σ_k k^(−exponent). 0 makes them even."""
    weight = np.arange(1, styles + 1, dtype=np.float64) ** -exponent
    return weight / weight.sum()


def apportion(total: int, share: np.ndarray) -> np.ndarray:
    """[G] how many of a total each gets: at least 1, the rest in proportion, by the largest remainder.

    Whoever is owed less than 1 gets 1, and what is left is divided among the others.

    Args:
        total: at least G.
        share: [G] positive.

    Returns:
        int64 [G], whose sum is the total; of equal remainders the first wins.

    Reference:
        Hamilton's method: Balinski and Young 1982, "Fair representation".
    """
    one = np.zeros(share.size, bool)
    while True:
        owed = np.where(one, 1.0, share * (total - one.sum()) / share[~one].sum())
        less = owed < 1 - 1e-9
        if not less.any():
            break
        one |= less
    found = np.floor(owed + 1e-9).astype(np.int64)
    first = np.argsort(-np.round(owed - found, 9), kind="stable")
    found[first[: total - found.sum()]] += 1
    return found
