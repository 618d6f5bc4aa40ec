"""One scanned log and its mask, from a seed and a name: what every source of rendered logs draws."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bal.well_logs.curves import Window
from bal.well_logs.damage import scan
from bal.well_logs.render import draw, lay_out
from bal.well_logs.style import Style
from bal.well_logs.warp import draw_warp

RENDERED = 37  # bytes a pixel while a page is drawn; twice as many with all that can befall it


class Sheet(NamedTuple):
    """What a strip of paper is before anything is drawn on it."""

    size: tuple[int, int]  # pixels along the depth and across
    style: Style
    pace: float  # pixels per depth sample
    dashed: tuple[bool, bool]  # whether each curve is dashed

    @property
    def samples(self) -> int:
        """Depth samples of the curves, which reach beyond both ends of the page."""
        return int(np.ceil(1.2 * self.size[0] / self.pace)) + 2


def render(
    seed: int, name: str, sheet: Sheet, curves: Callable[[np.random.Generator], Window]
) -> tuple[np.ndarray, np.ndarray]:
    """A log as the scanner saw it. Layout, geometry, ink and damage each have a stream of random numbers of their own.

    Args:
        seed, name: all that the randomness depends on.
        sheet: the paper and its look.
        curves: draws a window of `sheet.samples` samples.

    Returns:
        image: uint8 [U, V], depth along the first axis.
        label: uint8 [U, V], 0 paper, 1 and 2 the ink of each curve.
    """
    seeds = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).spawn(4)
    window_rng, warp_rng, ink_rng, scan_rng = (np.random.default_rng(k) for k in seeds)
    page = lay_out(ink_rng, sheet.size, sheet.style, sheet.pace)
    warp = draw_warp(warp_rng, sheet.size, sheet.style)
    ink, label = draw(ink_rng, page, warp, curves(window_rng), sheet.style, sheet.dashed)
    return scan(scan_rng, ink, warp, sheet.style), label


def lay_down(*maps: np.ndarray) -> tuple[np.ndarray, ...]:
    """Strips laid on their side, contiguous: downwards on paper becomes rightwards."""
    return tuple(np.ascontiguousarray(np.rot90(x)) for x in maps)
