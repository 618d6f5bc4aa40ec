"""An archive of scanned well logs: many styles, a few of them common and most of them rare."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial

import numpy as np

from bal.sources._cache import Cache
from bal.system.devices import memory
from bal.types import BadInput
from bal.well_logs.curves import Window, generate
from bal.well_logs.strip import RENDERED, Sheet, lay_down, render
from bal.well_logs.vintages import VINTAGES, Vintage, apportion, digest, zipf

CACHE = 64 << 20  # bytes
MOST = 1_000_000  # images
LIMITS = {
    "height": (32, 4096),
    "width": (32, 4096),
    "windows": (1, 1000),
    "overlap": (0.0, 0.9),
    "pool": (1, 100_000),
    "test": (0, 10_000),
    "exponent": (0.0, 10.0),
    "seed": (0, 2**63),
}
ORDER = 1  # what a seed is for besides the logs: their order


@dataclasses.dataclass(frozen=True)
class Vintages:
    """Well logs of twelve styles in Zipf's proportions, each log cut into windows that overlap; one style is a trap.

    Share of the logs of the style of rank r: r^(−exponent), in proportion; ranks and looks are in
    `bal/well_logs/vintages.py`. The test set has as many logs of every style, cut without overlap. Pool and test share
    no log. Masks are as those of `well_log`.
    """

    height: int = 128
    """Pixels across a log."""
    width: int = 128
    """Pixels of a window along the depth."""
    windows: int = 5
    """Windows of a log of the pool."""
    overlap: float = 0.5
    """Share of a window that lies in the next one, too."""
    pool: int = 60
    """Logs whose regions may be bought, of every style at least one: twelve or more, or as many as `styles` names."""
    test: int = 2
    """Logs of every style that are kept for evaluation; 0: what is said of a model is said from the audit."""
    exponent: float = 1.5
    """Of Zipf's law: how much rarer the rare styles are; 0 = all are as common."""
    styles: tuple[str, ...] = ()
    """Names of the styles that there are, in any order; empty = all of them."""
    seed: int = 0
    """Seed of everything that is drawn; an image depends on the seed and its own id, not on the others."""
    looks: str = dataclasses.field(default=digest(), metadata={"hidden": True})
    """Hash of the looks and ranks; a run of other looks than these is not gone on with, or repeated."""

    def open(self) -> VintagesSource:
        """Checks the settings; renders nothing.

        Raises:
            BadInput: a setting out of range, a style that is not there, or looks that are others now.
        """
        for name, (low, high) in LIMITS.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise BadInput(f"vintages: {name} is {value}; it must be {low} to {high}")
        if self.looks != digest():
            raise BadInput(
                f"vintages: the looks are {digest()} here, and those asked for are {self.looks}: results of one are not"
                " of the other; use the version of bal that has them, or leave out looks"
            )
        names = [v.name for v in VINTAGES]
        if odd := [name for name in self.styles if name not in names]:
            raise BadInput(f"vintages: there is no style {odd[0]!r}; choose of {', '.join(names)}")
        chosen = tuple(v for v in VINTAGES if v.name in (self.styles or names))
        if self.pool < len(chosen):
            raise BadInput(
                f"vintages: pool is {self.pool}, and {len(chosen)} styles need a log each: give --source.pool "
                f"{len(chosen)} or more, or name fewer styles (--source.styles)"
            )
        if self.windows * (self.pool + self.test * len(chosen)) > MOST:
            raise BadInput(f"vintages: more than {MOST} images; lower pool, test or windows")
        if (needed := RENDERED * self.height * self.length) > memory():
            raise BadInput(
                f"vintages: to draw a log of {self.height} x {self.length} pixels takes about {needed / 2**30:.1f} GiB,"
                f" and there are {memory() / 2**30:.1f}: lower height, width or windows"
            )
        return VintagesSource(self, chosen)

    def notes(self) -> tuple[str, ...]:
        """How many logs of each style there are, and the hash of their looks. Raises as `open` does."""
        source = self.open()
        logs = {id.rpartition("-")[0] for id in source.pool}
        count = Counter(log.split("-")[1] for log in logs)
        said = ", ".join(f"{count[name]} {name}" for name in source.styles)
        return (f"{len(logs)} logs in the pool: {said}; {self.test} of each for testing; looks {self.looks}",)

    @property
    def step(self) -> int:
        """Pixels from one window of a log to the next."""
        return max(1, round(self.width * (1 - self.overlap)))

    @property
    def length(self) -> int:
        """Pixels of a log along the depth."""
        return self.width + (self.windows - 1) * self.step


class VintagesSource:
    """What `Vintages.open` gives: a `bal.sources.base.Source` that knows its styles, safe to share between threads.

    Ids are part-style-log-window, such as `pool-worn-003-1`.
    """

    classes = ("background", "curve_1", "curve_2")
    channels = 1
    masks_known = True

    def __init__(self, settings: Vintages, vintages: tuple[Vintage, ...]):
        """`vintages`: those that there are, in order of rank."""
        self.styles = tuple(v.name for v in vintages)
        self._settings, self._vintages = settings, {v.name: v for v in vintages}
        share = zipf(len(VINTAGES), settings.exponent)[[VINTAGES.index(v) for v in vintages]]
        self._at: dict[str, tuple[str, int]] = {}  # the log of an image, and where its window begins
        starts = range(0, settings.length - settings.width + 1, settings.step)
        apart = range(0, settings.length - settings.width + 1, settings.width)
        logs = _logs("pool", self.styles, apportion(settings.pool, share).tolist())
        order = np.random.default_rng([settings.seed, ORDER]).permutation(len(logs))
        self.pool = self._cut([logs[k] for k in order], starts)
        self.test = self._cut(_logs("test", self.styles, [settings.test] * len(vintages)), apart)
        self._cache = Cache(self._render, CACHE)

    def style(self, id: str) -> str:
        """The name of that of an image."""
        return self._locate(id)[0].split("-")[1]

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width."""
        self._locate(id)
        return self._settings.height, self._settings.width

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, 1] in [0, 1]."""
        return self._window(id, 0)[..., None].astype(np.float32) / np.float32(255)  # [H, W, 1]

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W]: 0 paper, 1 and 2 the ink of each curve."""
        return self._window(id, 1).astype(np.int32)

    def _locate(self, id: str) -> tuple[str, int]:
        if id not in self._at:
            raise BadInput(f"vintages: there is no image {id!r}; there are such as {self.pool[0]}")
        return self._at[id]

    def _cut(self, logs: list[str], starts: range) -> tuple[str, ...]:
        """Ids of the windows of some logs, which are remembered."""
        found = {f"{log}-{k}": (log, start) for log in logs for k, start in enumerate(starts)}
        self._at |= found
        return tuple(found)

    def _window(self, id: str, which: int) -> np.ndarray:
        """[H, W] a part of a log that is shared: its image or its mask."""
        log, start = self._locate(id)
        return self._cache(log)[which][:, start : start + self._settings.width]

    def _render(self, log: str) -> tuple[np.ndarray, ...]:
        """[H, length] image and mask of a whole log."""
        s, vintage = self._settings, self._vintages[log.split("-")[1]]
        sheet = Sheet((s.length, s.height), vintage.style, vintage.pace, vintage.dashed)
        return lay_down(*render(s.seed, log, sheet, partial(_curves, sheet, vintage)))


def _logs(part: str, styles: tuple[str, ...], counts: list[int]) -> list[str]:
    return [f"{part}-{name}-{k:03d}" for name, n in zip(styles, counts, strict=True) for k in range(n)]


def _curves(sheet: Sheet, vintage: Vintage, rng: np.random.Generator) -> Window:
    drawn = generate(rng, sheet.samples, vintage.style.off_scale, vintage.grid)
    return drawn._replace(value=0.5 + vintage.gain * (drawn.value - 0.5))
