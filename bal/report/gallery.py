"""The newest queries over their images: image and boxes, score, prediction, truth, as inline SVG around PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bal.report.columns import show
from bal.report.images import (
    STRIP,
    Box,
    Panel,
    Window,
    image_png,
    label_png,
    score_colours,
    score_png,
    score_range,
    windows,
)
from bal.report.style import class_index, escape, policy_colour, policy_variable
from bal.types import IGNORE

SHOWN = 8  # images at most
BYTES = 2_000_000  # of all pictures together; coarser pictures where they would need more


class _Shot(NamedTuple):
    """The pictures of one window, as data addresses."""

    image: str
    score: str
    prediction: str
    truth: str | None

    @property
    def size(self) -> int:
        return len(self.image) + len(self.score) + len(self.prediction) + len(self.truth or "")


def gallery(panels: Sequence[Panel], classes: Sequence[str]) -> str:
    """Legends and one card a panel; nothing if there is none."""
    if not panels:
        return ""
    shown = [_without_empty_truth(panel) for panel in panels[:SHOWN]]
    low, high = score_range(shown)
    cards = [_card(i, p, low, high, BYTES // len(shown)) for i, p in enumerate(shown)]
    left_out = len(panels) - len(shown)
    more = f'<p class="note">{left_out} more images were bought from.</p>' if left_out else ""
    return _legends(shown, classes, low, high) + "".join(cards) + more


def touched(panels: Sequence[Panel], classes: Sequence[str]) -> str:
    """Which of the drawn regions hold which class, as far as their truth is known; empty if it is not."""
    inside = []
    for panel in panels:
        if panel.truth is None:
            continue
        for box in panel.boxes:
            found = Window(*box[:4]).cut(panel.truth)
            found = found if box.mask is None else found[box.mask]
            if (found != IGNORE).any():
                inside.append(set(np.unique(found).tolist()))
    if not inside:
        return ""
    n = len(inside)
    parts = [f"{sum(k in i for i in inside)} touch {escape(c)}" for k, c in list(enumerate(classes))[1:]]
    none = sum(not (i - {0, IGNORE}) for i in inside)
    return f"Of the {n} regions drawn here whose labels are known, {', '.join(parts)}; {none} hold background only."


def _without_empty_truth(panel: Panel) -> Panel:
    known = panel.truth is not None and bool((panel.truth != IGNORE).any())
    return panel if known else panel._replace(truth=None)


def _legends(panels: Sequence[Panel], classes: Sequence[str], low: float, high: float) -> str:
    policies = dict.fromkeys(box.policy for p in panels for box in p.boxes)
    boxes = "".join(
        f'<span><span class="box" style="border-color:var({policy_variable(p)})'
        f'{";border-style:dashed" if p == "random" else ";border-style:dotted" if p == "audit" else ""}"></span>'
        f"{escape(p)}</span>"
        for p in policies
    )
    fills = "".join(
        f'<span><span class="fill" style="background:var(--class-{class_index(k)})"></span>{escape(c)}</span>'
        for k, c in list(enumerate(classes))[1:]
    )
    scale = (
        f'<span class="scale"><span>score</span> {show(low, 2)}'
        f'<i style="background:linear-gradient(90deg,{",".join(score_colours())})"></i>'
        f"≥ {show(high, 2)} nats</span>"
    )
    return f'<div class="legend">{boxes}{fills}{scale}</div>'


def _card(number: int, panel: Panel, low: float, high: float, budget: int) -> str:
    shape = (int(panel.score.shape[0]), int(panel.score.shape[1]))
    places = windows(shape, panel.boxes)
    whole = places[0][2:] == shape
    factor = max(1, -(-max(max(place[2:]) for place in places) // 512))
    shots = [_shoot(panel, place, low, high, factor) for place in places]
    while sum(shot.size for shot in shots) > budget and factor < 16:
        factor += 1
        shots = [_shoot(panel, place, low, high, factor) for place in places]
    strip = "" if whole else _strip(panel, places)
    rows = [
        ("" if whole else _where(place)) + _row(f"p{number}-{i}", panel, place, shot)
        for i, (place, shot) in enumerate(zip(places, shots, strict=True))
    ]
    kind = " tall" if not whole and shape[0] > 2 * shape[1] else ""
    body = f'{strip}<div class="views">{"".join(rows)}</div>'
    return f'<div class="card panel{kind}"><h3>{escape(panel.id)}</h3><div class="body">{body}</div></div>'


def _shoot(panel: Panel, place: Window, low: float, high: float, factor: int) -> _Shot:
    return _Shot(
        image_png(place.cut(panel.image), factor),
        score_png(place.cut(panel.score), low, high, factor),
        label_png(place.cut(panel.prediction), factor),
        None if panel.truth is None else label_png(place.cut(panel.truth), factor),
    )


def _where(place: Window) -> str:
    bottom, right = place.top + place.height, place.left + place.width
    return f'<p class="note">rows {place.top:,}–{bottom:,}, columns {place.left:,}–{right:,}</p>'


def _row(name: str, panel: Panel, place: Window, shot: _Shot) -> str:
    base = f'<image id="{name}" {_extent(place)} href="{shot.image}"/>'
    faded = f'<use href="#{name}" opacity="0.4"/>'
    inside = [box for box in panel.boxes if _meets(place, box)]
    cells = [
        (base + _boxes(inside, None), f"image, {len(inside)} region{'s' * (len(inside) != 1)} bought"),
        (f'<image {_extent(place)} href="{shot.score}"/>' + _boxes(inside, "#fff"), "score"),
        (f'{faded}<image {_extent(place)} href="{shot.prediction}"/>', "prediction"),
    ]
    if shot.truth is not None:
        cells.append((f'{faded}<image {_extent(place)} href="{shot.truth}"/>', "truth"))
    view = f"{place.left} {place.top} {place.width} {place.height}"
    figures = "".join(
        f'<figure><svg viewBox="{view}" role="img" aria-label="{escape(panel.id)}: {title}">'
        f'<rect {_extent(place)} fill="#fff"/>{content}</svg><figcaption>{title}</figcaption></figure>'
        for content, title in cells
    )
    layout = " wide" if place.width > 2 * place.height else " three" if len(cells) == 3 else ""
    return f'<div class="grid shots{layout}">{figures}</div>'


def _strip(panel: Panel, places: Sequence[Window]) -> str:
    """The whole image made small, with its boxes and the outline of the crops shown beneath."""
    height, width = panel.score.shape
    factor = max(1, -(-height // STRIP[0]), -(-width // STRIP[1]))
    whole = Window(0, 0, height, width)
    crops = "".join(
        f'<rect {_extent(p)} fill="none" stroke="#22262b" stroke-width="1" vector-effect="non-scaling-stroke"/>'
        for p in places
    )
    return (
        f'<figure class="strip"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(panel.id)}, whole"><image class="smooth" {_extent(whole)} '
        f'preserveAspectRatio="none" href="{image_png(panel.image, factor)}"/>{crops}'
        f"{_boxes(panel.boxes, None, least=max(height, width) / 220)}</svg><figcaption>the whole image, "
        f"{height:,} × {width:,} px; thin frames are the parts shown beneath</figcaption></figure>"
    )


def _boxes(boxes: Sequence[Box], colour: str | None, least: float = 0.0) -> str:
    """Outlines, no smaller than `least`, below which a region is drawn as its box."""
    out = []
    for box in boxes:
        told = f"{box.policy}, score {show(float('nan') if box.score is None else box.score)}"
        kind = f" {box.policy}" if box.policy in ("random", "audit") and not least else ""
        shape = _rectangle(box, least) if box.mask is None or least else _outline(box)
        halo = "" if colour else f'<{shape} class="halo"/>'
        out.append(
            f'{halo}<{shape} class="edge{kind}" stroke="{colour or policy_colour(box.policy)}">'
            f"<title>{escape(told)}</title></{shape.split()[0]}>"
        )
    return "".join(out)


def _rectangle(box: Box, least: float) -> str:
    tall, wide = max(box.height, least), max(box.width, least)
    left, top = box.left + (box.width - wide) / 2, box.top + (box.height - tall) / 2
    return f'rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{tall:g}"'


def _outline(box: Box) -> str:
    return 'path d="{}"'.format("".join(f"M{a} {b}L{c} {d}" for a, b, c, d in box.edges()))


def _extent(place: Window) -> str:
    return f'x="{place.left}" y="{place.top}" width="{place.width}" height="{place.height}"'


def _meets(place: Window, box: Box) -> bool:
    top, left, height, width = box[:4]
    return (
        top < place.top + place.height
        and place.top < top + height
        and left < place.left + place.width
        and place.left < left + width
    )
