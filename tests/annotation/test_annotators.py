"""What every annotator promises."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Pictures, check_protocol, check_settings

from bal.annotation.annotators import ANNOTATORS, Oracle
from bal.annotation.annotators.base import Annotator
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.types import IGNORE, BadInput

SMALL = {"oracle": Oracle()}


@pytest.mark.parametrize("name", ANNOTATORS)
def test_contract(name):
    check_settings(ANNOTATORS[name])
    check_protocol(ANNOTATORS[name], Annotator)
    assert name in SMALL, f"add a small instance of {name} to this test"
    source = Pictures([(20, 30), (33, 17), (16, 16)], test=1)
    regions = lay_out(Tile(16), source.pool, [source.shape(id) for id in source.pool])
    asked = regions.describe([5, 0, 3])
    answers = SMALL[name].annotate(source, asked)
    assert len(answers) == len(asked)
    for region, answer in zip(asked, answers, strict=True):
        assert answer.shape == region.box[2:]
        assert answer.dtype == np.int32
        assert np.isin(answer, (*range(len(source.classes)), IGNORE)).all()
        answer[:] = 0  # an answer is the caller's
    assert SMALL[name].annotate(source, []) == []


def test_the_oracle_refuses_a_pool_that_it_cannot_answer_for():
    source = Pictures([(20, 30), (33, 17)], test=1)
    Oracle().check(source)
    source.unlabelled = (source.pool[0],)
    with pytest.raises(BadInput, match=rf"1 of the {len(source.pool)} images .* such as 'picture-0'; add the masks"):
        Oracle().check(source)


def test_the_oracle_reads_the_mask():
    source = Pictures([(20, 30), (33, 17), (16, 16)], test=1)
    source.masks["picture-0"][0, 0] = IGNORE
    regions = lay_out(Tile(16), source.pool, [source.shape(id) for id in source.pool])
    for region in regions.describe(range(regions.image.size)):
        top, left, height, width = region.box
        (answer,) = Oracle().annotate(source, [region])
        np.testing.assert_array_equal(answer, source.masks[region.image][top : top + height, left : left + width])
