"""Tolerant F1 and centreline Dice against loops over pixels, the pooling of the paper, and drawings."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from examples import NAMES, example, measure, sure, tally
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from bal.metrics.base import LabelledImage
from bal.metrics.thin import Thin, centreline, dilate, f_score
from bal.types import IGNORE, BadInput

PAIR = ("paper", "ink")
SIDES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
MASKS = SIDES.flatmap(lambda shape: hnp.arrays(bool, shape))
MAPS = SIDES.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.int32, shape, elements=st.integers(0, 2)),
        hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 1, 2, IGNORE])),
    )
)
REACHES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 50.0])


def measured(predicted: np.ndarray, label: np.ndarray, within: float = 2.0, classes: tuple[str, ...] = PAIR):
    """The metrics of one image."""
    family = Thin(within)
    sums = family.of_image(LabelledImage(label, predicted, sure(predicted, len(classes))))
    return {name: float(value) for name, value in family.columns(sums, classes)}


def drawn(*lines: str) -> np.ndarray:
    """[H, W] of a drawing: ink is #, what nobody has labelled is ?."""
    return np.array([[{".": 0, "#": 1, "?": IGNORE}[c] for c in line] for line in lines])


# Formulas in float64, a pixel at a time


def naive_f(matched_predicted: int, predicted: int, matched_true: int, true: int) -> float:
    if not predicted + true:
        return math.nan
    precision, recall = (m / n if n else 0.0 for m, n in ((matched_predicted, predicted), (matched_true, true)))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def naive_tolerant(predicted: np.ndarray, label: np.ndarray, c: int, within: float) -> tuple[int, int, int, int]:
    labelled = [p for p in np.ndindex(label.shape) if label[p] in (0, 1, 2)]
    pixels, truth = ([p for p in labelled if x[p] == c] for x in (predicted, label))

    def near(some: list, others: list) -> int:
        return sum(any(math.dist(p, q) <= within for q in others) for p in some)

    return near(pixels, truth), len(pixels), near(truth, pixels), len(truth)


def naive_centreline(mask: np.ndarray, valid: np.ndarray) -> np.ndarray:
    edge = [q for q in np.ndindex(mask.shape) if valid[q] and not mask[q]]

    def depth(p: tuple[int, int]) -> float:
        return min((abs(p[0] - y) + abs(p[1] - x) for y, x in edge), default=math.inf)

    found = np.zeros_like(mask)
    for p in zip(*np.nonzero(mask), strict=True):
        around = itertools.product(*(range(max(i - 1, 0), min(i + 2, n)) for i, n in zip(p, mask.shape, strict=True)))
        found[p] = all(depth(p) >= depth(q) for q in around if valid[q])
    return found


def soft_skeleton(image: np.ndarray, rounds: int) -> np.ndarray:
    """Algorithm 1 of Shit et al. 2021 on [H, W] float64, as published: iterated min- and max-pooling."""

    def largest(x: np.ndarray, window: list[tuple[int, int]]) -> np.ndarray:
        padded = np.pad(x, 1, constant_values=-np.inf)
        height, width = x.shape
        return np.max([padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in window], 0)

    def erode(x: np.ndarray) -> np.ndarray:
        return -largest(-x, [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)])

    def opened(x: np.ndarray) -> np.ndarray:
        return largest(erode(x), list(itertools.product((-1, 0, 1), repeat=2)))

    skeleton = np.maximum(image - opened(image), 0)
    for _ in range(rounds):
        image = erode(image)
        delta = np.maximum(image - opened(image), 0)
        skeleton = skeleton + np.maximum(delta - skeleton * delta, 0)
    return skeleton


@given(MASKS)
def test_a_centreline_is_the_soft_skeleton_of_the_paper(mask):
    found = centreline(mask, np.ones_like(mask))
    if mask.all():
        assert found.all(), "without an edge to erode from, the paper has no skeleton"
    else:
        np.testing.assert_array_equal(found, soft_skeleton(mask.astype(np.float64), sum(mask.shape)))


@given(MAPS)
def test_a_centreline_beside_unlabelled_pixels(maps):
    _, label = maps
    valid, mask = label != IGNORE, label == 1
    found = centreline(mask, valid)
    np.testing.assert_array_equal(found, naive_centreline(mask, valid))
    assert found.any() == mask.any()
    np.testing.assert_array_equal(centreline(mask[::-1].T, valid[::-1].T), found[::-1].T)


@given(MASKS, REACHES)
def test_dilation_is_by_distance(mask, within):
    near = [[any(math.dist(p, q) <= within for q in np.argwhere(mask)) for p in row] for row in pixels(mask)]
    np.testing.assert_array_equal(dilate(mask, within), np.array(near, bool).reshape(mask.shape))
    np.testing.assert_array_equal(dilate(np.stack([mask, ~mask]), within)[0], dilate(mask, within))


def pixels(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    return [[(y, x) for x in range(mask.shape[1])] for y in range(mask.shape[0])]


@given(MAPS, REACHES)
def test_counts_are_those_of_loops(maps, within):
    predicted, label = maps
    sums = Thin(within).of_image(LabelledImage(label, predicted, sure(predicted)))
    valid = label != IGNORE
    for c in (1, 2):
        counts = naive_tolerant(predicted, label, c, within)
        assert tuple(sums.near[c - 1].ravel()) == counts
        np.testing.assert_allclose(f_score(sums.near[c - 1]), naive_f(*counts))
        masks = (predicted == c) & valid, label == c
        lines = [naive_centreline(mask, valid) for mask in masks]
        inside = [(int((s & m).sum()), int(s.sum())) for s, m in zip(lines, masks[::-1], strict=True)]
        assert tuple(map(tuple, sums.centre[c - 1])) == tuple(inside)
        np.testing.assert_allclose(f_score(sums.centre[c - 1]), naive_f(*inside[0], *inside[1]))
        present = any(mask.any() for mask in masks)
        assert bool(sums.images[c - 1]) == present
        np.testing.assert_allclose(sums.near_sum[c - 1], naive_f(*counts) if present else 0)
        np.testing.assert_allclose(sums.centre_sum[c - 1], naive_f(*inside[0], *inside[1]) if present else 0)


def test_without_tolerance_it_is_f1():
    calibrated, raw, label = example()
    got = measure((calibrated, raw, label))
    family = Thin(within=0)
    images = [
        family.of_image(LabelledImage(truth, p.argmax(-1), p)) for p, truth in zip(calibrated, label, strict=True)
    ]
    sums = type(images[0])(*(np.sum(field, 0) for field in zip(*images, strict=True)))
    for name, value in family.columns(sums, NAMES):
        if name.startswith("tolerant_f1_curve"):
            np.testing.assert_allclose(value, got[name.removeprefix("tolerant_")])


def test_pooled_and_per_image_are_two_quantities():
    """Two images with a stroke each: one is found, one is missed and something is drawn far away instead."""
    label = np.stack([drawn("######", "......", "......", "......", "......")] * 2)
    predicted = np.stack([label[0], label[1][::-1]])
    predicted[1, :, 2:] = 0
    got = measure((sure(predicted, 2), sure(predicted, 2), label), names=PAIR)
    for metric in ("tolerant_f1", "cldice"):
        precision, recall = 6 / 8, 6 / 12
        np.testing.assert_allclose(got[f"{metric}_ink"], 2 * precision * recall / (precision + recall))
        np.testing.assert_allclose(got[f"{metric}_image_ink"], 1 / 2)


# Drawings


@pytest.mark.parametrize(("off", "tolerant"), [(0, 1), (1, 1), (2, 1), (3, 0)])
def test_a_shifted_stroke(off, tolerant):
    label = np.zeros((9, 12), int)
    label[2] = 1
    got = measured(np.roll(label, off, 0), label)
    assert got["tolerant_f1_ink"] == tolerant
    assert got["cldice_ink"] == (off == 0), "a stroke one pixel wide forgives no shift"


def test_the_width_of_a_stroke_matters_to_one_of_them():
    label = drawn("..........", "..........", "..........", "##########", "..........", "..........", "..........")
    wide = drawn("..........", "##########", "##########", "##########", "##########", "##########", "..........")
    got = measured(wide, label, within=1)
    assert got["cldice_ink"] == 1
    np.testing.assert_allclose(got["tolerant_f1_ink"], 2 * 0.6 / 1.6)


def test_a_gap_matters_to_both_and_little_to_dice():
    label = drawn("." * 20, "#" * 20, "#" * 20, "#" * 20, "." * 20)
    broken = label.copy()
    broken[:, 8:12] = 0
    got = measured(broken, label, within=1)
    np.testing.assert_allclose(got["cldice_ink"], 2 * 0.8 / 1.8)
    np.testing.assert_allclose(got["tolerant_f1_ink"], 2 * 0.9 / 1.9)  # of the gap, one pixel at each end is near


def test_an_unlabelled_pixel_matches_nothing():
    label = drawn("......", "##??##", "......")
    assert measured(drawn("......", "..##..", "......"), label) == {
        **dict.fromkeys(("tolerant_f1_ink", "tolerant_f1_image_ink"), 0.0),
        **dict.fromkeys(("cldice_ink", "cldice_image_ink"), 0.0),
    }, "the prediction is all where nobody has labelled"
    hidden = drawn("......", "..??..", "......")
    assert measured(drawn("......", "..##..", "......"), hidden)["tolerant_f1_ink"] != 0, "so there is none"
    assert all(math.isnan(v) for v in measured(drawn("......", "..##..", "......"), hidden).values())


def test_a_stroke_cut_by_unlabelled_pixels_keeps_its_centreline():
    lines = "..............", "######??######", "######??######", "######??######", ".............."
    mask = drawn(*lines)
    found = centreline(mask == 1, mask != IGNORE)
    np.testing.assert_array_equal(found, (mask == 1) & (np.arange(5) == 2)[:, None])


def test_a_stroke_that_leaves_the_image_keeps_its_centreline():
    mask = drawn("....", "####", "####", "####", "....") == 1
    np.testing.assert_array_equal(np.nonzero(centreline(mask, np.ones_like(mask)))[0], [2] * 4)


@pytest.mark.parametrize("label", [drawn("#"), drawn("##", "##"), drawn("?#?", "###"), drawn("??", "?#")])
def test_a_mask_without_an_edge_is_its_own_centreline(label):
    np.testing.assert_array_equal(centreline(label == 1, label != IGNORE), label == 1)
    got = measured(np.ones_like(label), label)
    assert set(got.values()) == {1.0}


def test_everything_called_ink_is_as_precise_as_its_pixels():
    label = drawn("....", "####", "....", "....")
    got = measured(np.ones_like(label), label)
    np.testing.assert_allclose(got["cldice_ink"], 2 * 0.25 / 1.25)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3)])
def test_an_image_smaller_than_the_tolerance(shape):
    label, predicted = np.zeros(shape, int), np.zeros(shape, int)
    label.flat[0], predicted.flat[-1] = 1, 1
    assert measured(predicted, label, within=100.0)["tolerant_f1_ink"] == 1
    assert measured(predicted, label, within=100.0)["cldice_ink"] == (label.size == 1)


def test_in_one_of_the_two_it_is_0_and_in_neither_nan():
    some, none = drawn("..#.", "...."), drawn("....", "....")
    assert set(measured(some, none).values()) == set(measured(none, some).values()) == {0.0}
    assert all(math.isnan(v) for v in measured(none, none).values())
    got = measured(some, some, classes=("paper", "ink", "pencil"))
    assert {v for name, v in got.items() if "ink" in name} == {1.0}
    assert all(math.isnan(v) for name, v in got.items() if "pencil" in name)
    assert not any("paper" in name for name in got), "the background is no thin structure"


@pytest.mark.parametrize("within", [-1.0, math.nan, math.inf])
def test_what_is_no_distance_is_refused(within):
    with pytest.raises(BadInput, match="0 ≤ within < infinity"):
        Thin(within)


def test_the_texts_say_the_distance():
    assert "within 2 pixels" in Thin().meanings(PAIR)["tolerant_f1_ink"]
    assert "a tolerance of 1 pixel," in Thin(1).meanings(PAIR)["tolerant_f1_image_ink"]
    assert "F1 ± 1.5 px" in [cell.title for cell in Thin(1.5).cells(PAIR)]


def test_a_stack_of_images_has_an_f_score_each():
    rng = np.random.default_rng(0)
    there = rng.integers(0, 9, (5, 3, 2))
    counts = np.stack([rng.integers(0, there + 1), there], -1)  # [5, 3, 2, 2]
    expected = [[naive_f(*counts[i, j].ravel()) for j in range(3)] for i in range(5)]
    np.testing.assert_allclose(f_score(counts), expected)


def test_noise_has_intermediate_values():
    got = measure(example())
    for name in NAMES[1:]:
        assert 0 < got[f"cldice_{name}"] < 1
        assert got[f"f1_{name}"] < got[f"tolerant_f1_{name}"] < 1
    assert tally(*example())["thin"].images.tolist() == [3, 3]
