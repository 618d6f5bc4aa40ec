"""The metrics against plain float64 formulas, cases done by hand, and what a streamed sum must satisfy."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from examples import NAMES, SHAPE, WIDE, assert_close, example, measure, pick, scores, softmax, sure, tally

from bal.metrics import families
from bal.metrics.base import CHUNK
from bal.metrics.calibration import BINS
from bal.metrics.detection import SCORES, aurc, auroc
from bal.metrics.histograms import equal_mass_ece
from bal.metrics.summary import columns, summary
from bal.metrics.tally import add, check_families, pack, tally_images, unpack, zeros
from bal.types import IGNORE, BadInput

OURS = ("overlap", "calibration", "baseline")  # of whose columns `naive` has the formulas


def naive_parts(p: np.ndarray, event: np.ndarray) -> tuple[float, float, float]:
    """Reliability, resolution and uncertainty, by loops over bins."""
    k = np.minimum(np.floor(p * np.float32(BINS)), BINS - 1)
    bins = [(event[k == b].mean(), p[k == b].mean(dtype=float), (k == b).mean()) for b in range(BINS) if (k == b).any()]
    base = event.mean()
    reliability = sum(share * (seen - promised) ** 2 for seen, promised, share in bins)
    return reliability, sum(share * (seen - base) ** 2 for seen, _, share in bins), base * (1 - base)


def naive_ece(p: np.ndarray, event: np.ndarray) -> float:
    """By loops over bins; the bin of p is decided in float32, as p is."""
    k = np.minimum(np.floor(p * np.float32(BINS)), BINS - 1)
    return sum(
        (k == b).sum() / p.size * abs(event[k == b].mean() - p[k == b].mean(dtype=float))
        for b in range(BINS)
        if (k == b).any()
    )


def naive(calibrated: np.ndarray, raw: np.ndarray, label: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """All metrics in float64."""
    out = {}
    some = label != IGNORE
    y, t = label[some], np.eye(len(names))[label[some]]
    candidates = 1 - raw[some][:, 0] >= np.float32(0.05)
    for c, name in enumerate(names):
        counts = []
        for setup, p in [(label, calibrated), *zip(label, calibrated, strict=True)]:
            true, predicted = (setup == c)[setup != IGNORE], (p.argmax(-1) == c)[setup != IGNORE]
            counts.append(((true & predicted).sum(), (true | predicted).sum()))
        hit, union = counts[0]
        out[f"iou_{name}"] = hit / union
        out[f"f1_{name}"] = 2 * hit / (hit + union)
        out[f"iou_image_{name}"] = np.mean([hit / union for hit, union in counts[1:] if union])
    for version, probs in (("", calibrated), ("_raw", raw)):
        p = probs[some]
        events = {name: (p[:, c], y == c) for c, name in enumerate(names)}
        out[f"ece_classes{version}"] = np.mean([naive_ece(*event) for event in events.values()])
        events["foreground"] = 1 - p[candidates, 0], y[candidates] != 0
        out[f"ece_mass_foreground{version}"] = equal_mass_ece(*events["foreground"])
        for name, event in events.items():
            out[f"ece_{name}{version}"] = naive_ece(*event)
            parts = naive_parts(*event)
            out[f"brier_reliability_{name}{version}"], out[f"brier_resolution_{name}{version}"] = parts[:2]
            out[f"brier_uncertainty_{name}"] = parts[2]
        out[f"nll{version}"] = -np.log(p[np.arange(len(y)), y], dtype=float).mean()
        out[f"brier{version}"] = ((p.astype(float) - t) ** 2).sum(-1).mean()
    out["error_rate"] = (calibrated[some].argmax(-1) != y).mean()
    out["iou_all_background"] = (y == 0).mean()
    return out


def assert_formula(batch: tuple[np.ndarray, ...], names: tuple[str, ...]) -> None:
    got, expected = measure(batch, names=names), naive(*batch, names)
    of = {name for family in OURS for name in families()[family].meanings(names)}
    assert expected.keys() == of
    assert list(got) == [name for name in columns(names) if name.split("_")[-1] not in SCORES]
    for key in expected:
        rounded = 3e-3 if "mass" in key else 1e-6  # of few pixels, those at the edges matter
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-5, atol=rounded, err_msg=key)


@pytest.mark.parametrize("shape", [SHAPE, WIDE])
def test_summary_is_the_formula(shape) -> None:
    assert_formula(example(shape=shape), NAMES)


def test_two_classes() -> None:
    calibrated, raw, label = example(seed=1)
    batch = softmax(np.log(calibrated[..., :2])), softmax(np.log(raw[..., :2])), np.where(label == 2, 1, label)
    assert_formula(batch, NAMES[:2])


def test_scores_find_the_errors_of_the_calibrated_prediction() -> None:
    calibrated, raw, label = example()
    found = scores(calibrated, raw)
    got = summary(tally(calibrated, raw, label, found), NAMES)
    some = label != IGNORE
    wrong = calibrated[some].argmax(-1) != label[some]
    for a, name in enumerate(("entropy", "bald")):
        np.testing.assert_allclose(got[f"auroc_{name}"], auroc(found[some][:, a], wrong), atol=1e-3)
        np.testing.assert_allclose(got[f"aurc_{name}"], aurc(found[some][:, a], wrong), atol=1e-3)
    assert set(columns(NAMES)) - got.keys() == {"auroc_acquisition", "aurc_acquisition"}


def test_a_score_that_is_negative_somewhere_is_not_judged() -> None:
    calibrated, raw, label = example()
    found = scores(calibrated, raw)
    found[label == IGNORE] = -1.0
    place = tuple(np.argwhere(label != IGNORE)[0])
    found[(*place, 1)] = -1.0
    got = summary(tally(calibrated, raw, label, found), NAMES)
    assert math.isfinite(got["auroc_entropy"])
    assert math.isnan(got["auroc_bald"])
    assert math.isnan(got["aurc_bald"])


def test_by_hand() -> None:
    """Two images of four pixels: 0 0 1 1 read as 0 1 1 1, and 0 0 0 0 read as 0 0 0 2 with the last one ignored."""
    label = np.array([[[0, 0], [1, 1]], [[0, 0], [0, IGNORE]]])
    p = sure(np.array([[[0, 1], [1, 1]], [[0, 0], [0, 2]]]))
    got = measure((p, p, label))
    assert got["iou_background"] == 4 / 5
    assert got["iou_curve_1"] == 2 / 3
    assert got["f1_curve_1"] == 4 / 5
    assert got["iou_image_background"] == (1 / 2 + 1) / 2
    np.testing.assert_allclose(got["iou_image_curve_1"], 2 / 3, rtol=1e-6)  # in the second image it is nowhere
    assert math.isnan(got["iou_curve_2"])
    assert math.isnan(got["f1_curve_2"])
    assert math.isnan(got["iou_image_curve_2"])
    assert got["iou_all_background"] == 5 / 7
    assert got["brier"] == 2 / 7
    assert got["ece_curve_2"] == 0
    np.testing.assert_allclose(got["ece_curve_1"], 1 / 7)  # probabilities 0 and 1 in the first and last bin
    np.testing.assert_allclose(got["ece_foreground"], 1 / 3)  # three candidates, two of them curve
    np.testing.assert_allclose(got["nll"], -math.log(1e-37) / 7, rtol=1e-6)  # wrong and sure: large, not infinite


def test_counts_beyond_32_bits_and_probabilities_near_one() -> None:
    p1 = np.full((1, 2, CHUNK), 0.0003, np.float32)
    p = np.stack([1 - p1, p1], -1)
    once = jax.tree.map(lambda x: x * 10**9, tally(p, p, np.zeros(p1.shape, np.int32)))
    many = add(add(once, once), once)
    assert many["overlap"].confusion[0, 0] == 2 * CHUNK * 3 * 10**9
    got = summary(many, ("paper", "ink"))
    np.testing.assert_allclose(got["ece_paper"], 0.0003, atol=1e-6)
    assert got["iou_paper"] == 1
    assert math.isnan(got["ece_foreground"])  # no candidate


def test_one_class_in_truth() -> None:
    calibrated, raw, label = example()
    got = measure((calibrated, raw, np.where(label == IGNORE, IGNORE, 0)))
    assert got["iou_all_background"] == 1
    assert got["iou_curve_1"] == 0
    assert np.isfinite(list(got.values())).all()


def test_images_do_not_depend_on_what_else_is_in_their_batch() -> None:
    """Three of them do not split evenly over two devices, one does not either, four do."""
    batch = example(seed=3)
    whole = tally_images(*batch)
    for rows in (slice(0, 3), slice(2, 3)):
        assert_close(tally_images(*(x[rows] for x in batch)), pick(whole, rows))


def test_a_checkpoint_keeps_a_tally() -> None:
    each = tally_images(*example())
    saved = pack(each)
    assert all(isinstance(x, np.ndarray) for fields in saved.values() for x in fields.values())
    again = unpack(dict(reversed(saved.items())))
    assert jax.tree.structure(again) == jax.tree.structure(each)
    assert_close(again, each)


SAVED = pack(zeros(3))


@pytest.mark.parametrize(
    "saved",
    [
        {"confusion": np.zeros((3, 3)), "nll": np.zeros(2)},  # as it was before there were families
        {},
        {name: sums for name, sums in SAVED.items() if name != "overlap"},
        SAVED | {"overlap": SAVED["overlap"] | {"hits": np.zeros(3)}},
    ],
)
def test_a_checkpoint_of_other_metrics_is_refused(saved) -> None:
    with pytest.raises(BadInput, match=r"goes on with the metrics that it was begun with, and '\w+' (is|was)"):
        check_families(saved)
    assert unpack(saved).keys() <= saved.keys() & SAVED.keys(), "a page can be drawn of what is there"


def test_a_checkpoint_of_the_same_metrics_comes_back() -> None:
    check_families(SAVED)
    assert unpack(SAVED).keys() == SAVED.keys()


@pytest.mark.parametrize("names", [("a", "foreground"), ("a", "a"), ("a", "b", "image_b"), ("a", "b", "b_raw")])
def test_class_names_that_collide(names: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="give several metrics the name"):
        columns(names)


def test_wrong_number_of_names() -> None:
    with pytest.raises(BadInput, match="2 class names"):
        summary(zeros(3), ("a", "b"))
