"""The seam of a round: questions go out, answers come back, and a purchase is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bal.annotation.annotators.base import Annotator, AnswersLater, Closes, Corrects, Hints, Question, Request
from bal.annotation.entries import LONGEST, Answer
from bal.experiment.failures import named
from bal.experiment.folder import RunFolder
from bal.experiment.setup import Setup
from bal.experiment.state import State
from bal.metrics.lure import lure_weights
from bal.pool.labels import TRAINING, Pool, add, skip
from bal.scoring.held_out import predict_probabilities
from bal.types import IGNORE, BadInput, Region


def request_of(setup: Setup, state: State, folder: RunFolder | None, closing: bool = False) -> Request:
    """What the purchase that is under way wants to know; `closing`, whether what is open will be let go."""
    assert state.pending is not None
    (purchase, known), model = state.pending, state.model
    regions = setup.regions.describe(purchase.index, setup.source.image)
    looked = setup.looked_at(state.purchase).size / len(setup.source.pool)
    questions = tuple(
        Question(
            f"r{state.purchase:02d}-{k:04d}",
            region,
            str(purchase.policy[k]),
            float(purchase.cost[k]),
            _finite(purchase.probability[k] * looked),
            _finite(known[k].get("score")),
            known[k].get("for", {}),
        )
        for k, region in enumerate(regions)
    )
    index = {q.id: int(m) for q, m in zip(questions, purchase.index, strict=True)}

    def predict(some: Sequence[Question]) -> dict[str, np.ndarray]:
        assert model is not None
        found = predict_probabilities(model, setup.source, setup.regions, [index[q.id] for q in some])
        return {q.id: found[index[q.id]] for q in some}

    at = folder.path if folder else None
    return Request(setup.source, questions, at, None if model is None else predict, closing)


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def let_go(annotator: Annotator, request: Request) -> bool:
    """Whether a purchase is paid with what is there: it is said so, or was, by a process that was killed then."""
    if request.closing or not (isinstance(annotator, Closes) and request.questions):
        return request.closing
    with named("annotator", annotator):
        return annotator.closed(request)


def check_trainable(state: State, request: Request, answers: Mapping[str, Answer]) -> None:
    """Raises BadInput where a purchase paid with these answers would leave nothing to train on."""
    assert state.pending is not None
    new = [
        answers.get(q.id)
        for q, s in zip(request.questions, state.pending.purchase.splits, strict=True)
        if s == TRAINING
    ]
    known = any(a is not None and a.label is not None and (np.asarray(a.label) != IGNORE).any() for a in new)
    if not known and not (state.pool.split == TRAINING).any():
        raise BadInput(
            "nothing to train on has been labelled yet: answer more questions than those of the audit, or take a skip "
            "back, before the round closes"
        )


def close(annotator: Annotator, state: State, request: Request, answers: dict[str, Answer]) -> dict[str, Answer]:
    """Tells the annotator that a purchase is paid; gives the answers that it is paid with.

    Raises:
        BadInput: they leave nothing to train on. The purchase stays open.
    """
    if not (isinstance(annotator, Closes) and request.questions):
        check_trainable(state, request, answers)
        return answers
    with named("annotator", annotator):
        annotator.close(request, lambda came: check_trainable(state, request, _of(request, came)))
    return ask(annotator, request)


def hint(annotator: Annotator, request: Request) -> str | None:
    """How the questions are answered, of an annotator that knows."""
    if not isinstance(annotator, Hints):
        return None
    with named("annotator", annotator):
        return annotator.hint(request)


def ask(annotator: Annotator, request: Request) -> dict[str, Answer]:
    """Asks, and gives what is there by now; all of it, of an annotator that answers at once.

    Raises:
        BadInput: an answer has another size than its region, or is no class; or somebody else's annotator failed.
        OSError: the disk is full; or a file, of an annotator of this package.
        MemoryError: there is none left.
    """
    if not request.questions:
        return {}
    with named("annotator", annotator):
        answers = _asked(annotator, request)
    return _of(request, answers)


def _of(request: Request, answers: Mapping[str, Answer]) -> dict[str, Answer]:
    """The answers to what was asked, checked."""
    classes = len(request.source.classes)
    return {q.id: _checked(q, answers[q.id], classes) for q in request.questions if q.id in answers}


def _asked(annotator: Annotator, request: Request) -> dict[str, Answer]:
    """What an annotator gives, as it gives it."""
    if isinstance(annotator, AnswersLater):
        annotator.ask(request)
        came = annotator.collect(request)
        answers = {q.id: came[q.id] for q in request.questions if q.id in came}
    else:
        labels = annotator.correct(request) if isinstance(annotator, Corrects) else None
        if labels is None:
            labels = annotator.annotate(request.source, [q.region for q in request.questions])
        if len(labels) != len(request.questions):
            asked = len(request.questions)
            raise BadInput(f"the annotator was asked about {asked} regions and gave {len(labels)} answers")
        answers = {q.id: Answer(label) for q, label in zip(request.questions, labels, strict=True)}
    if wrong := [id for id, answer in answers.items() if not isinstance(answer, Answer)]:
        raise BadInput(f"the annotator's answer to {wrong[0]} is no bal.Answer, but {type(answers[wrong[0]]).__name__}")
    return answers


def pay(
    setup: Setup, state: State, request: Request, answers: Mapping[str, Answer]
) -> tuple[Pool, list[dict[str, Any]], np.ndarray]:
    """The pool with the answers in it, the purchase's lines for the ledger, and which of the K were labelled, [K] bool.

    What was skipped costs nothing and is not asked again; what is open costs nothing and goes back to the pool. In
    `effort` a region is charged the seconds that were reported, or else what its true boundary takes, or that of the
    errors of what was drawn beforehand; by as much as that is more than was expected, less is bought the next time.
    """
    assert state.pending is not None
    (purchase, known), effort = state.pending, setup.config.cost == "effort"
    given = [answers.get(q.id) for q in request.questions]
    labelled = np.array([a is not None and a.label is not None for a in given], bool)
    skipped = np.array([a is not None and a.label is None for a in given], bool)
    shown = _drawn_beforehand(setup, request, given)
    charged, lines, labels = [], [], []
    for k in np.flatnonzero(labelled).tolist():
        answer = given[k]
        region = request.questions[k].region
        assert answer is not None and answer.label is not None  # noqa: PT018
        price = cost = float(purchase.cost[k])
        if effort:
            work = setup.config.effort.work
            cost = work(answer.label, shown.get(k)) if answer.seconds is None else float(answer.seconds)
        charged.append(cost)
        labels.append(answer.label)
        lines.append(
            _line(setup, state.purchase, region, str(purchase.policy[k]), cost, price if effort else None, known[k])
        )
        if answer.seconds is not None:
            lines[-1]["seconds"] = float(answer.seconds)
    weight = _weights(setup, state)[labelled]
    pool = add(state.pool, purchase.index[labelled], np.array(charged), purchase.splits[labelled], labels, weight)
    return skip(pool, purchase.index[skipped]), lines, labelled


def _drawn_beforehand(setup: Setup, request: Request, given: Sequence[Answer | None]) -> dict[int, np.ndarray]:
    """The probabilities [height, width, C] that were shown, by place in the purchase, where a price needs them."""
    if setup.config.cost != "effort" or setup.config.effort.assist == "none" or request.predict is None:
        return {}
    unmeasured = [k for k, a in enumerate(given) if a is not None and a.label is not None and a.seconds is None]
    helped = [k for k in unmeasured if request.questions[k].policy != "audit"]
    found = request.predict([request.questions[k] for k in helped]) if helped else {}
    return {k: found[request.questions[k].id] for k in helped}


def _weights(setup: Setup, state: State) -> np.ndarray:
    """[K] what each audited region of a purchase stands for, 1 on average, since audits are drawn before the rest."""
    assert state.pending is not None
    purchase = state.pending.purchase
    weight, audits = np.ones(purchase.index.size), purchase.policy == "audit"
    if setup.config.audit_by == "foreground" and state.purchase:
        q = purchase.probability[audits]
        weight[audits] = lure_weights(q, int(setup.offered(state.pool, state.purchase).sum()))
    return weight


def _line(
    setup: Setup, purchase: int, region: Region, policy: str, cost: float, price: float | None, known: dict[str, Any]
) -> dict[str, Any]:
    """One line of the ledger; with its `stage` where a run was given more rounds or budget before."""
    line: dict[str, Any] = {"round": purchase, "image": region.image, "region": region.region, "box": list(region.box)}
    if stage := sum(purchase > rounds for rounds, _ in setup.config.history):
        line["stage"] = stage
    line |= {"policy": policy, "cost": cost}
    return line | ({} if price is None else {"price": price}) | known


def expected_lines(setup: Setup, state: State) -> list[dict[str, Any]]:
    """The ledger's lines of a purchase that is under way, at the prices that are expected."""
    if state.pending is None:
        return []
    purchase, known = state.pending
    regions = setup.regions.describe(purchase.index, setup.source.image)
    return [
        _line(setup, state.purchase, region, str(policy), float(cost), None, about)
        for region, policy, cost, about in zip(regions, purchase.policy, purchase.cost, known, strict=True)
    ]


def _checked(question: Question, answer: Answer, classes: int) -> Answer:
    """The answer, cut to its region. Raises BadInput unless it has the size of the region, in class ids."""
    region = question.region
    what = f"the annotator's answer for region {region.region} of {region.image} ({question.id})"
    seconds = answer.seconds
    if seconds is not None and not (isinstance(seconds, float | int | np.number) and 0 <= seconds <= LONGEST):
        raise BadInput(f"{what} took {seconds!r} seconds; expected a number from 0 to {LONGEST:g}, or None")
    if answer.label is None:
        return answer
    label = np.asarray(answer.label)
    if label.dtype.kind not in "iu":
        raise BadInput(f"{what} holds {label.dtype}; expected class ids, which are whole numbers")
    if label.shape != region.box[2:]:
        raise BadInput(f"{what} has the shape {label.shape}; expected {region.box[2:]}")
    wrong = label[((label < 0) | (label >= classes)) & (label != IGNORE)]
    if wrong.size:
        raise BadInput(f"{what} holds class {wrong[0]}; expected 0 to {classes - 1}, or {IGNORE} for unlabelled")
    inside = label if region.mask is None else np.where(region.mask, label, IGNORE)
    return answer._replace(label=inside.astype(np.int32))
