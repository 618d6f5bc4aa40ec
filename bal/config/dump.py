"""A Config as YAML, and what differs between two of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from bal.config import extensions, written
from bal.config.convert import plain
from bal.config.extensions import SLOTS
from bal.config.schema import Config


def to_dict(config: Config) -> dict[str, Any]:
    """The whole configuration as YAML can hold it; an extension has its `name` among its fields.

    Raises:
        BadInput: a field of an extension from outside holds what YAML cannot write.
    """
    result = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        result[field.name] = plain(value, field.name)
        if field.name in SLOTS:
            result[field.name] = {"name": extensions.name_of(field.name, value)} | result[field.name]
    return result


def dump_yaml(config: Config) -> str:
    """The text of a file that `--config` reads as this very configuration."""
    return written.dump(to_dict(config))


def differences(a: Config, b: Config) -> list[str]:
    """One line for each field in which they differ: `head.rate: 0.2, now 0.3`."""
    left, right = _flat(to_dict(a)), _flat(to_dict(b))
    other = tuple(f"{slot}." for slot in SLOTS if left[slot] != right[slot])
    keys = [key for key in left if key in right and not key.startswith(other)]
    return [f"{key}: {left[key]}, now {right[key]}" for key in keys if left[key] != right[key]]


def _flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in mapping.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix[:-1] if name == "name" and prefix[:-1] in SLOTS else prefix + name] = value
    return flat
