"""One setting, and many of them laid over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bal import extensions
from bal.extensions import SLOTS
from bal.types import BadInput


class Setting(NamedTuple):
    """One value that a person gave, and where: `configs/gpu.yaml:3`, or None for the command line."""

    value: Any
    where: str | None

    def at(self, key: str) -> str:
        """How an error message begins."""
        return f"{self.where}: {key}" if self.where else f"--{key}"


Settings = Mapping[str, Setting]  # by dotted key


def merge(layers: Sequence[Settings], default: Any) -> dict[str, Setting]:
    """Lays later settings over earlier ones. Another name in a slot drops what was said about the earlier one.

    Raises:
        BadInput: the name of an extension is not text.
    """
    merged: dict[str, Setting] = {}
    for layer in layers:
        for slot in SLOTS.keys() & layer.keys():
            setting = layer[slot]
            if setting.value is None:  # `head:` with every line below it commented out
                continue
            if not isinstance(setting.value, str):
                raise BadInput(f"{setting.at(slot)}: expected a name or a mapping, got {setting.value!r}")
            before = merged[slot].value if slot in merged else extensions.name_of(slot, getattr(default, slot))
            if setting.value != before:
                merged = {key: old for key, old in merged.items() if not key.startswith(f"{slot}.")}
        merged.update({key: setting for key, setting in layer.items() if key not in SLOTS or setting.value is not None})
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
