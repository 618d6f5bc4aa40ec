"""Extensions by name: the tables of this package, entry points, and `package.module:Class` from anywhere.

A slot is a field of `Config` that holds an extension. An installed package adds to a slot with an entry point in the
group of that slot (`bal.heads`, `bal.acquisitions`, …); it is imported when it is chosen, not before. A name of our
own tables always means our own class.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any, NamedTuple, get_args

from bal.annotation.annotators import ANNOTATORS
from bal.annotation.annotators.base import Annotator, ChecksSource, Closes, Corrects, Hints
from bal.config.conformance import check_abilities, missing
from bal.pool.units import UNITS
from bal.pool.units.base import Unit
from bal.posterior.calibrators import CALIBRATORS
from bal.posterior.calibrators.base import Calibrator
from bal.posterior.heads import HEADS
from bal.posterior.heads.base import Finalizes, Head, Joins
from bal.posterior.nets import NETS
from bal.posterior.nets.base import HasCells, HasFeatures, NetSettings
from bal.scoring.acquisitions import ACQUISITIONS
from bal.scoring.acquisitions.base import Acquisition, Learns, SumOverClasses
from bal.selection.selectors import SELECTORS
from bal.selection.selectors.base import Selector
from bal.selection.stops import STOPS
from bal.selection.stops.base import Stop
from bal.sources import SOURCES
from bal.sources.base import HasFiles, HasStyles, KnowsMasks, Notes, PartlyLabelled, SourceSettings
from bal.system.outside import brief
from bal.types import BadInput


class Slot(NamedTuple):
    """Where the extensions of one field of `Config` come from, and what they must satisfy."""

    noun: str
    table: Mapping[str, type]
    protocol: Any  # or a union of protocols, one of which it must satisfy
    group: str  # of entry points
    abilities: tuple[type, ...] = ()  # what they may satisfy besides, each whole or not at all
    made: tuple[type, ...] = ()  # the same of what they open or bind


OF_SOURCES = (HasFiles, HasStyles, KnowsMasks, PartlyLabelled)
SLOTS: dict[str, Slot] = {
    "acq": Slot("acquisition", ACQUISITIONS, Acquisition, "bal.acquisitions", (SumOverClasses, Learns)),
    "head": Slot("head", HEADS, Head, "bal.heads", (Finalizes, Joins)),
    "source": Slot("source", SOURCES, SourceSettings, "bal.sources", (Notes,), OF_SOURCES),
    "net": Slot("network", NETS, NetSettings, "bal.nets", made=(HasCells, HasFeatures)),
    "unit": Slot("unit", UNITS, Unit, "bal.regions"),
    "selector": Slot("selector", SELECTORS, Selector, "bal.selectors"),
    "calibrator": Slot("calibrator", CALIBRATORS, Calibrator, "bal.calibrators"),
    "annotator": Slot("annotator", ANNOTATORS, Annotator, "bal.annotators", (ChecksSource, Closes, Corrects, Hints)),
    "stop": Slot("stopping rule", STOPS, Stop, "bal.stops"),
}


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group; finding them looks into every installed package, importing them is for later."""
    return tuple(entry_points(group=group))


def names(slot: str) -> list[str]:
    """What can be chosen by a short name: our own table, then entry points."""
    ours = SLOTS[slot].table
    return [*ours, *sorted({entry.name for entry in installed(SLOTS[slot].group)} - set(ours))]


def find(slot: str, name: str) -> type:
    """The class behind a name.

    Raises:
        BadInput: the name is unknown, or what it stands for cannot be imported or is no such extension.
    """
    noun, table, group = SLOTS[slot].noun, SLOTS[slot].table, SLOTS[slot].group
    if name in table:
        return table[name]
    for entry in installed(group):
        if entry.name == name:
            return _checked(slot, f"entry point '{name} = {entry.value}' of {group}", entry.load)
    if ":" in name:
        module, _, path = name.partition(":")
        return _checked(slot, f"{noun} '{name}'", lambda: attrgetter(path)(importlib.import_module(module)))
    choices = names(slot)
    raise BadInput(f"unknown {noun} {brief(name)}{nearest(name, choices)} choices: {', '.join(choices)}")


def name_of(slot: str, extension: Any) -> str:
    """The name under which `find` gives back this class, or the class of this instance."""
    cls = extension if isinstance(extension, type) else type(extension)
    for name, ours in SLOTS[slot].table.items():
        if ours is cls:
            return name
    for entry in installed(SLOTS[slot].group):
        if entry.value == f"{cls.__module__}:{cls.__qualname__}":
            return entry.name
    return f"{cls.__module__}:{cls.__qualname__}"


def check_found(slot: str, extension: Any) -> None:
    """Raises BadInput unless a configuration file that names this extension would find it again."""
    name = name_of(slot, extension)
    try:
        same = find(slot, name) is type(extension)
    except BadInput:
        same = False
    if not same:
        raise BadInput(
            f"{SLOTS[slot].noun} '{name}' could not be found again by a run that is resumed: define it in a module"
        )


def summary(slot: str, name: str) -> str:
    """What a name stands for, in one line; of an entry point, which is not imported for that, where it points."""
    if name in SLOTS[slot].table:
        return first_line(SLOTS[slot].table[name])
    return next((entry.value for entry in installed(SLOTS[slot].group) if entry.name == name), "")


def first_line(cls: type) -> str:
    """The first line of a docstring, if somebody wrote one."""
    line = (inspect.getdoc(cls) or "").partition("\n")[0]
    return "" if line.startswith(f"{cls.__name__}(") else line  # what `dataclass` writes where there is none


def check(slot: str, what: str, cls: Any) -> None:
    """Raises BadInput unless `cls` is a frozen dataclass with what this slot needs, and no ability by half."""
    noun, protocol = SLOTS[slot].noun, SLOTS[slot].protocol
    if cls is str:
        first = next(iter(SLOTS[slot].table.values())).__name__
        raise BadInput(f"{what} is a name; give the {noun} itself, such as {first}()")
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise BadInput(f"{what} is no {noun}: expected a frozen dataclass, got {cls!r}")
    if not inspect.getattr_static(cls, "__dataclass_params__").frozen:
        if slot == "net" and {"init", "apply"} <= set(dir(cls)):
            raise BadInput(f"{what} is a module: give bal.WholeNet(module.init, module.apply)")
        raise BadInput(f"{what} is not frozen: write @dataclass(frozen=True), so that it can be hashed by jax.jit")
    lacking = [missing(cls, kind) for kind in get_args(protocol) or (protocol,)]
    if all(lacking):
        raise BadInput(f"{what} is no {noun}: it has no {', nor '.join(', '.join(names) for names in lacking)}")
    check_abilities(what, cls, SLOTS[slot].abilities)


def check_hashable(what: str, extension: Any) -> None:
    """Raises BadInput for an extension that `jax.jit` could not tell from another, such as one with a list in it."""
    try:
        hash(extension)
    except TypeError as error:
        fields = [f.name for f in dataclasses.fields(extension) if getattr(extension, f.name).__hash__ is None]
        where = f"its field {fields[0]} is a {type(getattr(extension, fields[0])).__name__}" if fields else str(error)
        raise BadInput(f"{what} cannot be hashed: {where}; give a tuple, or what is frozen") from error


def check_made(slot: str, made: Any) -> None:
    """Raises BadInput for a source, opened, or a network, bound to its images, that has an ability by half."""
    check_abilities(f"the {SLOTS[slot].noun} {type(made).__name__}", made, SLOTS[slot].made)


def nearest(word: str, choices: Any) -> str:
    """The middle of an error message: "; did you mean 'bald'?" or nothing but a semicolon."""
    close = get_close_matches(word, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ";"


def _checked(slot: str, what: str, load: Any) -> type:
    try:
        cls = load()
    except Exception as error:  # whatever somebody else's module does when it is imported
        line = " ".join(str(error).split())
        raise BadInput(f"{what} cannot be loaded: {type(error).__name__}: {line}") from error
    check(slot, what, cls)
    return cls
