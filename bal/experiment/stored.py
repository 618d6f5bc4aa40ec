"""What a folder that holds a run already may be used for."""

from __future__ import annotations

import dataclasses
from contextlib import closing, suppress

from bal.annotation.annotators.base import AnswersLater
from bal.config import extensions
from bal.config.dump import differences, dump_yaml
from bal.config.resolve import MORE, load
from bal.config.schema import Config
from bal.experiment.checkpoint import Checkpoints, DamagedCheckpoint
from bal.experiment.folder import RunFolder
from bal.system.files import write_whole
from bal.types import BadInput


def check_stored(folder: RunFolder, config: Config, resume: bool, overwrite: bool) -> tuple[Config, bool]:
    """The configuration with the `history` of the run in a folder, and whether that has become another.

    Raises:
        BadInput: the run could not be resumed, or was another, or may hold what people have labelled.
    """
    if isinstance(config.annotator, AnswersLater):
        extensions.check_found("annotator", config.annotator)
    if not folder.holds_run():
        return config, False
    if overwrite:
        _check_nobody_answers(folder)
    return _going_on(folder, load(folder.config), config) if resume else (config, False)


def _check_nobody_answers(folder: RunFolder) -> None:
    """Raises BadInput for a run that may hold what people have labelled."""
    instead = "choose another --out, or delete the folder yourself"
    try:
        people = folder.has_questions() or isinstance(load(folder.config).annotator, AnswersLater)
    except BadInput as error:
        raise BadInput(f"{error}: whether people answer in this run cannot be told, so it stays; {instead}") from error
    if people:
        raise BadInput(f"{folder.path} may hold answers of people, which --overwrite would delete: {instead}")


def _going_on(folder: RunFolder, stored: Config, config: Config) -> tuple[Config, bool]:
    """What a run goes on as: with its own history, and one stage more where rounds or budget have changed."""
    config = dataclasses.replace(config, history=stored.history) if not config.history else config
    changed = differences(stored, config)
    if other := [line for line in changed if _field(line) not in MORE]:
        raise BadInput(f"{folder.path} was run with another configuration ({'; '.join(other)}); choose another --out")
    decided = decided_in(folder) if any(_field(line) != "stop" for line in changed) else 0
    if not changed or not decided:
        return config, bool(changed)
    spent = stored.plan.allowance(decided)
    if config.rounds < decided or config.budget < spent:
        raise BadInput(
            f"{folder.path} has decided {decided} rounds, for {spent:g}: rounds and budget may not become less"
        )
    if config.rounds == decided and config.budget > spent:
        more = f"give --rounds {decided + 1} or more with the larger --budget"
        raise BadInput(f"{folder.path} has decided all of its {decided} rounds: {more}")
    if config.rounds > decided and config.budget == spent:
        raise BadInput(f"{folder.path} has decided on all of its {spent:g}: give a larger --budget with more --rounds")
    return dataclasses.replace(config, history=(*stored.history, (decided, spent))), True


def _field(line: str) -> str:
    """Of `Config`, in which a line of `differences` says that something is another."""
    return line.partition(":")[0].partition(".")[0]


def check_unmoved(folder: RunFolder, given: Config, config: Config) -> None:
    """Raises BadInput if a run has gone on since it was decided what it goes on as, or can no longer be given that.

    Whatever is raised, the lock is given back.

    Args:
        folder: of the run, which nobody else can run any more.
        given: what was asked for.
        config: what `check_stored` made of it before the lock was taken.
    """
    try:
        if check_stored(folder, given, True, False)[0] != config:
            raise BadInput(f"{folder.path} was run by another process a moment ago: try again")
    except BaseException:
        folder.lock.release()
        raise


def amend(folder: RunFolder, config: Config) -> None:
    """Writes down the configuration of a run that was given more, once it is known that the run can go on."""
    if differences(load(folder.config), config):
        write_whole(folder.config, dump_yaml(config))


def decided_in(folder: RunFolder) -> int:
    """How many purchases after the start set have been chosen by now, asked about or paid."""
    with closing(Checkpoints(folder.checkpoints, reading=True)) as checkpoints:
        for step in reversed(checkpoints.all()):
            with suppress(DamagedCheckpoint, FileNotFoundError):  # somebody runs it, and has deleted that one
                saved = checkpoints.load(step)
                last = int(saved["purchase"]) - ("asked" not in saved)  # the next one is not decided
                return max(0, last - bool(saved["done"]))  # and the one after the last model was of nothing
    return 0
