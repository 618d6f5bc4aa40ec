"""Plain values from files and flags, and the typed values of a dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from bal.types import BadInput

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    NoneType: "none",
}
_METAVARS = {bool: "BOOL", int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH", NoneType: "none"}


def convert(value: Any, hint: Any, text: bool = False) -> Any:
    """The value as the annotation wants it; strict, except for what YAML or a command line cannot write.

    Args:
        value: from YAML, or from the command line: a string, or the strings after a flag that takes several.
        hint: a resolved annotation.
        text: the value is from the command line, where a number is still text.

    Raises:
        TypeError, ValueError: the value does not fit the annotation.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _first(value, sorted(args, key=lambda arm: arm is not NoneType), text)
    if origin is tuple:
        return _tuple(value, args, text)
    if text and isinstance(value, list):
        (value,) = value  # the flag takes several values, this arm of its annotation takes one
    if text and (origin is Literal or hint in (bool, NoneType)):
        options = args or {bool: (True, False), NoneType: (None,)}[hint]
        return options[[str(option).lower() for option in options].index(value.lower())]
    if text and hint is int:
        return int(value)
    if hint is float and isinstance(value, str) and (text or value[-1:].isdigit()):
        return float(value)  # YAML 1.1 takes 1e-3 for text
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(value, bool) and hint in (int, float):
        raise TypeError
    try:
        return check_type(value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError as error:
        raise TypeError from error


def _first(value: Any, arms: Sequence[Any], text: bool) -> Any:
    for arm in arms:
        with suppress(TypeError, ValueError):
            return convert(value, arm, text)
    raise TypeError


def _tuple(value: Any, args: tuple[Any, ...], text: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    hints = args[:1] * len(value) if len(args) == 2 and args[1] is Ellipsis else args
    return tuple(convert(item, hint, text) for item, hint in zip(value, hints, strict=True))


def plain(value: Any, key: str = "") -> Any:
    """The value as YAML writes it; a dataclass becomes a mapping of its fields.

    Raises:
        BadInput: YAML has no way to write it.
    """
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name), f"{key}.{field.name}".lstrip("."))
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item, key) for item in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise BadInput(f"{key}: a file cannot hold a value of type {type(value).__name__}")


def several(hint: Any) -> bool:
    """Whether a flag of this type takes several values."""
    arms = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return any(get_origin(arm) is tuple for arm in arms)


def describe(hint: Any) -> str:
    """The annotation in words: "a number or none"."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(describe(arm) for arm in args)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(repr(option) for option in args)
    if origin is tuple:
        several = args[-1:] == (...,)
        return f"a list, each {describe(args[0])}" if several else f"a list: {', '.join(map(describe, args))}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def metavar(hint: Any) -> str:
    """The annotation as `--help` shows it: FLOAT|none, {a,b}."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return "|".join(metavar(arm) for arm in args)
    if origin is Literal:
        return "{" + ",".join(str(option) for option in args) + "}"
    if origin is tuple:
        return metavar(args[0])  # argparse adds the dots
    return _METAVARS.get(hint, "VALUE")
