"""Outlines of what was bought, as the report draws them."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings, strategies as st

from bal.experiment.recorder import Snapshot
from bal.experiment.setup import set_up
from bal.experiment.state import Info
from bal.pool.units.superpixel import Superpixel
from bal.report import Box, panel, publish
from bal.report.gallery import gallery

from runs import tiny  # isort: skip


def naive(mask: np.ndarray) -> set[tuple[int, int, int, int]]:
    """Every unit edge between a pixel that is inside and one that is not."""
    padded, found = np.pad(mask, 1), set()
    for y in range(mask.shape[0] + 1):
        for x in range(mask.shape[1] + 1):
            if padded[y, x + 1] != padded[y + 1, x + 1]:
                found.add((x, y, x + 1, y))
            if padded[y + 1, x] != padded[y + 1, x + 1]:
                found.add((x, y, x, y + 1))
    return found


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.8, 1.0]))
@settings(max_examples=300)
def test_an_outline_goes_around_the_mask(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    units = []
    for x0, y0, x1, y1 in (Box(3, 5, height, width, "steered", 0.1, mask).edges() - [5, 3, 5, 3]).tolist():
        assert (x0 == x1) != (y0 == y1)
        units += [(x, y0, x + 1, y0) for x in range(x0, x1)] + [(x0, y, x0, y + 1) for y in range(y0, y1)]
    assert len(units) == len(set(units)), "nothing is drawn twice"
    assert set(units) == naive(mask)


def test_the_outline_of_a_box_has_four_sides():
    found = Box(3, 5, 10, 20, "steered", None).edges().tolist()
    assert sorted(found) == [[5, 3, 5, 13], [5, 3, 25, 3], [5, 13, 25, 13], [25, 3, 25, 13]]


def test_superpixels_are_drawn_as_they_are(monkeypatch):
    setup = set_up(tiny(unit=Superpixel(8), cost="pixels", start=1500, budget=2000))
    shape = setup.source.shape(setup.source.pool[0])
    maps = np.zeros(shape, np.int32), np.ones(shape, np.float32)
    monkeypatch.setattr(publish, "inspect", lambda *args: maps)
    lines = []
    for region in setup.regions.describe([0, 1], setup.source.image):
        line = {"image": region.image, "region": region.region, "box": region.box}
        lines.append({**line, "policy": "steered", "score": 0.5})
    (drawn,) = publish.draw(setup, Snapshot(Info({}), lines, object(), object(), (0, 0)))
    assert [box.mask.sum() for box in drawn.boxes] == setup.regions.pixels[:2].tolist()
    page = gallery([drawn], setup.source.classes)
    assert len(re.findall(r'<path d="[ML0-9 ]+" class="edge"', page)) == 2 * 2, "on the image and on the score"
    assert "<rect class" not in page
    figure = panel(drawn, setup.source.classes)
    pieces = [c.get_segments() for axes in figure.axes[:2] for c in axes.collections]
    assert [len(p) for p in pieces] == [len(box.edges()) for box in drawn.boxes] * 2
