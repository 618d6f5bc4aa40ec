"""What stands for a missing value in files of curves, and what else cannot be one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from bal.types import BadInput

COMMON = (
    *(-999.25, -999.2, -999.3, -999.0, -9999.25, -9999.0, -99999.0, -99999.25, -999999.0, -9999999.0),
    *(999.25, 9999.25, -32767.0, -32768.0, -2147483647.0, -2147483648.0, 2147483647.0, 1e30, -1e30, 1e35, -1e35),
)
ALWAYS = frozenset(("", "nan", "-nan", "+nan", "null", "(null)", "none", "na", "n/a", "#n/a", "-", "--"))
UNKNOWABLE = ("1.#", "-1.#", "+1.#", "***")  # how C on Windows prints NaN and infinity, and Fortran what is too wide

FAR = 500.0  # nothing nearer to zero is called an outlier
ALONE = 20.0  # times as far from the median as the next value
STACKED = 5.0, 0.01  # or this many times, with this share of the values out there: the axis follows them
JUMP = 1.5  # steps between two rows that are no neighbours
FILLED = 2_000_000  # rows


@dataclass(frozen=True)
class Missing:
    """Which values stand for a missing one."""

    common: bool = True  # besides those that a file declares, what others write
    also: tuple[float, ...] = ()

    def is_word(self, text: str) -> bool:
        """Whether a text that is no number says that there is none."""
        text = text.strip().lower()
        return text in ALWAYS or (self.common and text.startswith(UNKNOWABLE))

    def blank(self, value: np.ndarray, declared: float | None = None) -> np.ndarray:
        """float64 of any shape, NaN where missing.

        Args:
            value: of any shape.
            declared: what the file itself says.
        """
        value = np.array(value, np.float64)
        for null in (*(COMMON if self.common else ()), *self.also, *(() if declared is None else (declared,))):
            value[np.abs(value - null) <= 1e-6 * abs(null)] = np.nan  # float32 on the way is near enough
        if self.common:
            value[np.isinf(value)] = np.nan
        return value


def refuse_outliers(path: Path, well: str, name: str, depth: np.ndarray, value: np.ndarray) -> None:
    """Refuses a curve some of whose values are so far from all others that they are no measurements.

    Values are ordered by their distance from the median; where the next is 20 times as far as the one before (or 5
    times, and one in a hundred lies out there), and beyond 500, what follows is far. Resistivities of real wells go
    from 1 to 2,000 in steps that are smaller.

    Args:
        path, well, name: for the message.
        depth: [rows].
        value: [rows], NaN where missing.

    Raises:
        BadInput: there is such a value; it is named, with its depth.
    """
    if np.isinf(value).any():
        _refuse(path, well, name, depth, value, np.flatnonzero(np.isinf(value)))
    present = value[np.isfinite(value)]
    if not present.size or np.abs(present).max() < FAR:
        return
    low, middle, high = np.percentile(present, (25, 50, 75))
    distance = np.abs(present - middle)
    order = np.argsort(distance)
    distance = distance[order]
    usual = max(high - low, 0.01 * abs(middle), 1.0)
    ratio = distance[1:] / np.maximum(distance[:-1], usual)
    share = np.arange(present.size - 1, 0, -1) / present.size
    times, crowd = STACKED
    cut = (ratio > ALONE) | ((ratio > times) & (share >= crowd))
    cut &= np.abs(present[order][1:]) >= FAR
    if cut.any():
        bound = distance[1:][cut].min()
        _refuse(path, well, name, depth, value, np.flatnonzero(np.abs(value - middle) >= bound))


def _refuse(path: Path, well: str, name: str, depth: np.ndarray, value: np.ndarray, rows: np.ndarray) -> None:
    found = f"{value[rows[0]]:.10g}"
    raise BadInput(
        f"curves: {name} of well {well} in {path} is {found} at a depth of {depth[rows[0]]:.10g}"
        f"{f' and as far off in {rows.size - 1} more rows' if rows.size > 1 else ''}, far from all its other values;"
        f" if that stands for missing, say so (--source.also-null {found}), or else mend the file"
    )


def fill_gaps(path: Path, well: str, depth: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of NaN where depths are missing, so that no line is drawn across and depth keeps its scale.

    A step is judged by the median of eleven around it: sampling may change from one part of a well to the next.

    Args:
        path, well: for the message.
        depth: [rows] increasing.
        value: [k, rows].

    Returns:
        depth [more rows] and value [k, more rows]; the same arrays where there is no gap.

    Raises:
        BadInput: so far a jump that filling it would take millions of rows.
    """
    step = np.diff(depth)
    if step.size < 2:
        return depth, value
    usual = ndimage.median_filter(step, 11, mode="mirror")
    count = np.where(step > JUMP * usual, np.maximum(np.rint(step / usual), 2), 1)  # of steps, [rows - 1]
    if (count == 1).all():
        return depth, value
    if count.sum() > depth.size + FILLED:
        i = int(count.argmax())
        raise BadInput(
            f"curves: the depth of well {well} in {path} jumps from {depth[i]:.10g} to {depth[i + 1]:.10g}, where its"
            f" step is {usual[i]:.4g}; mend that row, or save the parts in files of their own"
        )
    at = np.concatenate([[0], np.cumsum(count.astype(int))])
    filled = np.full((value.shape[0], at[-1] + 1), np.nan)
    filled[:, at] = value
    return np.interp(np.arange(at[-1] + 1), at, depth), filled
