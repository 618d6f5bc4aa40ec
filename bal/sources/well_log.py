"""Scanned two-curve paper well logs, rendered on demand with exact masks."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from bal.sources._cache import Cache
from bal.system.devices import memory
from bal.types import BadInput
from bal.well_logs.curves import Window, cut, generate, starts
from bal.well_logs.missing import Missing
from bal.well_logs.mnemonics import parse_aliases
from bal.well_logs.strip import RENDERED, Sheet, lay_down, render
from bal.well_logs.style import Style, resolve
from bal.well_logs.wells import Reading, files_of, read_wells, split

CACHE = 64 << 20  # bytes


@dataclasses.dataclass(frozen=True)
class WellLog:
    """A renderer of scanned paper well logs: two curves a track, and a mask of whose ink is on each pixel.

    Where the curves cross, the later-drawn curve_2 wins. The knobs from `stroke` on default to the preset's.
    """

    height: int = 128
    """Pixels; real logs have 480 to 640."""
    width: int = 128
    """Pixels; real logs have 3200 to 12800."""
    pool: int = 150
    """Images whose regions may be bought."""
    test: int = 40
    """Images kept for evaluation; 0: what is said of a model is said from the audit."""
    seed: int = 0
    """Seed of everything that is drawn; an image depends on the seed and its own id, not on the others."""
    depth: Literal["width", "height"] = "width"
    """The side of the image that depth runs along."""
    curves: Path | None = None
    """Real curves: a .las file, a folder of them, or an .npz of wells; none = generated layered rock."""
    columns: tuple[str, str] = ("RHOB", "NPHI")
    """Mnemonics of curve_1 and curve_2 in the file of real curves; unused for generated ones. Of two curves of one
    name, `RHOB:2` is the second."""
    aliases: tuple[str, ...] = ()
    """What else a mnemonic may be called: NAME=OTHER,OTHER. The name itself wins, then these, then a built-in table."""
    nulls: Literal["common", "file"] = "common"
    """What stands for a missing value in real curves: what the file declares, and NaN; or also what others write
    (-999.25, -9999, ...)."""
    also_null: tuple[float, ...] = ()
    """Further values that stand for a missing one."""
    pace: float = 4.0
    """Pixels per depth sample."""
    grid: Literal["any", "linear", "log"] = "any"
    """Printed grid and axis; any = drawn at random, or for real curves what their range asks for."""
    dashed: Literal["none", "curve_1", "curve_2", "both"] = "curve_2"
    """Which curves are dashed."""
    preset: Literal["clean", "scanned", "harsh"] = "scanned"
    """Where every knob below starts from."""
    stroke: tuple[float, float] | None = None
    """Thinnest and thickest pen in pixels on an image 128 across; grows with the root of the size, to 2.2 times."""
    dash: tuple[float, float] | None = None
    """Dash and gap in pixels on an image 128 across; grows as the stroke does."""
    thicker: tuple[float, float] | None = None
    """How many times as thick as that of curve_1 the pen of curve_2 is, least and most."""
    contrast: float | None = None
    """The palest that ink may be on a page, as a share of full ink."""
    darkest: float | None = None
    """The darkest that ink may be on a page, as a share of full ink."""
    off_scale: float | None = None
    """Probability that generated curves get an axis so tight that they wrap to the other edge."""
    header: float | None = None
    """Probability of a printed header."""
    labels: float | None = None
    """Curve names printed inside the track, expected number for each square of the strip."""
    stroke_variance: float | None = None
    """How unevenly the pen draws: standard deviation of the logarithm of its width."""
    grid_jitter: float | None = None
    """Standard deviation in pixels of how far grid lines are off their place."""
    skew: float | None = None
    """Largest rotation of the page, degrees."""
    tilt: float | None = None
    """Largest perspective: how much larger one side of the page is than the other, as a share."""
    feed: float | None = None
    """Crooked feed: how far the paper wanders, as a share of its width."""
    seams: float | None = None
    """Page seams, expected number for each square of the strip."""
    bleed: float | None = None
    """How far ink spreads into the paper, pixels."""
    brightness: float | None = None
    """Uneven lighting: how much darker the dark side is."""
    grain: float | None = None
    """Standard deviation of the scanner's noise."""
    stains: float | None = None
    """Stains, expected number for each square of the strip."""
    rings: float | None = None
    """Coffee rings, expected number for each square of the strip."""
    handwriting: float | None = None
    """Pen strokes by hand, expected number for each square of the strip."""

    def open(self) -> WellLogSource:
        """Checks the settings and reads the curves; renders nothing.

        Raises:
            BadInput: a setting out of range, or curves that cannot be used.
        """
        for name, low, high in (("height", 32, 16384), ("width", 32, 16384), ("seed", 0, 2**63)):
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"well_log: {name} is {getattr(self, name)}; it must be {low} to {high}")
        for name, least in (("pool", 1), ("test", 0)):
            if not least <= getattr(self, name) <= 1_000_000:
                raise BadInput(f"well_log: {name} is {getattr(self, name)}; it must be {least} to 1000000 images")
        if not 1 <= self.pace <= 64:
            raise BadInput(f"well_log: pace is {self.pace}; it must be 1 to 64 pixels per depth sample")
        if (needed := RENDERED * self.height * self.width) > memory():
            raise BadInput(
                f"well_log: to draw {self.height} x {self.width} pixels takes about {needed / 2**30:.1f} GiB, and there"
                f" are {memory() / 2**30:.1f}: lower height or width"
            )
        return WellLogSource(self, resolve(self.preset, self))


class WellLogSource:
    """What `WellLog.open` gives: a `bal.sources.base.Source`, safe to share between threads."""

    classes = ("background", "curve_1", "curve_2")
    channels = 1
    masks_known = True

    def __init__(self, settings: WellLog, look: Style):
        self.pool = tuple(f"pool-{i:05d}" for i in range(settings.pool))
        self.test = tuple(f"test-{i:05d}" for i in range(settings.test))
        size = (settings.width, settings.height) if settings.depth == "width" else (settings.height, settings.width)
        dashed = (settings.dashed in ("curve_1", "both"), settings.dashed in ("curve_2", "both"))
        self._settings, self._sheet = settings, Sheet(size, look, settings.pace, dashed)
        self._index = {id: (s, i) for s, ids in enumerate((self.pool, self.test)) for i, id in enumerate(ids)}
        self._cache = Cache(self._render, CACHE)
        self._wells = None
        if settings.curves is not None:
            missing = Missing(settings.nulls == "common", settings.also_null)
            reading = Reading(settings.columns, parse_aliases(settings.aliases), missing)
            wells = read_wells(settings.curves, reading)
            usable = [w for w in wells if starts(w, self._sheet.samples).size]
            share = settings.test / (settings.pool + settings.test)
            self._wells = split(usable, len(wells), self._sheet.samples, share, settings.seed, settings.curves)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of real curves; the rest is drawn."""
        return () if self._settings.curves is None else files_of(self._settings.curves)

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width."""
        self._locate(id)
        return self._settings.height, self._settings.width

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, 1] in [0, 1]."""
        self._locate(id)
        return self._cache(id)[0][..., None].astype(np.float32) / np.float32(255)  # [H, W, 1]

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W]: 0 paper, 1 and 2 the ink of each curve."""
        self._locate(id)
        return self._cache(id)[1].astype(np.int32)

    def well(self, id: str) -> str | None:
        """The well that an image's curves come from; None for generated curves."""
        part, i = self._locate(id)
        return None if self._wells is None else self._wells[part][i % len(self._wells[part])].name

    def _locate(self, id: str) -> tuple[int, int]:
        if id not in self._index:
            raise BadInput(f"well_log: there is no image {id!r}; ids run from {self.pool[0]} to {self.test[-1]}")
        return self._index[id]

    def _window(self, id: str, rng: np.random.Generator) -> Window:
        s, (part, i) = self._settings, self._index[id]
        if self._wells is None:
            return generate(rng, self._sheet.samples, self._sheet.style.off_scale, s.grid)
        wells = self._wells[part]
        return cut(wells[i % len(wells)], rng, self._sheet.samples, None if s.grid == "any" else s.grid == "log")

    def _render(self, id: str) -> tuple[np.ndarray, ...]:
        drawn = render(self._settings.seed, id, self._sheet, partial(self._window, id))
        return lay_down(*drawn) if self._settings.depth == "width" else drawn
