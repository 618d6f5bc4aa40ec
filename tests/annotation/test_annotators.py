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
def test_answers(name, tmp_path, studio):
    how = {}
    if name == "label_studio":
        pytest.importorskip("httpx", reason="the extra label-studio is not installed")
        how = {"url": studio.url}
    annotator, asked = ANNOTATORS[name](**how), request([5, 0, 3], tmp_path)
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


def test_the_oracle_overlooks_a_share_of_what_a_model_drew_wrongly():
    asked = request([0, 1, 2, 3, 4, 5])
    questions = [q._replace(policy="audit") if k == 0 else q for k, q in enumerate(asked.questions)]
    truth = Oracle().annotate(asked.source, [q.region for q in questions])
    rng = np.random.default_rng(0)

    def predict(some):
        assert all(q.policy != "audit" for q in some), "nothing is drawn beforehand in an audit"
        return {q.id: rng.random((*q.region.box[2:], len(asked.source.classes))) for q in some}

    drawn = {q.id: p.argmax(-1) for q, p in zip(questions[1:], predict(questions[1:]).values(), strict=True)}
    asked = asked._replace(questions=questions, predict=lambda some: {q.id: np.eye(9)[drawn[q.id]] for q in some})
    for miss, oracle in ((0.0, Oracle()), (0.5, Oracle(miss=0.5)), (1.0, Oracle(miss=1.0))):
        answers = [a.label for a in ask(oracle, asked).values()]
        np.testing.assert_array_equal(answers[0], truth[0])
        wrong = np.concatenate([(a != t).ravel() for a, t in zip(answers[1:], truth[1:], strict=True)])
        same = np.concatenate([(a == drawn[q.id]).ravel() for a, q in zip(answers[1:], questions[1:], strict=True)])
        assert (same | ~wrong).all(), "what is overlooked is what was drawn"
        share = wrong.sum() / sum((drawn[q.id] != t).sum() for q, t in zip(questions[1:], truth[1:], strict=True))
        assert share == miss if miss in (0, 1) else 0 < share < 1
    assert ask(Oracle(miss=0.5), asked).keys() == ask(Oracle(), asked).keys()
    np.testing.assert_array_equal(*(ask(Oracle(miss=0.5), asked)[questions[1].id].label for _ in range(2)))
    with pytest.raises(BadInput, match="miss is a share"):
        Oracle(miss=1.5)
