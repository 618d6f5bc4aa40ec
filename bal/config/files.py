"""Settings: what the YAML files say, laid over each other, and the extensions they choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bal.config import extensions
from bal.config.extensions import SLOTS
from bal.config.written import pairs
from bal.system.outside import brief
from bal.types import BadInput

NOTHING = (None, {})  # `head:` or `train: {}`, with every line below commented out


class Setting(NamedTuple):
    """One value that a person gave, and where: `configs/gpu.yaml:3`, or None for the command line."""

    value: Any
    where: str | None

    def at(self, key: str) -> str:
        """How an error message begins."""
        return f"{self.where}: {key}" if self.where else f"--{key}".replace("_", "-")


Settings = Mapping[str, Setting]  # by dotted key


def read(path: Path) -> dict[str, Setting]:
    """The settings of one YAML file. An empty file overrides nothing.

    Raises:
        BadInput: the file cannot be read, is not valid YAML or not a mapping, or gives a key twice.
    """
    settings: dict[str, Setting] = {}
    for keys, value, line in pairs(path):
        key, where = ".".join(keys), f"{path}:{line}"
        if key.endswith(".name") and key.removesuffix(".name") in SLOTS:
            if not isinstance(value, str):
                raise BadInput(f"{where}: {key}: expected a name, got {brief(value)}")
            key = key.removesuffix(".name")
        if key in settings and settings[key].value not in NOTHING:
            raise BadInput(f"{where}: {key} is given twice, first in {settings[key].where}")
        settings[key] = Setting(value, where)
    return settings


def merge(layers: Sequence[Settings], default: Any) -> dict[str, Setting]:
    """Lays later settings over earlier ones. Another name in a slot drops what was said about the earlier one.

    Raises:
        BadInput: the name of an extension is not text.
    """
    merged: dict[str, Setting] = {}
    for layer in layers:
        for slot in SLOTS.keys() & layer.keys():
            setting = layer[slot]
            if setting.value in NOTHING:
                continue
            if not isinstance(setting.value, str):
                raise BadInput(f"{setting.at(slot)}: expected a name or a mapping, got {brief(setting.value)}")
            before = merged[slot].value if slot in merged else extensions.name_of(slot, getattr(default, slot))
            if setting.value != before:
                merged = {key: old for key, old in merged.items() if not key.startswith(f"{slot}.")}
        merged.update({k: setting for k, setting in layer.items() if k not in SLOTS or setting.value not in NOTHING})
    return merged


def choose(settings: Settings, default: Any) -> dict[str, Any]:
    """What each slot starts from: the default's own extension, or the class that was named.

    Raises:
        BadInput: an extension is unknown or cannot be loaded.
    """
    chosen = {}
    for slot in SLOTS:
        chosen[slot] = getattr(default, slot)
        if slot in settings and settings[slot].value != extensions.name_of(slot, chosen[slot]):
            try:
                chosen[slot] = extensions.find(slot, settings[slot].value)
            except BadInput as error:
                place = settings[slot].where
                raise BadInput(f"{place}: {error}" if place else str(error)) from error
    return chosen
