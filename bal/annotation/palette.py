"""The colours in which classes are painted: the same on the desk and in what other programs are given."""

from __future__ import annotations

from functools import cache

from bal.types import IGNORE

COLOURS = ((0, 0, 0), (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
UNKNOWN = (128, 128, 128)  # of a pixel that nobody knows
PAPER = (255, 255, 255)  # the background on the desk, where it is a button and nothing else


def colour(index: int) -> tuple[int, int, int]:
    """The colour of a class, background first: those of Okabe and Ito, again and again, darker, and no two alike."""
    return _colours()[index]


@cache
def _colours() -> tuple[tuple[int, int, int], ...]:
    """The colours of as many classes as a label can tell apart; the darkest are moved until they are new."""
    found = [COLOURS[0]]
    for index in range(IGNORE - 1):
        turn, which = divmod(index, len(COLOURS) - 1)
        red, green, blue = (round(v * 0.75**turn) for v in COLOURS[1 + which])
        while (red, green, blue) in (*found, UNKNOWN, PAPER):
            blue += 1
        found.append((red, green, blue))
    return tuple(found)


def on_the_desk(classes: int) -> list[tuple[int, int, int]]:
    """The colours of so many classes, and last of what nobody knows."""
    return [PAPER, *map(colour, range(1, classes)), UNKNOWN]
