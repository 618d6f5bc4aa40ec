"""The renderer of scanned well logs: masks are exact, foreground is rare, wells never leak, errors help."""

from __future__ import annotations

import builtins
import dataclasses
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bal.sources import WellLog
from bal.sources._cache import Cache
from bal.types import BadInput
from bal.well_logs.curves import Well, generate, starts
from bal.well_logs.pen import stamp, walk
from bal.well_logs.style import LIMITS, PRESETS, Style
from bal.well_logs.warp import draw_warp

REAL = Path(__file__).parents[3] / "shared" / "data" / "force2020_curves.npz"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="force2020_curves.npz is not in ../shared/data")


def fractions(source, ids) -> np.ndarray:
    """Share of pixels of curve_1 and curve_2, mean over images."""
    return np.mean([[(source.mask(id) == c).mean() for c in (1, 2)] for id in ids], axis=0)


def npz(path: Path, wells: int = 4, rows: int = 400, **change) -> Path:
    """A file of wells with curves A and B; `change` replaces or (None) removes arrays."""
    rng = np.random.default_rng(0)
    total = wells * rows
    data = np.stack([np.tile(np.arange(rows) * 0.5 + 100, wells), *rng.random((2, total))], axis=1)
    arrays = {
        "data": data.astype(np.float32),
        "columns": np.array(["DEPT", "A", "B"]),
        "well": np.array([f"w{i}" for i in range(wells)]),
        "start": np.arange(wells) * rows,
        "stop": np.arange(1, wells + 1) * rows,
    } | change
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


LAS = """~Version
 VERS. 2.0 :
 WRAP. NO :
~Well
 STRT.M 100 :
 STOP.M {stop} :
 STEP.M 0.5 :
 NULL. -999.25 :
 WELL. {well} :
~Curve
 DEPT.M :
 GR.API :
 RES.OHMM :
~ASCII
"""


def las(path: Path, well: str, rows: int = 120) -> Path:
    rng = np.random.default_rng(rows)
    lines = [f"{100 + 0.5 * i} {50 + 40 * rng.random():.3f} {1 + rng.random():.3f}" for i in range(rows)]
    lines[5] = "102.5 -999.25 1.5"
    path.write_text(LAS.format(stop=100 + 0.5 * (rows - 1), well=well) + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_foreground_is_as_rare_as_on_real_logs(preset):
    source = WellLog(preset=preset).open()
    first, second = fractions(source, source.pool if preset == "scanned" else source.pool[:60])
    assert 0.02 <= first + second <= 0.035
    assert 0.5 <= second / first <= 2


@needs_real
def test_foreground_with_real_curves():
    source = WellLog(curves=REAL).open()
    first, second = fractions(source, source.pool)
    assert 0.02 <= first + second <= 0.035
    assert 0.5 <= second / first <= 2


@needs_real
def test_real_wells_are_never_shared():
    source = WellLog(curves=REAL, columns=("gr", "RDEP")).open()
    pool, test = ({source.well(id) for id in ids} for ids in (source.pool, source.test))
    assert not pool & test
    assert len(pool) + len(test) == 30
    assert len(test) == round(30 * 40 / 190)


def test_ink_lies_where_the_mask_says():
    source = WellLog(preset="clean", labels=0.0, header=0.0, pool=12).open()
    for id in source.pool:
        image, mask = source.image(id)[..., 0], source.mask(id)
        paper = np.median(image[mask == 0])
        assert (image[mask > 0] < paper - 0.15).mean() > 0.99


def test_grey_alone_does_not_tell_the_curves_apart():
    source = WellLog().open()
    grey = [[], []]
    for id in source.pool[:40]:
        for c in (1, 2):
            grey[c - 1].append(source.image(id)[..., 0][source.mask(id) == c])
    first, second = (np.concatenate(g) for g in grey)
    low, high = np.sort(first), second
    auc = np.searchsorted(low, high).mean() / low.size
    assert 0.3 < auc < 0.7


def test_damage_leaves_the_mask_alone():
    geometry = {"skew": 2.0, "tilt": 0.05, "feed": 0.01, "seams": 0.5, "grid_jitter": 0.3}
    pen = {"stroke": (1.5, 1.5), "dash": (8.0, 4.0), "stroke_variance": 0.1, "header": 0.0, "labels": 0.0}
    clean = WellLog(preset="clean", pool=5, off_scale=0.3, **geometry, **pen).open()
    harsh = WellLog(preset="harsh", pool=5, off_scale=0.3, **geometry, **pen).open()
    for id in clean.pool:
        np.testing.assert_array_equal(clean.mask(id), harsh.mask(id))
        assert not np.array_equal(clean.image(id), harsh.image(id))


def test_geometry_moves_the_mask():
    flat = WellLog(preset="clean", pool=3).open()
    bent = WellLog(preset="clean", pool=3, skew=5.0, feed=0.02).open()
    assert any(not np.array_equal(flat.mask(id), bent.mask(id)) for id in flat.pool)


def test_an_image_does_not_depend_on_how_many_there_are():
    few, many = WellLog(pool=2, test=1).open(), WellLog(pool=9, test=7).open()
    np.testing.assert_array_equal(few.image("pool-00001"), many.image("pool-00001"))
    assert not np.array_equal(few.image("pool-00001"), WellLog(pool=2, seed=1).open().image("pool-00001"))
    assert not np.array_equal(few.image("pool-00000"), few.image("test-00000"))


def test_depth_runs_along_the_chosen_side():
    along = WellLog(height=64, width=200, pool=6, preset="clean", header=0.0).open()
    down = WellLog(height=200, width=64, pool=6, preset="clean", header=0.0, depth="height").open()
    for id in along.pool:
        assert along.image(id).shape == (64, 200, 1)
        np.testing.assert_array_equal(np.rot90(down.mask(id)), along.mask(id))
        assert (along.mask(id) == 1).any(axis=0).mean() > 0.95, "curve_1 is at nearly every depth"


def test_dashes_follow_the_setting():
    columns = {}
    for dashed in ("none", "curve_1", "curve_2", "both"):
        source = WellLog(preset="clean", header=0.0, off_scale=0.0, pool=8, dashed=dashed).open()
        masks = [source.mask(id) for id in source.pool]
        columns[dashed] = [np.mean([(m == c).any(axis=0).mean() for m in masks]) for c in (1, 2)]
    assert columns["none"][1] > 0.95
    assert columns["curve_2"][1] < 0.85 < 0.95 < columns["curve_2"][0]
    assert columns["curve_1"][0] < 0.85
    assert columns["both"][0] < 0.85


def test_every_knob_can_be_set_over_the_preset():
    names = {f.name for f in dataclasses.fields(Style)}
    fields = {f.name: f for f in dataclasses.fields(WellLog)}
    assert names == set(LIMITS)
    assert names <= set(fields)
    assert all(fields[name].default is None for name in names)
    plain = WellLog(pool=1, preset="clean").open().image("pool-00000")
    assert not np.array_equal(WellLog(pool=1, preset="clean", grain=0.1).open().image("pool-00000"), plain)


def test_native_size_renders():
    source = WellLog(height=480, width=3200, pool=1, test=1).open()
    share = (source.mask("pool-00000") > 0).mean()
    assert source.image("pool-00000").shape == (480, 3200, 1)
    assert 0.005 < share < 0.08


def test_threads_render_once():
    calls, gate = [], threading.Barrier(4)

    def make(id):
        calls.append(id)
        return (np.zeros(10, np.uint8),)

    cache = Cache(make, 25)

    def work():
        gate.wait()
        for k in range(20):
            cache(str(k % 2))

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(calls) == ["0", "1"]
    cache("2")
    cache("1")
    cache("0")
    assert sorted(calls) == ["0", "0", "1", "2"], "the least recently used one went"


def test_cache_forgets_failures():
    answers = iter([RuntimeError("once"), (np.zeros(1),)])

    def make(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cache = Cache(make, 100)
    with pytest.raises(RuntimeError, match="once"):
        cache("a")
    assert cache("a")[0].size == 1


def test_pen_covers_half_exactly_within_its_radius():
    canvas = np.zeros((21, 21), np.float32)
    stamp(canvas, np.array([10.0]), np.array([9.5]), 3.0)
    y, x = np.mgrid[:21, :21]
    np.testing.assert_array_equal(canvas >= 0.5, np.hypot(y - 10, x - 9.5) <= 3.0)


def test_walk_leaves_gaps():
    path = walk(np.array([[0, 0], [0, 2], [np.nan, 0], [5, 5], [6, 5]]), 0.5)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path[:4], [[0, 0], [0, 0.5], [0, 1], [0, 1.5]])
    np.testing.assert_allclose(path[4:], [[5, 5], [5.5, 5]])


def test_no_geometry_is_the_identity():
    warp = draw_warp(np.random.default_rng(0), (100, 50), PRESETS["clean"])
    row, column = warp(np.array([0.0, 99.0]), np.array([3.0, 40.0]))
    np.testing.assert_allclose([row, column], [[0, 99], [3, 40]])


def test_generated_curves_are_finite_and_cross():
    windows = [generate(np.random.default_rng(k), 200, 0.3, "any") for k in range(20)]
    assert all(w.value.shape == (2, 200) and np.isfinite(w.value).all() for w in windows)
    crossed = [(np.diff(np.sign(w.value[0] - w.value[1])) != 0).any() for w in windows]
    assert np.mean(crossed) > 0.3
    assert all(generate(np.random.default_rng(k), 30, 0.3, "log").log for k in range(5))


def test_windows_avoid_gaps():
    value = np.ones((2, 100))
    value[1, 40:60] = np.nan
    well = Well("w", np.arange(100.0), value, ("A", "B"))
    found = starts(well, 20, present=1.0)
    assert found.tolist() == [*range(21), *range(60, 81)]


def test_npz_with_gaps(tmp_path):
    file = npz(tmp_path / "w.npz")
    with np.load(file) as old:
        arrays = dict(old)
    arrays["data"][50:60, 1] = np.nan
    np.savez(file, **arrays)
    source = WellLog(curves=file, columns=("A", "b"), pool=6, test=2).open()
    pool, test = ({source.well(id) for id in ids} for ids in (source.pool, source.test))
    assert len(pool) == 3
    assert len(test) == 1
    assert not pool & test
    assert all((source.mask(id) > 0).any() for id in source.pool)


def test_las_folder(tmp_path):
    pytest.importorskip("lasio", reason="lasio is not installed")
    for k, name in enumerate(("north", "south", "south")):
        las(tmp_path / f"{k}.las", name, rows=120 + k)
    source = WellLog(curves=tmp_path, columns=("GR", "RES"), pool=4, test=2).open()
    pool, test = ({source.well(id) for id in ids} for ids in (source.pool, source.test))
    assert pool | test == {"north", "south"}
    assert not pool & test, "two files of one well stay together"
    assert (source.mask(source.pool[0]) == 2).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 8}, "height is 8; it must be 32 to 16384"),
        ({"width": 10**6}, "width is 1000000"),
        ({"pool": 0}, "pool is 0; it must be 1 to"),
        ({"test": -1}, "test is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"pace": 0.0}, "pace is 0.0; it must be 1 to 64"),
        ({"stroke": (0.0, 2.0)}, "stroke is .*between 0.5 and 8"),
        ({"stroke": (3.0, 2.0)}, "thinnest first"),
        ({"grain": 2.0}, "grain is 2.0; it must lie between 0 and 0.3"),
        ({"skew": float("nan")}, "skew is nan"),
        ({"preset": "old"}, "choose one of clean, scanned, harsh"),
        ({"curves": Path("nowhere.npz")}, "nowhere.npz does not exist"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(BadInput, match=message) as error:
        WellLog(**settings).open()
    assert "\n" not in str(error.value)


def test_bad_curve_files(tmp_path, monkeypatch):
    def refused(message, path, columns=("A", "B"), **more):
        with pytest.raises(BadInput, match=message) as error:
            WellLog(curves=path, columns=columns, **more).open()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    good = npz(tmp_path / "good.npz")
    refused("no curve 'AA'; it has DEPT, A, B; did you mean A", good, ("AA", "B"))
    refused("0 of 4 wells with 3842 consecutive samples", good, width=12800)
    refused("1 of 1 wells", npz(tmp_path / "one.npz", wells=1))
    refused("not an .npz of wells: it has no array 'well'", npz(tmp_path / "flat.npz", well=None))
    refused("do not fit", npz(tmp_path / "odd.npz", columns=np.array(["DEPT", "A"])))
    refused("do not fit", npz(tmp_path / "rows.npz", start=np.arange(3)))
    refused("depths of well w0 .* do not increase", npz(tmp_path / "flat.npz", data=np.zeros((1600, 3))))
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK nothing")
    refused("cannot be read as .npz", broken)
    text = tmp_path / "curves.txt"
    text.write_text("1 2 3")
    refused("neither .las nor .npz", text)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused("holds no .las file", empty)


def test_bad_las(tmp_path, monkeypatch):
    file = las(tmp_path / "a.las", "north")
    with monkeypatch.context() as patch:
        real = builtins.__import__
        patch.delitem(sys.modules, "lasio", raising=False)

        def no_lasio(name, *args, **kwargs):
            if name == "lasio":
                raise ImportError(name)
            return real(name, *args, **kwargs)

        patch.setattr(builtins, "__import__", no_lasio)
        with pytest.raises(BadInput, match=r"pip install 'bal\[las\]'"):
            WellLog(curves=file).open()
    pytest.importorskip("lasio", reason="lasio is not installed")
    with pytest.raises(BadInput, match="no curve 'RHOB'; it has DEPT, GR, RES"):
        WellLog(curves=file).open()
    with pytest.raises(BadInput, match="1 of 1 wells"):
        WellLog(curves=file, columns=("GR", "RES")).open()
    file.write_text("hello")
    with pytest.raises(BadInput, match="cannot be read as LAS"):
        WellLog(curves=file).open()
