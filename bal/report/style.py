"""Colours, matplotlib settings and the way from a figure to inline SVG that follows the page's light or dark theme.

Foreground classes take the Okabe–Ito hues in order, policies four of Tol's muted hues: both are safe for colour-blind
readers and disjoint, so that a colour means one thing on the whole page.
"""

from __future__ import annotations

import html
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from bal.system.outside import shown, shown_lines

INK, MUTED, GRID = ("#22262b", "#e8ebef"), ("#5d6673", "#9aa4b2"), ("#dfe3e8", "#343a43")  # (light, dark)
_CLASSES = (
    ("#767676", "#9aa0a6"),  # background
    ("#0072b2", "#4da3dc"),
    ("#d55e00", "#f28a3c"),
    ("#009e73", "#2fc79a"),
    ("#cc79a7", "#e39cc6"),
    ("#e69f00", "#f2b632"),
    ("#56b4e9", "#7cc8f2"),
    ("#332288", "#9c91f0"),
    ("#999933", "#bdbd55"),
    ("#8c564b", "#c58a7c"),
)
_POLICIES = {
    "start": ("#8a8f98", "#878d96"),
    "foreground": ("#3b5ba5", "#8fa8e6"),
    "steered": ("#882255", "#d4679f"),
    "random": ("#1f8a7a", "#5cc4b3"),
    "audit": ("#8a7400", "#ddcc77"),
}
MARKERS = "os^DvPX<>"
WIDTH = 4.3  # inches of every chart on the page: 342 px of a telephone's 390 show a point as 1.1 px
SMALLEST = 9.2  # points of any text in them, so that none is smaller than 10 px there
_SETTINGS: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.usetex": False,
    "text.parse_math": False,  # a class may be called "$x"
    "text.color": INK[0],
    "axes.labelcolor": MUTED[0],
    "axes.labelsize": SMALLEST,
    "axes.edgecolor": MUTED[0],
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": False,
    "axes.formatter.useoffset": False,
    "xtick.color": MUTED[0],
    "ytick.color": MUTED[0],
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.bbox": None,
    "hatch.linewidth": 0.9,
    "svg.fonttype": "none",
    "svg.hashsalt": "bal",
}
_LOCK = threading.RLock()


@contextmanager
def drawing() -> Iterator[None]:
    """The report's matplotlib settings, whatever the caller's are; one thread at a time, since they are global."""
    with _LOCK, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def class_index(k: int) -> int:
    """The palette entry of class k: 0 is kept for the background, the others repeat after nine."""
    return 0 if k == 0 else 1 + (k - 1) % (len(_CLASSES) - 1)


def class_colour(k: int) -> str:
    """Hex colour of class k on a light ground."""
    return _CLASSES[class_index(k)][0]


def class_rgb(k: int) -> tuple[int, int, int]:
    """(red, green, blue) 0..255 of class k, for overlays."""
    value = class_colour(k)
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def policy_colour(policy: str) -> str:
    """Hex colour of a policy on a light ground; that of "start" for one we do not know."""
    return _POLICIES.get(policy, _POLICIES["start"])[0]


def policy_variable(policy: str) -> str:
    """The CSS variable that holds a policy's colour."""
    return f"--policy-{policy if policy in _POLICIES else 'start'}"


def _variables() -> dict[str, tuple[str, str]]:
    named = {"--ink": INK, "--muted": MUTED, "--grid": GRID}
    named |= {f"--class-{k}": pair for k, pair in enumerate(_CLASSES)}
    return named | {f"--policy-{name}": pair for name, pair in _POLICIES.items()}


def css_variables(theme: int) -> str:
    """Declarations of every colour, for the light (0) or the dark (1) theme."""
    return "".join(f"{name}:{pair[theme]};" for name, pair in _variables().items())


def escape(text: object) -> str:
    """A text as HTML, in an element or in a quoted attribute; what would turn the order of letters is shown escaped."""
    return html.escape(shown(text))


def escape_lines(text: object) -> str:
    """The same for a text of several lines."""
    return html.escape(shown_lines(text))


def printable(text: str, limit: int = 18) -> str:
    """`text` for a figure: shortened, and with a box for what the figures' font cannot draw."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    font = _font()
    return "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "□" for c in text)


def fitting(text: str, width: float) -> str:
    """`text` for a bold label of at most so many inches: its middle is left out, for names often begin alike."""
    text = printable(text, 200)
    kept, short = len(text), text
    while kept > 2 and label_width(short) > width:
        kept -= 1
        short = f"{text[: -(-kept // 2)]}…{text[-(kept // 2) :]}"
    return short


@cache
def label_width(text: str, weight: str = "bold") -> float:
    """Inches that a text takes in a figure."""
    font = _font(weight)
    font.set_size(SMALLEST, 72)
    font.set_text(text, 0.0)
    return font.get_width_height()[0] / 64 / 72


def _font(weight: str = "normal") -> FT2Font:
    from matplotlib import font_manager

    wanted = font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    return font_manager.get_font(font_manager.findfont(wanted))


_BY_COLOUR = {pair[0]: name for name, pair in _variables().items()}
_ID = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """A figure as an SVG element for an HTML page.

    Args:
        figure: any matplotlib figure.
        name: unique on the page; every id inside begins with it.
        label: what a screen reader says.

    Returns:
        One `<svg>` element: no size of its own, text as text in the page's font, colours as the page's variables,
        nothing that names a time, a program or an address; the same figure always gives the same characters.
    """
    buffer = io.StringIO()
    with drawing():
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    ids: dict[str, str] = {}

    def tag(found: re.Match[str]) -> str:  # and not the texts between them, which may hold anything
        text = found[0].replace("xlink:href=", "href=")
        text = _ID.sub(lambda m: m[1] + ids.setdefault(m[2], f"{name}-{len(ids)}"), text)
        text = re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var({_BY_COLOUR[m[0]]})" if m[0] in _BY_COLOUR else m[0], text)
        return re.sub(r"font-family: [^;\"]*;?", "", text)

    text = re.sub(r"<[^>]*>", tag, text)
    view = re.search(r'viewBox="[^"]*"', text)
    opening = f'<svg {view[0] if view else ""} role="img" aria-label="{escape(label)}">'
    return re.sub(r"\s*\n\s*", "\n", opening + text[text.index(">", text.index("<svg")) + 1 :]).strip()
