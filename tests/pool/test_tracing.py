"""How many clicks a curve takes."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from bal.pool.cost import Effort, boundary, error_boundary
from bal.pool.tracing import NEAR, anchors, longest_way, pieces_of, trace
from bal.types import IGNORE, BadInput


def curve(height=24, width=24, thick=1):
    """A wave from left to right."""
    label = np.zeros((height, width), np.int32)
    for x in range(width):
        y = round(height / 2 + height / 4 * np.sin(x / 4))
        before = round(height / 2 + height / 4 * np.sin((x - 1) / 4)) if x else y
        label[min(y, before) : max(y, before) + thick, x] = 1
    return label


def certain(label, classes=2, p=0.98):
    """[C, height, width] probabilities of a model that sees what is there."""
    found = np.full((classes, *label.shape), (1 - p) / (classes - 1))
    np.put_along_axis(found, label[None], p, 0)
    return found


def test_two_clicks_are_enough_where_the_model_sees_the_curve():
    for thick in (1, 3):
        traced = trace(curve(thick=thick), certain(curve(thick=thick)))
        assert traced.clicks == 2
        assert not traced.left.any()


def test_where_the_model_sees_nothing_anchors_hold_the_path():
    label = curve()
    blind = np.full((2, *label.shape), 0.5)
    assert 4 <= trace(label, blind).clicks <= 12
    straight = np.zeros((24, 24), np.int32)
    straight[9] = 1
    assert trace(straight, np.full((2, 24, 24), 0.5)).clicks == 2, "a straight line needs no help"


def test_every_piece_of_every_class_is_traced_and_a_point_is_a_click():
    label = np.zeros((12, 30), np.int32)
    label[2, :10] = 1
    label[2, 20:] = 1
    label[8, 4:9] = 2
    label[10, 25] = 2
    label[0] = IGNORE
    assert trace(label, certain(np.where(label == IGNORE, 0, label), 3)).clicks == 2 + 2 + 2 + 1
    assert trace(np.zeros((5, 5), int), np.full((3, 5, 5), 1 / 3)).clicks == 0


def test_what_a_stroke_does_not_paint_is_left():
    label = np.zeros((30, 30), np.int32)
    label[4, :] = 1
    label[4:14, 15] = 1  # a branch
    traced = trace(label, certain(label))
    assert traced.left[12, 15]
    assert not traced.left[4].any()


def naive_fewest(way, cost):
    """The fewest anchors by trying every subset of the way's points, with networkx for the paths."""
    height, width = cost.shape
    graph = nx.Graph()
    for y, x in itertools.product(range(height), range(width)):
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a, b = y + dy, x + dx
            if 0 <= a < height and 0 <= b < width:
                graph.add_edge((y, x), (a, b), weight=(cost[y, x] + cost[a, b]) / 2 * np.hypot(dy, dx))
    points = [tuple(int(v) for v in p) for p in way]
    off = lambda p: min(np.hypot(p[0] - y, p[1] - x) for y, x in points)  # noqa: E731

    def stays(a, b):
        return all(off(p) <= NEAR for p in nx.dijkstra_path(graph, a, b))

    reach = {(i, j): stays(points[i], points[j]) for i, j in itertools.combinations(range(len(points)), 2)}
    best = [0] + [len(points)] * (len(points) - 1)
    for j in range(1, len(points)):
        best[j] = min(best[i] + 1 for i in range(j) if reach[i, j] or i == j - 1)
    return best[-1] + 1


def test_anchors_are_the_fewest():
    rng = np.random.default_rng(0)
    for _ in range(6):
        label = curve(12, 14)
        cost = rng.uniform(0.2, 2.0, label.shape)
        way = longest_way(label == 1)
        fewest = naive_fewest(way, cost)
        assert fewest <= anchors(way, cost) <= fewest + 1, "the greedy is at most one off where paths cross"


def test_the_longest_way_runs_from_end_to_end():
    way = longest_way(curve() == 1)
    assert abs(np.diff(way, axis=0)).max() == 1
    assert {0, 23} == {way[0][1], way[-1][1]}
    assert longest_way(np.eye(1, dtype=bool)).tolist() == [[0, 0]]


def test_pieces():
    pieces, count = pieces_of(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool))
    assert (count, len(set(pieces.ravel()))) == (2, 3)


# What that costs


def test_help_never_costs_more_than_drawing():
    label, effort = curve(), Effort(open=2, edge=0.1, click=0.5)
    p = np.moveaxis(certain(label), 0, -1)
    wrong = np.moveaxis(certain(1 - label), 0, -1)
    drawn = 2 + 0.1 * boundary(label)
    for assist, shown, seconds in (
        ("none", p, drawn),
        ("correct", p, 2.0),
        ("correct", wrong, 2.0 + 0.1 * min(boundary(label), error_boundary(label, wrong))),
        ("trace", p, 2.0),
        ("trace", wrong, None),
    ):
        found = Effort(2, 0.1, assist, 0.5).work(label, shown)
        assert found <= drawn + 1e-9
        if seconds is not None:
            assert found == pytest.approx(seconds, abs=1e-3)
    assert effort.work(label) == Effort(2, 0.1, "trace").work(label) == pytest.approx(drawn), "nothing was shown"
    half = np.where(np.arange(24)[None, :, None] < 12, p, 0.5)
    half[..., 0] += 1e-3
    tracing = Effort(2, 0.1, "trace", 0.2).work(label, half)
    assert 2.0 < tracing <= 2.0 + 0.2 * trace(label, np.moveaxis(half, -1, 0)).clicks + 1e-9


def test_the_boundary_of_errors_is_what_is_drawn_to_mend_them():
    label, shown = curve(), np.moveaxis(certain(curve()), 0, -1)
    assert error_boundary(label, shown) == 0
    shown[3:6, 3:6] = (0.1, 0.9)
    assert error_boundary(label, shown) == boundary((shown.argmax(-1) != label).astype(int)) > 0
    label[:] = IGNORE
    assert error_boundary(label, shown) == 0


@pytest.mark.parametrize("wrong", [{"assist": "magic"}, {"click": -1.0}, {"open": 0.0}, {"edge": float("nan")}])
def test_bad_settings(wrong):
    with pytest.raises(BadInput, match="effort needs"):
        Effort(**wrong)
