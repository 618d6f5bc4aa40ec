"""What every source must satisfy (bal.types.Source), over every entry of the table."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bal.sources import SOURCES, Folder, Vintages, WellLog
from bal.sources.base import Notes
from bal.types import IGNORE, BadInput


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict:
    """One small instance of every source."""
    root: Path = tmp_path_factory.mktemp("folder")
    rng = np.random.default_rng(0)
    for sub in ("images", "masks"):
        (root / sub).mkdir()
    for k in range(6):
        size = (20 + k, 30)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(root / "images" / f"{k}.png")
        Image.fromarray(rng.integers(0, 3, size, dtype=np.uint8)).save(root / "masks" / f"{k}.png")
    return {
        "well_log": WellLog(height=48, width=64, pool=4, test=2),
        "folder": Folder(path=root),
        "vintages": Vintages(height=48, width=64, windows=2, pool=3, test=1, styles=("plain", "worn", "faint")),
    }


@pytest.fixture(params=sorted(SOURCES))
def settings(request, small):
    assert request.param in small, f"add a small instance of {request.param} to this test"
    assert isinstance(small[request.param], SOURCES[request.param])
    return small[request.param]


def test_contract(settings):
    source = settings.open()
    assert isinstance(source.classes, tuple)
    assert len(source.classes) >= 2
    assert len(set(source.classes)) == len(source.classes)
    assert source.pool
    assert source.test
    ids = source.pool + source.test
    assert len(set(ids)) == len(ids), "ids are unique, and pool and test disjoint"
    for id in ids:
        image, mask = source.image(id), source.mask(id)
        height, width = source.shape(id)
        assert image.shape == (height, width, source.channels)
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert mask.shape == (height, width)
        assert mask.dtype == np.int32
        assert np.isin(mask, (*range(len(source.classes)), IGNORE)).all()


def test_same_again_in_any_order(settings):
    one, two = settings.open(), settings.open()
    assert (one.pool, one.test) == (two.pool, two.test)
    ids = one.pool + one.test
    first = {id: (one.image(id), one.mask(id)) for id in ids}
    for id in reversed(ids):
        mask, image = two.mask(id), two.image(id)
        np.testing.assert_array_equal(image, first[id][0])
        np.testing.assert_array_equal(mask, first[id][1])


def test_callers_may_write_to_what_they_get(settings):
    source = settings.open()
    id = source.pool[0]
    before = source.image(id).copy(), source.mask(id).copy()
    source.image(id)[:] = 0
    source.mask(id)[:] = 0
    np.testing.assert_array_equal(source.image(id), before[0])
    np.testing.assert_array_equal(source.mask(id), before[1])


def test_unknown_id(settings):
    with pytest.raises(BadInput, match="nonsense"):
        settings.open().image("nonsense")


def test_what_settings_say_is_a_line_each(settings):
    if isinstance(settings, Notes):
        assert all(note and "\n" not in note for note in settings.notes())


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_settings_are_frozen_hashable_and_documented(name):
    cls = SOURCES[name]
    default = cls()
    assert hash(default) == hash(cls())
    with pytest.raises(dataclasses.FrozenInstanceError):
        default.seed = 1
    assert cls.__doc__
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    documented = {
        a.target.id
        for a, b in itertools.pairwise(body)
        if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant)
    }
    assert documented == {f.name for f in dataclasses.fields(cls)}, "a docstring below every field"
