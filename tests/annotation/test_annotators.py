"""What every annotator promises."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Pictures, check_protocol, check_settings

from bal.annotation.annotators import ANNOTATORS, Oracle
from bal.annotation.annotators.base import AnswersAtOnce, AnswersLater, Question, Request
from bal.experiment.answers import ask
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.types import IGNORE, BadInput


def request(index, folder=None):
    """Questions about some tiles of a small source."""
    source = Pictures([(20, 30), (33, 17), (16, 16)], test=1)
    regions = lay_out(Tile(16), source.pool, [source.shape(id) for id in source.pool])
    described = regions.describe(index)
    return Request(source, [Question(f"r01-{k:04d}", r, "steered") for k, r in enumerate(described)], folder)


@pytest.mark.parametrize("name", ANNOTATORS)
def test_settings_and_kind(name):
    check_settings(ANNOTATORS[name])
    kinds = [kind for kind in (AnswersAtOnce, AnswersLater) if issubclass(ANNOTATORS[name], kind)]
    assert len(kinds) == 1, "one that answers at once is not waited for"
    check_protocol(ANNOTATORS[name], kinds[0])


@pytest.mark.parametrize("name", ANNOTATORS)
def test_answers(name, tmp_path):
    annotator, asked = ANNOTATORS[name](), request([5, 0, 3], tmp_path)
    answers = ask(annotator, asked)
    if isinstance(annotator, AnswersAtOnce):
        assert list(answers) == [question.id for question in asked.questions]
    else:
        assert ask(annotator, asked) == answers, "the same again at every later visit"
    for question in asked.questions:
        if question.id in answers and (label := answers[question.id].label) is not None:
            assert label.shape == question.region.box[2:]
            assert label.dtype == np.int32
            assert np.isin(label, (*range(len(asked.source.classes)), IGNORE)).all()
    assert ask(annotator, request([], tmp_path)) == {}


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
        answer[:] = 0  # an answer is the caller's
        assert source.masks[region.image].max() > 0
