"""The colours in which classes are painted: the same on the desk and in what other programs are given."""

from __future__ import annotations

COLOURS = ((0, 0, 0), (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
UNKNOWN = (128, 128, 128)  # of a pixel that nobody knows
PAPER = (255, 255, 255)  # the background on the desk, where it is a button and nothing else


def colour(index: int) -> tuple[int, int, int]:
    """The colour of a class, background first; those of Okabe and Ito, again and again, and darker."""
    if index < len(COLOURS):
        return COLOURS[index]
    turn, which = divmod(index - 1, len(COLOURS) - 1)
    red, green, blue = (round(v * 0.75**turn) for v in COLOURS[1 + which])
    return red, green, blue


def on_the_desk(classes: int) -> list[tuple[int, int, int]]:
    """The colours of so many classes, and last of what nobody knows."""
    return [PAPER, *map(colour, range(1, classes)), UNKNOWN]
