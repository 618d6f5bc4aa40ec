"""The metrics against plain float64 formulas, cases done by hand, and what a streamed sum must satisfy."""

import math

import jax
import numpy as np
import pytest

from bal.metrics.detection import aurc, auroc
from bal.metrics.histograms import equal_mass_ece
from bal.metrics.summary import Reliability, columns, decompose, reliability, summary
from bal.metrics.tally import BINS, CHUNK, add, tally_batch, zeros
from bal.types import IGNORE, BadInput

NAMES = ("background", "curve_1", "curve_2")
SHAPE = (4, 96, 64)  # more pixels than a chunk, and not a multiple of it


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated and raw probabilities [B, H, W, C], labels [B, H, W]; the last image is padding."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((*SHAPE, 3)) + np.array([5.0, 0.0, -1.0])
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    truth[rng.random(SHAPE) < 0.2] = IGNORE
    truth[-1] = IGNORE
    return softmax(1.1 * logits), softmax(3.0 * logits), truth.astype(np.int32)


def scores(*probs: np.ndarray) -> np.ndarray:
    """[B, H, W, A] least confidence of several predictions."""
    return np.stack([1 - p.max(-1) for p in probs], -1)


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True)).astype(np.float32)


def measure(*batches: tuple[np.ndarray, np.ndarray, np.ndarray], names: tuple[str, ...] = NAMES) -> dict[str, float]:
    total = zeros(len(names))
    for batch in batches:
        total = add(total, tally_batch(*batch))
    return summary(total, names)


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


def test_summary_is_the_formula() -> None:
    batch = example()
    got, expected = measure(batch), naive(*batch, NAMES)
    assert got.keys() == expected.keys() == set(columns(NAMES))
    for key in expected:
        rounded = 3e-3 if "mass" in key else 1e-6  # of few pixels, those at the edges matter
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-5, atol=rounded, err_msg=key)


def test_two_classes() -> None:
    calibrated, raw, label = example(seed=1)
    batch = (softmax(np.log(calibrated[..., :2])), softmax(np.log(raw[..., :2])), np.where(label == 2, 1, label))
    got, expected = measure(batch, names=NAMES[:2]), naive(*batch, NAMES[:2])
    for key in expected:
        rounded = 3e-3 if "mass" in key else 1e-6  # of few pixels, those at the edges matter
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-5, atol=rounded, err_msg=key)


def test_scores_find_the_errors_of_the_calibrated_prediction() -> None:
    calibrated, raw, label = example()
    found = scores(calibrated, raw)
    got = summary(tally_batch(calibrated, raw, label, found), NAMES)
    some = label != IGNORE
    wrong = calibrated[some].argmax(-1) != label[some]
    for a, name in enumerate(("entropy", "bald")):
        np.testing.assert_allclose(got[f"auroc_{name}"], auroc(found[some][:, a], wrong), atol=1e-3)
        np.testing.assert_allclose(got[f"aurc_{name}"], aurc(found[some][:, a], wrong), atol=1e-3)
    assert got.keys() - set(columns(NAMES)) == {"auroc_entropy", "auroc_bald", "aurc_entropy", "aurc_bald"}


def test_a_score_that_is_negative_somewhere_is_not_judged() -> None:
    calibrated, raw, label = example()
    found = scores(calibrated, raw)
    found[label == IGNORE] = -1.0
    place = tuple(np.argwhere(label != IGNORE)[0])
    found[(*place, 1)] = -1.0
    got = summary(tally_batch(calibrated, raw, label, found), NAMES)
    assert math.isfinite(got["auroc_entropy"])
    assert math.isnan(got["auroc_bald"])
    assert math.isnan(got["aurc_bald"])


def test_the_parts_of_a_brier_score_by_hand() -> None:
    """Two values of p, 0.2 and 0.8, on 10 pixels each, of which 1 and 7 are events."""
    count, p, o = np.array([10, 0, 10]), np.array([0.2, np.nan, 0.8]), np.array([0.1, np.nan, 0.7])
    parts = decompose(Reliability(count, p, o))
    np.testing.assert_allclose(parts, (0.01, 0.09, 0.24))
    brier = (1 * 0.8**2 + 9 * 0.2**2 + 7 * 0.2**2 + 3 * 0.8**2) / 20
    np.testing.assert_allclose(parts.reliability - parts.resolution + parts.uncertainty, brier)
    assert all(math.isnan(x) for x in decompose(Reliability(0 * count, p * np.nan, o * np.nan)))


def test_the_parts_nearly_add_up_in_bins() -> None:
    diagram = reliability(tally_batch(*example()), NAMES)["curve_1"]
    parts = decompose(diagram)
    calibrated, _, label = example()
    some = label != IGNORE
    brier = np.mean((calibrated[some][:, 1] - (label[some] == 1)) ** 2)
    assert abs(parts.reliability - parts.resolution + parts.uncertainty - brier) < 0.002


def test_a_sum_of_halves_is_the_whole() -> None:
    first, second = ((*batch, scores(*batch[:2])) for batch in (example(), example(seed=2)))
    both = add(add(zeros(3, scores=2), tally_batch(*first)), tally_batch(*second))
    whole = tally_batch(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    for name, left, right in zip(both._fields, both, whole, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, err_msg=name)
    for name in ("confusion", "iou_images", "bin_count", "bin_events", "mass_count", "score_count"):
        np.testing.assert_array_equal(getattr(both, name), getattr(whole, name), err_msg=name)
        assert getattr(both, name).dtype == np.int64


def test_padding_images_and_ignored_pixels_count_for_nothing() -> None:
    calibrated, raw, label = example()
    real = add(zeros(3), tally_batch(calibrated[:3], raw[:3], label[:3]))
    changed = [p.copy() for p in (calibrated, raw)]
    for p in changed:
        p[label == IGNORE] = np.nan
    for batch in ((calibrated, raw, label), (*changed, label)):
        for name, left, right in zip(real._fields, tally_batch(*batch), real, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5, err_msg=name)


def test_by_hand() -> None:
    """Two images of four pixels: 0 0 1 1 read as 0 1 1 1, and 0 0 0 0 read as 0 0 0 2 with the last one ignored."""
    sure = np.eye(3, dtype=np.float32)
    label = np.array([[[0, 0], [1, 1]], [[0, 0], [0, IGNORE]]])
    p = sure[np.array([[[0, 1], [1, 1]], [[0, 0], [0, 2]]])]
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


def test_diagrams_hold_every_pixel_in_its_bin() -> None:
    p1 = np.array([0.0, 0.06, 1 / 15, 0.5, 14 / 15, 1.0], np.float32)
    probs = np.stack([1 - p1, p1], -1).reshape(1, 1, -1, 2)
    label = np.array([0, 1, 0, 1, 1, 1]).reshape(1, 1, -1)
    diagrams = reliability(tally_batch(probs, probs, label), ("paper", "ink"))
    assert list(diagrams) == ["paper", "ink", "foreground", "paper_raw", "ink_raw", "foreground_raw"]
    ink = diagrams["ink"]
    assert ink.count[[0, 1, 7, 14]].tolist() == [2, 1, 1, 2]
    assert ink.count.sum() == 6
    np.testing.assert_allclose(ink.confidence[[0, 1, 7, 14]], [0.03, 1 / 15, 0.5, (14 / 15 + 1) / 2], atol=1e-6)
    assert ink.frequency[[0, 1, 7, 14]].tolist() == [0.5, 0.0, 1.0, 1.0]
    assert np.isnan(ink.confidence[2])
    assert diagrams["foreground"].count.sum() == 5  # p = 0 is no candidate


def test_a_calibrated_model_has_no_foreground_error() -> None:
    calibrated, raw, label = example(seed=4)
    exact = softmax(np.log(calibrated) / np.float32(1.1))
    got = measure((exact, raw, label))
    assert got["ece_foreground"] < 0.03 < 0.1 < got["ece_foreground_raw"]


def test_counts_beyond_32_bits_and_probabilities_near_one() -> None:
    p1 = np.full((1, 2, CHUNK), 0.0003, np.float32)
    p = np.stack([1 - p1, p1], -1)
    once = tally_batch(p, p, np.zeros(p1.shape, np.int32))
    many = zeros(2)
    for _ in range(3):
        many = add(
            many, jax.tree.map(lambda x: np.asarray(x).astype(float if x.dtype == np.float32 else int) * 10**9, once)
        )
    assert many.confusion[0, 0] == 2 * CHUNK * 3 * 10**9
    got = summary(many, ("paper", "ink"))
    np.testing.assert_allclose(got["ece_paper"], 0.0003, atol=1e-6)
    assert got["iou_paper"] == 1
    assert math.isnan(got["ece_foreground"])  # no candidate


def test_nothing_at_all() -> None:
    got = measure()
    assert all(math.isnan(value) for value in got.values())
    calibrated, raw, label = example()
    nothing = measure((calibrated, raw, np.full_like(label, IGNORE)))
    assert all(math.isnan(value) for value in nothing.values())


def test_one_class_in_truth() -> None:
    calibrated, raw, label = example()
    got = measure((calibrated, raw, np.where(label == IGNORE, IGNORE, 0)))
    assert got["iou_all_background"] == 1
    assert got["iou_curve_1"] == 0
    assert np.isfinite(list(got.values())).all()


@pytest.mark.parametrize("names", [("a", "foreground"), ("a", "a"), ("a", "b", "image_b"), ("a", "b", "b_raw")])
def test_class_names_that_collide(names: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="give several metrics the name"):
        columns(names)


def test_wrong_number_of_names() -> None:
    with pytest.raises(BadInput, match="2 class names"):
        summary(zeros(3), ("a", "b"))
