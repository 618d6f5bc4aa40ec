"""Whether a class has what a protocol asks for, found out by name and by arguments, before anything is run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from bal.types import BadInput


def members(protocol: type) -> list[str]:
    """What a protocol itself asks for, by name."""
    asked = {**vars(protocol), **inspect.get_annotations(protocol)}
    return [name for name in asked if not name.startswith("_") or name == "__call__"]


def missing(thing: Any, protocol: type) -> list[str]:
    """What a protocol asks for and a class, or an instance, has not: as far as names tell, without a look at values."""
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    has = {*dir(thing), *(field.name for field in fields)}
    return [name for name in members(protocol) if name not in has]


def check_abilities(what: str, thing: Any, abilities: Sequence[type]) -> None:
    """Raises BadInput unless each ability is there whole, called as it is called here, or not at all.

    From then on `isinstance` tells who has it.

    Args:
        what: how an error message begins.
        thing: a class, or an instance.
        abilities: runtime-checkable protocols.
    """
    cls = thing if isinstance(thing, type) else type(thing)
    for ability in abilities:
        asked = {name: vars(ability).get(name) for name in members(ability)}
        means = f"{ability.__name__} is {' and '.join(_called(name, member) for name, member in asked.items())}"
        absent = missing(thing, ability)
        there = [name for name in asked if name not in absent]
        if there and absent:
            raise BadInput(f"{what} has {', '.join(there)} without {', '.join(absent)}; {means}")
        for name in there:
            own = inspect.getattr_static(cls, name, None)
            if inspect.isfunction(own) and not _takes(own, asked[name]):
                raise BadInput(f"{what} has {_called(name, own)}; {means}")


def _called(name: str, member: Any) -> str:
    """`finalize(net, params, labelled, key)`; of what is no method, its name."""
    if not inspect.isfunction(member):
        return name
    _, *parameters = inspect.signature(member).parameters.values()
    return f"{name}({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"


def _takes(own: Callable[..., Any], asked: Any) -> bool:
    """Whether a method takes the arguments of another, by position; where that has `*rest`, with one or with none."""
    if not inspect.isfunction(asked):
        return False
    parameters = inspect.signature(asked).parameters.values()
    least = sum(p.kind is not p.VAR_POSITIONAL for p in parameters)
    return any(_binds(own, count) for count in range(least, len(parameters) + 1))


def _binds(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True
