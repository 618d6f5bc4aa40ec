"""Writes a run down so that it can be killed at any instant, and picks it up again.

A purchase has two checkpoints: once it is known what to ask, before anybody is asked, and once it is answered and paid.
Each is the whole state, so a killed run goes on from the newer one to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bal.annotation.annotators.base import AnswersLater
from bal.annotation.inbox import Inbox
from bal.experiment import by_style, fits, journals, packing
from bal.experiment.answers import expected_lines
from bal.experiment.checkpoint import Checkpoints, DamagedCheckpoint
from bal.experiment.folder import RunFolder
from bal.experiment.inputs import Inputs
from bal.experiment.journals import Stand
from bal.experiment.setup import Setup
from bal.experiment.state import Info, State
from bal.metrics.tally import check_families
from bal.pool.labels import empty
from bal.posterior.model import Model
from bal.scoring.objective import Objective
from bal.types import BadInput


class Snapshot(NamedTuple):
    """A run as it stands: what a report is drawn from."""

    info: Info  # of the newest model; its row may not be in curve.csv yet, while questions are open
    newest: Sequence[dict[str, Any]]  # ledger lines of the newest purchase, at expected prices while questions are open
    model: Model | None  # that asked for it
    objective: Objective | None
    journals: tuple[int, int]  # bytes of curve.csv and of queries.jsonl that belong to it
    open: bool = False  # whether the newest purchase waits for answers


def snapshot_of(setup: Setup, state: State, info: Info, journals: tuple[int, int], before: Snapshot | None) -> Snapshot:
    """A run after one more step; the last model asks for nothing, so the newest purchase is that of the one before."""
    asked = expected_lines(setup, state)
    if not asked and not info.queries and before is not None and not before.open:
        return before._replace(info=info, journals=journals)
    return Snapshot(info, asked or info.queries, state.model, state.objective, journals, bool(asked))


def begin(setup: Setup) -> tuple[State, Info]:
    """Before the start set: nothing is labelled, and nobody has been asked."""
    return State(0, empty(setup.costs.size)), Info({})


class Unrecorded:
    """The recorder of a run that leaves nothing on disk."""

    snapshot: Snapshot | None = None
    stays = False  # there is no folder

    def __init__(self, setup: Setup):
        self.setup = setup

    def restore(self) -> tuple[State, Info]:
        """The beginning."""
        return begin(self.setup)

    def roll_back(self, tell: Callable[[str], None]) -> None:
        """Nothing to do."""

    def save_asked(self, state: State, info: Info) -> None:
        """Nothing to do."""

    def save_answered(self, state: State, info: Info) -> None:
        """Nothing to do."""

    def __enter__(self) -> Unrecorded:
        return self

    def __exit__(self, *rest: object) -> None:
        """Nothing to do."""


class Recorder:
    """The disk's side of a run. What comes after the newest checkpoint is taken back."""

    def __init__(self, setup: Setup, folder: RunFolder, reading: bool = False):
        """`reading`: only `read` is wanted, perhaps of a run that is going on; nothing is changed."""
        self.setup, self.folder = setup, folder
        self.checkpoints = Checkpoints(folder.checkpoints, reading=reading)
        self.snapshot: Snapshot | None = None
        self._sizes = (0, 0)  # bytes of curve.csv and of queries.jsonl that belong to what was restored
        self._restored: int | None = None  # the number of its checkpoint
        self._damaged: list[int] = []  # checkpoints, newest first

    @property
    def stays(self) -> bool:
        """Whether a run that is refused keeps its folder: something was bought or asked, or it was begun before."""
        asks = isinstance(self.setup.config.annotator, AnswersLater)
        return any(self._journals()) or asks or not self.folder.new

    def restore(self) -> tuple[State, Info]:
        """The newest state. Changes nothing: `roll_back` does, once nobody has anything against going on.

        Raises:
            BadInput: the data, the journals or the checkpoints are not those of this run any more.
        """
        saved = self._newest()
        if saved is None:
            if any(self._journals()):
                raise BadInput(f"{self.folder.path} has lost its checkpoints, {self._instead()}")
            return begin(self.setup)
        if "tally" in saved:
            check_families(saved["tally"])
        self.snapshot = self.read()
        state, info, self._sizes = self._load(saved)
        return state, info

    def roll_back(self, tell: Callable[[str], None]) -> None:
        """Makes the folder agree with what was restored: what came after it is set aside or taken back.

        Args:
            tell: is told of a damaged checkpoint, which is set aside for the one before it, and of one that has gone.
        """
        step = self._restored
        self.checkpoints.tidy()
        if step is not None and self.checkpoints.lacks_one():
            tell(
                f"{self.folder.checkpoints} holds {step} alone, where two are kept: one has gone, and the run "
                f"goes on from {step}"
            )
        for odd in self._damaged:
            place = self.checkpoints.set_aside(odd)
            tell(f"checkpoint {odd} is damaged: it was set aside as {place}, and the run goes on from {step}")
        self.folder.journals.cut(self._sizes)

    def save_asked(self, state: State, info: Info) -> None:
        """Makes a purchase durable before anybody is asked about it; one of no region has nobody to wait for."""
        assert state.pending is not None
        self.folder.lock.check()
        if info.looks:
            fits.write(self.folder.fits, state.purchase - 1, info.looks)
        if table := by_style.table(self.setup, info.tally):
            by_style.write(self.folder.styles, state.purchase - 1, table)
        if state.pending.purchase.index.size:
            self._save(self._step(2 * state.purchase), state, info)
        self.snapshot = snapshot_of(self.setup, state, info, self._journals(), self.snapshot)

    def save_answered(self, state: State, info: Info) -> None:
        """Logs a purchase and the row of the model that asked for it, then makes them count."""
        self.folder.lock.check()
        before, step = self._journals(), self._step(2 * state.purchase - 1)
        try:
            self.folder.record({} if self._has(info.row) else info.row, info.queries)
            self._save(step, state, info)
        except OSError:
            if not self.checkpoints.has(step):  # else it counts, although tidying up has failed
                self.folder.journals.cut(before)
            raise
        self.snapshot = snapshot_of(self.setup, state, info, self._journals(), self.snapshot)

    def read(self) -> Snapshot | None:
        """The run as its checkpoints have it, but for damaged ones; None before the first."""
        found: Snapshot | None = None
        for step in self.checkpoints.all():
            try:
                saved = self._saved(step)
            except DamagedCheckpoint:
                continue
            state, info, journals = self._load(saved)
            found = snapshot_of(self.setup, state, info, journals, found)
        return found

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *rest: object) -> None:
        """Closes the files. A run that bought nothing, for a reason that will not go away, leaves nothing.

        Unless people have been asked, or another process began it: what has been bought is never deleted.
        """
        try:
            self.checkpoints.close()
            if kind is not None and issubclass(kind, BadInput) and self.folder.lock.in_place and not self.stays:
                self.folder.discard()
        finally:
            self.folder.lock.release()

    def _newest(self) -> packing.Saved | None:
        """The newest checkpoint that is whole."""
        self._damaged = []
        for step in reversed(self.checkpoints.all()):
            try:
                saved = self._saved(step)
            except DamagedCheckpoint:
                self._damaged.append(step)
                continue
            self.folder.check(_stands(saved))
            self._restored = step
            return saved
        if self._damaged:
            raise BadInput(
                f"{self.folder.checkpoints} holds only damaged checkpoints ({', '.join(map(str, self._damaged))}), "
                f"{self._instead()}"
            )
        return None

    def _instead(self) -> str:
        """What there is to do about checkpoints that are lost."""
        said, path = Inbox(self.folder.path).answers.size, self.folder.path
        along = f", to which python -m bal.answer OUT {path} brings what people have answered" if said else ""
        return f"and a run cannot go on without: put them back, or choose another --out{along}"

    def _has(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is in curve.csv: that of the last model of a run that had ended."""
        rows = self.folder.rows() if row else []
        return bool(rows) and rows[-1]["round"] == row["round"]

    def _journals(self) -> tuple[int, int]:
        return self.folder.curve.size, self.folder.ledger.size

    def _save(self, step: int, state: State, info: Info) -> None:
        stands = packing.text(journals.pack(self.folder.stands()))
        self.checkpoints.save(step, {**packing.pack(self.setup, state, info), "journals": stands})

    def _step(self, step: int) -> int:
        """The number of the next checkpoint: a finished run that goes on takes its last step again, by another one."""
        return max(step, 1 + max(self.checkpoints.all(), default=-1))

    def _saved(self, step: int) -> packing.Saved:
        saved = self.checkpoints.load(step)
        packing.check(self.setup, saved, self.folder.path, lambda: Inputs(self.setup.source).differing(self.folder))
        self.setup = packing.as_begun(self.setup, saved)
        return saved

    def _load(self, saved: packing.Saved) -> tuple[State, Info, tuple[int, int]]:
        stands = _stands(saved)
        curve, ledger = (stands[journal.path.name].size for journal in (self.folder.curve, self.folder.ledger))
        state = packing.state_of(self.setup, saved)
        lines = [line for line in self.folder.queries(ledger) if line["round"] == state.purchase - 1]
        return state, packing.info_of(saved, lines), (curve, ledger)


def _stands(saved: packing.Saved) -> dict[str, Stand]:
    """What a checkpoint says of the journals."""
    return journals.unpack(packing.read(saved["journals"]))
