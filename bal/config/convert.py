"""Plain values, as YAML has them, and the typed values of a dataclass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from bal.types import BadInput

DECIMAL = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")  # no 1_000, no 010
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    NoneType: "none",
}


def convert(value: Any, hint: Any) -> Any:
    """The value from YAML as the annotation wants it; strict, except for what YAML cannot write.

    Raises:
        TypeError, ValueError: the value does not fit the annotation.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _first(value, args)
    if origin is tuple:
        return _tuple(value, args)
    if hint is float and isinstance(value, str) and DECIMAL.fullmatch(value):
        return float(value)
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


def _first(value: Any, arms: Sequence[Any]) -> Any:
    for arm in arms:
        with suppress(TypeError, ValueError):
            return convert(value, arm)
    raise TypeError


def _tuple(value: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    hints = args[:1] * len(value) if len(args) == 2 and args[1] is Ellipsis else args
    return tuple(convert(item, hint) for item, hint in zip(value, hints, strict=True))


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
    return _WORDS.get(hint, hint.__name__ if isinstance(hint, type) else str(hint))


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
