"""The fields of a tree of frozen dataclasses, and the tree built from settings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, get_type_hints

from bal import extensions
from bal.extensions import SLOTS
from bal.settings.convert import convert, describe
from bal.settings.layers import Setting, Settings
from bal.types import BadInput


class Leaf(NamedTuple):
    """A field that holds a value rather than further fields."""

    key: str
    hint: Any
    value: Any  # its default, or dataclasses.MISSING where one must be given
    owner: type  # the dataclass it is a field of


def leaves(node: Any, chosen: Mapping[str, Any], prefix: str = "") -> Iterator[Leaf]:
    """The fields of a dataclass, or of an instance whose values are then the defaults; depth first."""
    for name, hint, value in _members(node, chosen, prefix):
        below = value if value is not dataclasses.MISSING else hint
        if dataclasses.is_dataclass(below):
            yield from leaves(below, chosen, f"{prefix}{name}.")
        else:
            yield Leaf(prefix + name, hint, value, node if isinstance(node, type) else type(node))


def build(node: Any, settings: Settings, chosen: Mapping[str, Any], prefix: str = "") -> Any:
    """An instance like `node` (a dataclass or an instance of one) with these settings.

    Raises:
        BadInput: a key is unknown, a value has the wrong type, or the dataclass refused the values.
    """
    if not prefix:
        _refuse_unknown(node, settings, chosen)
    given: dict[str, Any] = {}
    for name, hint, value in _members(node, chosen, prefix):
        key = prefix + name
        below = value if value is not dataclasses.MISSING else hint
        if dataclasses.is_dataclass(below):
            if key in settings and key not in SLOTS and settings[key].value is not None:
                raise BadInput(f"{settings[key].at(key)}: expected a mapping of its fields")
            if isinstance(below, type) or any(other.startswith(f"{key}.") for other in settings):
                given[name] = build(below, settings, chosen, f"{key}.")
        elif key in settings:
            given[name] = _value(key, settings[key], hint)
        elif value is dataclasses.MISSING:
            raise BadInput(f"{key} is missing: give {describe(hint)} with --{key} or in a YAML file")
    try:
        return node(**given) if isinstance(node, type) else dataclasses.replace(node, **given)
    except (TypeError, ValueError) as error:
        raise BadInput(_located(str(error), prefix, settings)) from error


def _located(message: str, prefix: str, settings: Settings) -> str:
    """What a dataclass said about its values, and which setting it is about as far as that can be known."""
    message = " ".join(message.split())
    keys = [key for key in settings if key.startswith(prefix)]
    named = message.partition(":")[0]
    if named in keys:
        return settings[named].at(named) + message.removeprefix(named)
    if prefix and len(keys) == 1:
        return f"{settings[keys[0]].at(keys[0])}: {message.removeprefix(keys[0]).lstrip()}"
    return message if message.startswith(prefix) else f"{prefix[:-1]}: {message}"


def _members(node: Any, chosen: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    hints = hints_of(node if isinstance(node, type) else type(node))
    for field in dataclasses.fields(node):
        if not field.init:
            continue
        if not prefix and field.name in chosen:
            value = chosen[field.name]
        elif not isinstance(node, type):
            value = getattr(node, field.name)
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            value = field.default
        yield field.name, hints[field.name], value


def _value(key: str, setting: Setting, hint: Any) -> Any:
    try:
        return convert(setting.value, hint, text=setting.where is None)
    except (TypeError, ValueError) as error:
        got = setting.value
        if setting.where is None and isinstance(got, list):
            got = " ".join(got)
        raise BadInput(f"{setting.at(key)}: expected {describe(hint)}, got {got!r}") from error


def _refuse_unknown(node: Any, settings: Settings, chosen: Mapping[str, Any]) -> None:
    known = {leaf.key: leaf.hint for leaf in leaves(node, chosen)}
    groups = {key[: key.rindex(".")] for key in known if "." in key} | set(SLOTS)
    for key, setting in settings.items():
        parent = key.rpartition(".")[0]
        if key in known or key in groups:
            continue
        if parent in known:
            raise BadInput(f"{setting.at(parent)}: expected {describe(known[parent])}, got a mapping")
        raise BadInput(unknown(key, setting.where, [*known, *groups]))


def unknown(key: str, where: str | None, known: Sequence[str]) -> str:
    """What to say about a key that nothing has: the nearest one, or the extension that would have it."""
    what = f"{where}: unknown key '{key}'" if where else f"unknown option --{key}"
    slot, _, field = key.partition(".")
    if slot in SLOTS and field:
        for name, cls in SLOTS[slot].table.items():
            if field in {member.name for member in dataclasses.fields(cls)}:
                return f"{what}; it belongs to {SLOTS[slot].noun} '{name}', which --{slot} {name} would choose"
    names = known if where else [f"--{name}" for name in known]
    return (what + extensions.nearest(key if where else f"--{key}", names)).removesuffix(";")


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass, resolved.

    Raises:
        BadInput: an annotation names something that its module does not import.
    """
    try:
        return get_type_hints(cls)
    except (NameError, AttributeError) as error:
        raise BadInput(f"{cls.__module__}.{cls.__qualname__}: the type of a field is unknown: {error}") from error


@cache
def docs_of(cls: type) -> dict[str, str]:
    """The docstring below each field, on one line; nothing where the source cannot be read."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, SyntaxError, ValueError):
        return {}
    docs = {}
    for field, doc in pairwise(body.body):  # pyright: ignore[reportAttributeAccessIssue]
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs
