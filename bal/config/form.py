"""A tree of frozen dataclasses as a form: what can be filled in, and the tree that comes of it.

A form has the fields of its tree and none of its checks, so that it can hold values that are not right yet. It is a
dataclass that tyro can read: every extension has its own type, and every field its text and the place of its value.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import tyro

from bal.config import extensions
from bal.config.convert import convert, describe
from bal.config.extensions import SLOTS
from bal.config.files import NOTHING, Setting, Settings
from bal.config.written import LONGEST
from bal.system.outside import brief, shown as escaped
from bal.types import BadInput

LARGE = 2**63


class Form:
    """What every form is, whatever it is the form of."""

    __of__: ClassVar[type]  # the dataclass


def form(node: Any, settings: Settings, chosen: Mapping[str, Any], prefix: str = "") -> Any:
    """The form of a dataclass, or of an instance whose values are then the defaults, filled with settings.

    Args:
        node: the dataclass or the instance.
        settings: by dotted key.
        chosen: an extension, or its class, by slot.
        prefix: what the keys of this node begin with.

    Raises:
        BadInput: a value has the wrong type, or at the root, a key is unknown.
    """
    cls, values, rows = node if isinstance(node, type) else type(node), {}, []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        name = field.name
        key = prefix + field.name
        hint = hints_of(cls)[field.name]
        value = chosen[key] if key in chosen else _default(node, field)
        below = hint if value is tyro.MISSING else value
        if dataclasses.is_dataclass(below):
            if key in settings and key not in SLOTS and settings[key].value not in NOTHING:
                raise BadInput(f"{settings[key].at(key)}: expected a mapping of its fields")
            values[name] = form(below, settings, chosen, f"{key}.")
            kind, text = type(values[name]), docs_of(cls).get(name)
            if key in SLOTS:
                text = f"{extensions.name_of(key, kind.__of__)}: {extensions.first_line(kind.__of__)}"
            rows.append((name, Annotated[kind, tyro.conf.arg(help=text)]))
        else:
            values[name] = _value(key, settings[key], hint) if key in settings else value
            hinted = None if values[name] is tyro.MISSING else shown(settings.get(key))
            if field.metadata.get("hidden"):  # what a run writes, and nobody else
                hint = tyro.conf.Suppress[hint]
            rows.append((name, Annotated[hint, tyro.conf.arg(help=docs_of(cls).get(name), help_behavior_hint=hinted)]))
    made = dataclasses.make_dataclass(
        cls.__name__, rows, bases=(Form,), eq=False, repr=False, namespace={"__of__": cls}
    )
    filled = made(**values)
    if not prefix:
        _refuse_unknown(dict(leaves(filled)), settings)
    return filled


def leaves(filled: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted keys of a form that hold a value rather than further fields, and their values; depth first."""
    for name, value in vars(filled).items():
        if isinstance(value, Form):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def build(filled: Any, settings: Settings, prefix: str = "") -> Any:
    """The tree that a form describes.

    Raises:
        BadInput: a value is missing, or a dataclass refused its values; says where they came from if that is known.
    """
    values = {
        name: build(value, settings, f"{prefix}{name}.") if isinstance(value, Form) else value
        for name, value in vars(filled).items()
    }
    for name, value in values.items():
        if value is tyro.MISSING:
            raise BadInput(f"{prefix}{name} is missing: give {describe(hints_of(type(filled).__of__)[name])}")
        if prefix + name in settings:
            _check_numbers(prefix + name, settings[prefix + name], value)
    try:
        return type(filled).__of__(**values)
    except (TypeError, ValueError) as error:
        raise BadInput(_located(str(error), prefix, settings)) from error


def shown(setting: Setting | None) -> Callable[[str], str]:
    """How `--help` writes a value in force, which tyro has turned into text."""
    if setting is None or setting.where is None:
        return lambda text: f"(default: {text or 'empty'})"
    return lambda text: f"({text or 'empty'}, from {setting.where})"


def unknown(key: str, where: str | None, known: Sequence[str]) -> str:
    """What to say about a key that nothing has: the nearest one, or the extension that would have it."""
    said = escaped(key)
    what = f"{where}: unknown key '{said}'" if where else f"unknown option {Setting(None, None).at(said)}"
    slot, _, field = key.partition(".")
    if slot in SLOTS and field:
        for name, cls in SLOTS[slot].table.items():
            if field in {member.name for member in dataclasses.fields(cls)}:
                return f"{what}; it belongs to {SLOTS[slot].noun} '{name}', which --{slot} {name} would choose"
    spelled = (lambda name: name) if where else Setting(None, None).at
    return (what + extensions.nearest(spelled(key), map(spelled, known))).removesuffix(";")


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
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, SyntaxError, ValueError):
        return {}
    docs = {}
    for field, doc in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs


def _default(node: Any, field: dataclasses.Field) -> Any:
    if not isinstance(node, type):
        return getattr(node, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default


def _value(key: str, setting: Setting, hint: Any) -> Any:
    if setting.value == {}:
        raise BadInput(f"{setting.at(key)}: expected a single value or a list, got a mapping")
    try:
        return convert(setting.value, hint)
    except (TypeError, ValueError, OverflowError) as error:
        what = f"{setting.at(key)}: expected {describe(hint)}, got {brief(setting.value)}"
        raise BadInput(what + meant(setting.value, hint)) from error


def meant(value: Any, hint: Any) -> str:
    """The end of a message about what is none of the words, or no number as they are written: what may be meant."""
    kinds = {hint, *get_args(hint)} & {int, float}
    if isinstance(value, str) and kinds and (number := _number(value, float in kinds)):
        return f"; did you mean {number}?"
    words = [word for arm in (hint, *get_args(hint)) if get_origin(arm) is Literal for word in get_args(arm)]
    low = {word.lower(): word for word in words if isinstance(word, str)}
    near = get_close_matches(value.lower(), low, n=1) if isinstance(value, str) and len(value) < 2 * LONGEST else []
    return f"; did you mean '{low[near[0]]}'?" if near else ""


def _number(text: str, broken: bool) -> str:
    """1,000 and 1_000 as 1000; if it may be `broken`, 25% and 0,25 as 0.25; empty for anything else."""
    if broken and (found := re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?) ?%", text)):
        return f"{float(found[1]) / 100:g}"
    if re.fullmatch(r"[1-9]\d{0,2}(?:[,_' ]\d{3}){1,4}", text):
        return re.sub(r"\D", "", text)
    return text.replace(",", ".") if broken and re.fullmatch(r"\d{1,9},\d{1,9}", text) else ""


def _check_numbers(key: str, setting: Setting, value: Any) -> None:
    """Raises BadInput for what is no number, or so large a whole one that nothing can count it."""
    for item in value if isinstance(value, tuple | list) else (value,):
        if isinstance(item, float) and math.isnan(item):
            raise BadInput(f"{setting.at(key)}: expected a number, got nan, which is none")
        if isinstance(item, int) and abs(item) >= LARGE:
            raise BadInput(f"{setting.at(key)}: {brief(item)} is too large; whole numbers stay below 2⁶³")


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


def _refuse_unknown(known: Mapping[str, Any], settings: Settings) -> None:
    groups = {key[: key.rindex(".")] for key in known if "." in key} | set(SLOTS)
    for key, setting in settings.items():
        parent = key.rpartition(".")[0]
        if key in known or key in groups:
            continue
        if parent in known:
            raise BadInput(f"{setting.at(parent)}: expected a single value or a list, got a mapping")
        raise BadInput(unknown(key, setting.where, [*known, *groups]))
