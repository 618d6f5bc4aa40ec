"""The active-learning loop: fit → calibrate → evaluate → score → select → annotate → record, for so many rounds.

A round has a seam, at which it can wait for people:

    propose   fits, calibrates, evaluates, scores and selects; what it wants to know is durable before anybody is asked
    ask       an annotator gives what it has by now: all, some, or nothing yet
    absorb    pays for the answers, judges in hindsight the model that asked, and makes the next state
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bal.annotation.annotators.base import AnswersLater
from bal.config.dump import dump_yaml
from bal.config.schema import Config
from bal.experiment import by_style, curve_row, fits, hand_over, query, stopping
from bal.experiment.answers import Answer, Request, ask, close as close_purchase, hint, let_go, pay, request_of
from bal.experiment.audited import calibrated, tally_audit
from bal.experiment.events import Event, Record, Watch
from bal.experiment.fitting import train_on
from bal.experiment.folder import RunFolder, folder_of
from bal.experiment.inputs import Inputs
from bal.experiment.query import PoolScores
from bal.experiment.recorder import Recorder, Snapshot, Unrecorded, begin
from bal.experiment.setup import BUY, Setup, remarks, set_up
from bal.experiment.state import Info, Look, Pending, State
from bal.experiment.stored import amend, check_stored, check_unmoved
from bal.metrics import evaluate
from bal.metrics.tally import Tally
from bal.metrics.trust import UNKNOWN
from bal.pool.labels import Pool
from bal.posterior.model import Model
from bal.report.publish import publish
from bal.selection.budget import Purchase, Shares, compose, nothing
from bal.selection.selectors.base import Offer
from bal.sources.base import Notes, check_masks
from bal.sources.reading import told
from bal.types import BadInput, Waiting


def run_loop(
    config: Config,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    close: bool = False,
    accept_changes: bool = False,
    watch: Watch | None = None,
    warm_start: Model | None = None,
) -> Iterator[Record]:
    """Runs an experiment, one record a round.

    Args:
        config: what to do. Equal configs buy equal labels.
        out: the run's folder; None leaves nothing on disk.
        resume: go on with the run in `out`, from its last complete round or from the questions that it waits for, or
            begin it if there is none. Its records so far are not given again.
        overwrite: delete the run in `out` first.
        close: wait no longer for the questions that are open when the run is resumed: they go back to the pool, unpaid.
        accept_changes: when the run is resumed, go on although files of images or masks have changed, on record.
        watch: called often, with what is going on.
        warm_start: the first record's model of a run that differs in nothing that training sees, so that the start set
            is not fitted again. It is calibrated, judged and asked by this configuration.

    Returns:
        An iterator. Before it is asked for its first record everything is checked that can be without training,
        and the folder is made; a run that is then refused in its first round leaves no folder behind. It raises
        `Waiting` where an annotator has not answered yet: the run goes on with `resume`.

    Raises:
        BadInput: the configuration, the data, the folder or the model cannot be used.
    """
    if not isinstance(config, Config):
        raise BadInput(f"config: expected a bal.Config, got {config!r:.80}")
    folder = None if out is None else folder_of(out)
    given, amended, watch = config, False, watch or (lambda event: None)
    if folder:
        config, amended = check_stored(folder, given, resume, overwrite)
    with told(partial(_tell, watch, 0, "read")):
        for line in config.source.notes() if isinstance(config.source, Notes) else ():
            watch(Event(0, "note", note=line))  # first, for they may tell why the rest fails
        setup = set_up(config)
        inputs = Inputs(setup.source)
        check_masks(setup.source)
    for line in remarks(setup):
        watch(Event(0, "note", note=line))
    query.check(setup)
    if warm_start and (warm_start.head, warm_start.net) != (config.head, setup.net):
        raise BadInput("the model to begin with has another head or network than this configuration")
    if folder:
        folder.begin(dump_yaml(config), resume, overwrite)
        if amended:
            check_unmoved(folder, given, config)
    return _rounds(setup, inputs, folder, watch, warm_start, close, accept_changes)


def _rounds(
    setup: Setup,
    inputs: Inputs,
    folder: RunFolder | None,
    watch: Watch,
    warm_start: Model | None,
    close: bool,
    accept: bool,
) -> Iterator[Record]:
    """The method, one round after the other."""
    with Recorder(setup, folder) if folder else Unrecorded(setup) as recorder:
        state, info = recorder.restore()
        setup = recorder.setup
        if accept and state.pending is not None and isinstance(setup.config.annotator, AnswersLater):
            ask(setup.config.annotator, request_of(setup, state, folder))  # refuses a new picture of what is open
        with told(partial(_tell, watch, 0, "read")):
            for line in inputs.remember(folder, accept, next_fit(state)) if folder else ():
                watch(Event(0, "note", note=line))
        recorder.roll_back(lambda line: watch(Event(0, "note", note=line)))
        if folder and not folder.new:
            amend(folder, setup.config)
        if state.done and not is_last(setup, state.purchase - 2) and not stopping.why(setup, info.row):
            state, info = reopen(setup, state, info, watch)
            recorder.save_asked(state, info)
        _report(folder, setup, recorder.snapshot, watch)
        shown = recorder.snapshot
        closing = state.purchase if close and state.pending is not None else None
        while not state.done:
            first = list(info.queries) if state.purchase == 1 else []  # the start set, which has no model of its own
            if state.pending is None:
                state, info = propose(setup, state, info, watch, warm_start)
                inputs.check(recorder.stays)
                recorder.save_asked(state, info)
            annotator, request = setup.config.annotator, request_of(setup, state, folder, state.purchase == closing)
            answers = ask(annotator, request)
            if len(answers) < len(request.questions) and not let_go(annotator, request):
                if recorder.snapshot is not shown:
                    _report(folder, setup, recorder.snapshot, watch)
                how, open_ = hint(annotator, request), len(request.questions)
                raise Waiting(state.purchase, open_, len(answers), request.folder, how, info.row or None)
            answers = close_purchase(annotator, state, request, answers)
            if let := len(request.questions) - len(answers):
                what = f"{let} of {len(request.questions)} questions are let go: back to the pool, unpaid"
                watch(Event(max(0, state.purchase - 1), "note", note=what))
            state, info = absorb(setup, state, info, request, answers)
            inputs.check(recorder.stays)
            recorder.save_answered(state, info)
            _report(folder, setup, recorder.snapshot, watch)
            if state.model is not None:
                styles = by_style.table(setup, info.tally)
                yield Record(info.row, list(info.queries), state.model, info.unspent, first, styles)


def _report(folder: RunFolder | None, setup: Setup, snapshot: Snapshot | None, watch: Watch) -> None:
    """Draws the report. A run does not end for want of it: what it shows is durable, and it can be drawn again."""
    try:
        publish(folder, setup, snapshot)
    except OSError as error:
        assert folder is not None
        why = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        line = f"the report could not be written ({why}); python -m bal.report {folder.path} does it again"
        watch(Event(0, "note", note=line))


def start(setup: Setup) -> tuple[State, Info]:
    """After the start set, whose labels an annotator gives at once, and before the first fit."""
    state, info = propose(setup, *begin(setup), lambda event: None)
    annotator, request = setup.config.annotator, request_of(setup, state, None)
    return absorb(setup, state, info, request, close_purchase(annotator, state, request, ask(annotator, request)))


def propose(
    setup: Setup, state: State, info: Info, watch: Watch, warm_start: Model | None = None
) -> tuple[State, Info]:
    """What the next purchase is to be, and the row of the model that asks for it, as far as it is known by then.

    Args:
        setup, state: of the experiment; no purchase is under way.
        info: of the round before, whose ledger lines are what this model has been trained on besides the others.
        watch: called often, with what is going on.
        warm_start: for the first fit, instead of it.
    """
    if state.purchase == 0:
        purchase = start_set(setup, state.pool)
        return state._replace(pending=Pending(purchase, [{"score": None}] * len(purchase.index))), Info({})
    pool = state.pool
    round = state.purchase - 1
    began = time.perf_counter()
    looks: list[Look] = []
    if warm_start and round == 0:
        model = setup.model(warm_start.params)
    else:
        model = train_on(setup, pool, round, watch, state.model, fits.watcher(setup, pool, looks))
    model = calibrated(setup, pool, model)
    fitted = time.perf_counter()
    tally = evaluate_all(setup, model, pool, round, watch)
    objective = query.make_objective(setup, pool, model, round)
    row = curve_row.of_model(setup, pool, round, info, model, tally, objective, state.model)
    row |= fits.columns(looks) | {"seconds_fit": fitted - began, "seconds_score": 0.0}
    state, info = state._replace(model=model, objective=objective), Info(row, tally, looks=looks)
    return choose(setup, state, info, watch)


def choose(setup: Setup, state: State, info: Info, watch: Watch) -> tuple[State, Info]:
    """What the model of a round asks for next: nothing after the last."""
    round, pool, row = state.purchase - 1, state.pool, info.row
    pending, last = Pending(nothing()), is_last(setup, round)
    row = row | {"stopped": int(not last and bool(stopping.why(setup, row)))}
    if not last and not row["stopped"]:
        assert state.model is not None
        assert state.objective is not None
        began = time.perf_counter()
        tell = partial(_tell, watch, round, "score")
        tell(0, setup.looked_at(state.purchase).size)
        scores = query.score_pool(setup, pool, state.model, state.objective, round, tell)
        row = row | {"seconds_score": time.perf_counter() - began}
        purchase = select(setup, pool, state.purchase, scores, row["trust_share"])
        missing, classes = hand_over.unseen(row, setup.source.classes), setup.source.classes
        pending = Pending(purchase, query.known(scores, state.objective, purchase.index, classes, missing))
    return state._replace(pending=pending), info._replace(row=row, unspent=pending.purchase.unspent)


def reopen(setup: Setup, state: State, info: Info, watch: Watch) -> tuple[State, Info]:
    """A finished run that has been given more: its last model is asked what is bought next."""
    return choose(setup, state._replace(purchase=state.purchase - 1, done=False), info._replace(queries=()), watch)


def absorb(setup: Setup, state: State, info: Info, request: Request, answers: dict[str, Answer]) -> tuple[State, Info]:
    """Pays for the answers; the next state, and the round's row, complete."""
    pool, lines, labelled = pay(setup, state, request, answers)
    row = info.row | curve_row.of_purchase(setup, state, pool, labelled) if info.row else info.row
    done = state.model is not None and bool(is_last(setup, state.purchase - 1) or info.row["stopped"])
    after = State(state.purchase + 1, pool, None, state.model, state.objective, done)
    return after, info._replace(row=row, queries=lines)


def next_fit(state: State) -> int:
    """The round of the next model to be trained: that of a purchase that is open has been."""
    return max(0, state.purchase - (state.pending is None))


def is_last(setup: Setup, round: int) -> bool:
    """Whether the model of a round asks for nothing more, since no round is left; a stopping rule may end it before."""
    return round >= setup.config.rounds


def evaluate_all(setup: Setup, model: Model, pool: Pool, round: int, watch: Watch) -> Tally:
    """Compares a model with the masks of the test images, or else with the audited regions: a tally of each, [N, …]."""
    tell = partial(_tell, watch, round, "evaluate")
    if not setup.source.test:
        return tally_audit(setup, model, pool, tell)
    tell(0, len(setup.source.test))
    return evaluate.tally_each(model, setup.source, setup.source.test, tell, setup.config.acq)


def start_set(setup: Setup, pool: Pool) -> Purchase:
    """Before anything is known: at random."""
    config = setup.config
    offer = Offer(setup.costs, setup.offered(pool, 0), config.start - pool.spent)
    shares = Shares(config.audit * config.start - pool.audited, rest="start")
    weights = {} if config.start_by == "random" else {"start": query.start_weights(setup, pool, config.start_by)}
    return compose(setup.key(0, BUY), offer, shares, weights=weights)


def select(setup: Setup, pool: Pool, number: int, scores: PoolScores, earned: float) -> Purchase:
    """Purchase `number`: its share of the budget, of which `steer`, or what was earned, follows the scores."""
    config = setup.config
    allowed = config.plan.allowance(number)
    steer = (earned if config.steer == "auto" else config.steer) if config.acq.needs or config.selector.needs else 0.0
    able = setup.offered(pool, number)
    offer = Offer(
        scores.price,
        able,
        allowed - pool.spent,
        image=setup.regions.image,
        cap=config.cap,
        progress=(number - 1) / max(1, config.rounds - 1),
    )
    shares = Shares(config.audit * allowed - pool.audited, steer)
    weights = {"audit": query.audit_weights(scores, able)} if config.audit_by == "foreground" else {}
    if not hand_over.handed_over(config, pool, number, len(setup.source.classes)):
        shares = shares._replace(by=hand_over.POLICY, steer=UNKNOWN if config.steer == "auto" else steer)
        weights[hand_over.POLICY] = query.foreground_weights(setup, pool, number, scores)
    about = {name: scores.table[name] for name in config.selector.needs}
    return compose(
        setup.key(number, BUY), offer, shares, config.selector, scores.score, about, weights, scores.audit_price
    )


def _tell(watch: Callable[[Event], None], round: int, stage: str, done: int, total: int) -> None:
    watch(Event(round, stage, done, total))
