"""The archive of logs: frequencies, windows that agree to the pixel, looks that are frozen and are what they say."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bal.config.dump import dump_yaml
from bal.config.schema import Config
from bal.sources import Vintages
from bal.sources.base import HasStyles
from bal.types import BadInput
from bal.well_logs.style import LIMITS
from bal.well_logs.vintages import VINTAGES, apportion, digest, zipf

TRAP = "drowned"
FROZEN = "3e40b02660f8"
AGAIN = (
    "The vintages look otherwise than they did. Results of earlier runs are of other looks: say so where they are kept,"
    " begin a new comparison, and only then pin the new looks here."
)
DRAWN = {  # pixels of curve_1 and curve_2, and mean grey, of the first log of each
    "plain": (474, 914, 0.872),
    "scanned": (589, 402, 0.840),
    "log": (504, 358, 0.877),
    "drowned": (456, 278, 0.756),
    "log_scanned": (537, 944, 0.815),
    "worn": (370, 830, 0.698),
    "wrapped": (1090, 732, 0.847),
    "stained": (629, 896, 0.641),
    "noted": (478, 404, 0.838),
    "log_worn": (687, 435, 0.800),
    "crooked": (294, 817, 0.838),
    "faint": (371, 720, 0.822),
}


@pytest.fixture(scope="module")
def even():
    """Two logs of every style in the pool, one for testing, each of three windows."""
    return Vintages(pool=24, test=1, windows=3, exponent=0).open()


def whole(source, style: str, log: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of a log, put together from its first window and what each next one adds."""
    width = source.shape(source.pool[0])[1]
    ids = [f"pool-{style}-{log:03d}-{k}" for k in range(3)]
    new = [slice(0, width), *[slice(width // 2, width)] * 2]
    parts = [(source.image(id)[:, at, 0], source.mask(id)[:, at]) for id, at in zip(ids, new, strict=True)]
    image, mask = (np.concatenate(some, 1) for some in zip(*parts, strict=True))
    return image, mask


def auc(low: np.ndarray, high: np.ndarray) -> float:
    return float(np.searchsorted(np.sort(low), high).mean() / low.size)


def test_the_looks_are_frozen():
    assert digest() == FROZEN, AGAIN


def test_the_renderer_draws_them_as_it_did(even):
    """The digest is of the table; this is of what becomes of it, as far as machines agree."""
    for style, (first, second, grey) in DRAWN.items():
        image, mask = whole(even, style)
        assert [(mask == c).sum() for c in (1, 2)] == pytest.approx([first, second], rel=0.01), AGAIN
        assert image.mean() == pytest.approx(grey, abs=0.002), AGAIN


def test_the_digest_knows_every_look_and_rank():
    first, second, *rest = VINTAGES
    paler = first._replace(style=dataclasses.replace(first.style, contrast=0.89))
    others = [(second, first, *rest), (paler, second, *rest), (first._replace(gain=1.1), second, *rest), VINTAGES[1:]]
    assert len({digest(), *map(digest, others)}) == 5
    assert digest((first._replace(about="another text"), second, *rest)) == digest()


def test_other_looks_are_refused():
    with pytest.raises(BadInput, match=r"the looks are \w{12} here, and those asked for are 0123: results of one"):
        Vintages(looks="0123").open()
    assert f"looks: {digest()}" in dump_yaml(Config(source=Vintages())).replace("'", "")


def test_there_are_twelve_styles_within_the_limits_of_the_renderer():
    assert len({v.name for v in VINTAGES}) == len(VINTAGES) == 12
    assert VINTAGES[0].name != TRAP
    assert {v.grid for v in VINTAGES} == {"linear", "log"}
    for v in VINTAGES:
        assert v.about
        assert "-" not in v.name, "ids are split at hyphens"
        for knob, (low, high) in LIMITS.items():
            assert low <= np.min(getattr(v.style, knob)) <= np.max(getattr(v.style, knob)) <= high


def test_zipf():
    weight = np.array([r**-1.5 for r in range(1, 13)])
    np.testing.assert_allclose(zipf(12, 1.5), weight / weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(zipf(12, 0.0), np.full(12, 1 / 12))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("total", [12, 13, 60, 61, 1000])
def test_logs_are_apportioned(total, exponent):
    share = zipf(12, exponent)
    count = apportion(total, share)
    assert count.sum() == total
    assert count.min() >= 1
    assert (np.diff(count) <= 0).all(), "the more common has no fewer"
    if total * share.min() >= 1:
        assert (np.abs(count - total * share) < 1).all(), "the quota rule"


def test_largest_remainder_by_hand():
    assert apportion(10, np.array([0.55, 0.28, 0.17])).tolist() == [5, 3, 2]
    assert apportion(10, np.array([0.9, 0.08, 0.02])).tolist() == [8, 1, 1]
    assert apportion(60, zipf(12, 1.5)).tolist() == [29, 10, 6, 4, 3, 2, *[1] * 6]
    assert apportion(7, np.full(3, 1 / 3)).tolist() == [3, 2, 2]


def test_styles_are_as_common_as_their_ranks_say():
    source = Vintages(pool=60, test=2).open()
    assert isinstance(source, HasStyles)
    assert list(source.styles) == [v.name for v in VINTAGES]
    logs = {id.rpartition("-")[0]: source.style(id) for id in source.pool}
    assert [Counter(logs.values())[name] for name in source.styles] == apportion(60, zipf(12, 1.5)).tolist()
    assert set(Counter(map(source.style, source.pool)).values()) == {5 * n for n in (29, 10, 6, 4, 3, 2, 1)}
    assert set(Counter(map(source.style, source.test)).values()) == {2 * 3}, "three windows that do not overlap"
    assert not logs.keys() & {id.rpartition("-")[0] for id in source.test}
    assert len({source.style(id) for id in source.pool[:80]}) > 3, "styles are mixed in the order of the pool"


def test_a_part_of_the_styles_keeps_its_proportions():
    source = Vintages(pool=30, test=1, styles=("scanned", "plain"), windows=1).open()
    assert source.styles == ("plain", "scanned")
    share = 1 / (1 + 2**-1.5)
    assert Counter(map(source.style, source.pool)) == {"plain": round(30 * share), "scanned": 30 - round(30 * share)}


def test_windows_of_a_log_agree_to_the_pixel(even):
    for style in even.styles:
        for k in range(2):
            a, b = (f"pool-{style}-001-{n}" for n in (k, k + 1))
            np.testing.assert_array_equal(even.image(a)[:, 64:], even.image(b)[:, :64])
            np.testing.assert_array_equal(even.mask(a)[:, 64:], even.mask(b)[:, :64])


@pytest.mark.parametrize(("overlap", "step"), [(0.0, 64), (0.25, 48), (0.9, 6)])
def test_overlap(overlap, step):
    settings = Vintages(height=48, width=64, windows=3, overlap=overlap, pool=1, test=1, styles=("log",))
    source = settings.open()
    assert (settings.step, settings.length) == (step, 64 + 2 * step)
    one, two = (source.image(f"pool-log-000-{k}") for k in (0, 1))
    np.testing.assert_array_equal(one[:, step:], two[:, : 64 - step])
    assert len(source.test) == 1 + 2 * step // 64


def test_an_image_depends_on_the_seed_and_its_id_alone(even):
    other = Vintages(pool=40, test=3, windows=3, exponent=2).open()
    for id in ("pool-plain-000-1", "pool-faint-000-2", "test-worn-000-0"):
        np.testing.assert_array_equal(even.image(id), other.image(id))
        np.testing.assert_array_equal(even.mask(id), other.mask(id))
    again = Vintages(pool=24, test=1, windows=3, exponent=0, seed=1).open()
    assert not np.array_equal(even.image("pool-plain-000-1"), again.image("pool-plain-000-1"))
    assert not np.array_equal(even.image("pool-plain-000-1"), even.image("pool-plain-001-1"))
    assert not np.array_equal(even.image("pool-plain-000-0"), even.image("test-plain-000-0"))


@pytest.mark.parametrize("style", [v.name for v in VINTAGES if v.name != TRAP])
def test_masks_fit_the_ink(even, style):
    """Ink is darkest exactly under the mask, not a pixel beside it; it is rare, and a look at it finds it."""
    image, mask = whole(even, style)
    ink = mask > 0
    moved = {(y, x): image[np.roll(ink, (y, x), (0, 1))].mean() for y in (-1, 0, 1) for x in (-1, 0, 1)}
    assert min(moved, key=lambda by: moved[by]) == (0, 0)
    assert image[~ink].mean() - image[ink].mean() > 0.1
    assert 0.008 < ink.mean() < 0.08
    assert (mask == 1).any()
    assert (mask == 2).any()
    local = gaussian_filter(image, 6) - gaussian_filter(image, 1)
    assert auc(local[~ink], local[ink]) > 0.85


def test_the_trap_cannot_be_read(even):
    found, plain = [], []
    for log in range(2):
        image, mask = whole(even, TRAP, log)
        local = gaussian_filter(image, 6) - gaussian_filter(image, 1)
        found.append(auc(local[mask == 0], local[mask > 0]))
        plain.append(auc(1 - image[mask == 0], 1 - image[mask > 0]))
        assert 0.01 < (mask > 0).mean() < 0.08, "it has ink, and masks of it"
    assert max(found) < 0.62
    assert max(plain) < 0.6


def test_styles_look_as_they_are_said_to(even):
    """Dashes, bold pens, wraps and grain, in numbers."""
    drawn = {style: [whole(even, style, log) for log in range(2)] for style in even.styles}
    there = {s: [np.mean([(m == c).any(0).mean() for _, m in d]) for c in (1, 2)] for s, d in drawn.items()}
    ink = {s: [np.mean([(m == c).mean() for _, m in d]) for c in (1, 2)] for s, d in drawn.items()}
    assert there["plain"][1] > 0.95 > 0.85 > there["log"][1]
    assert there["log_worn"][1] < 0.85
    assert ink["plain"][1] > 1.5 * ink["plain"][0], "a bold pen"
    assert ink["faint"][0] < 0.75 * ink["scanned"][0], "a pen of one pixel"
    contrast = {s: np.mean([i[m == 0].mean() - i[m > 0].mean() for i, m in d]) for s, d in drawn.items()}
    assert contrast["faint"] < 0.6 * contrast["scanned"]
    jumps = {s: np.mean([_jumps(m == 1) for _, m in d]) for s, d in drawn.items()}
    assert jumps["wrapped"] > jumps["noted"] + 2


def _jumps(curve: np.ndarray) -> int:
    """How often the middle of a curve leaps across more than a third of the page."""
    rows = np.arange(curve.shape[0])[:, None]
    count = curve.sum(0)
    middle = (curve * rows).sum(0)[count > 0] / count[count > 0]
    return int((np.abs(np.diff(middle)) > curve.shape[0] / 6).sum())


def test_notes():
    (note,) = Vintages(pool=14, styles=("plain", "worn")).notes()
    assert note == f"14 logs in the pool: 13 plain, 1 worn; 2 of each for testing; looks {digest()}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"pool": 11},
            r"pool is 11, and 12 styles need a log each: give --source\.pool 12 or more, or name fewer styles",
        ),
        ({"pool": 0}, "pool is 0; it must be 1 to"),
        ({"test": -1}, "test is -1"),
        ({"overlap": 0.95}, "overlap is 0.95; it must be 0.0 to 0.9"),
        ({"exponent": float("nan")}, "exponent is nan"),
        ({"styles": ("plain", "worm")}, "there is no style 'worm'; choose of plain, scanned, log"),
        ({"windows": 0}, "windows is 0"),
        ({"pool": 100_000, "windows": 1000}, "more than 1000000 images"),
        ({"height": 4096, "width": 4096, "windows": 1000}, "lower height, width or windows"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(BadInput, match=message) as error:
        Vintages(**settings).open()
    assert "\n" not in str(error.value)
