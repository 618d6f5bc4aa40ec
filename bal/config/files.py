"""Settings: what the YAML files say, laid over each other, and the extensions they choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bal.config import extensions
from bal.config.extensions import SLOTS
from bal.types import BadInput


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
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        settings: dict[str, Setting] = {}
        if isinstance(root, yaml.MappingNode):
            _walk(loader, root, path, "", settings)
        elif root is not None and loader.construct_object(root) is not None:
            raise BadInput(f"{path}: expected a mapping such as 'seed: 1', got {_kind(root)}")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a YAML file: it is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"{path}{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    return settings


def _walk(
    loader: yaml.SafeLoader, node: yaml.MappingNode, path: Path, prefix: str, settings: dict[str, Setting]
) -> None:
    for key_node, value_node in node.value:
        key = prefix + str(loader.construct_object(key_node, deep=True))
        if key.removesuffix(".name") in SLOTS:
            key = key.removesuffix(".name")
        where = f"{path}:{key_node.start_mark.line + 1}"
        if isinstance(value_node, yaml.MappingNode):
            _walk(loader, value_node, path, key + ".", settings)
        elif key in settings:
            raise BadInput(f"{where}: {key} is given twice, first in {settings[key].where}")
        else:
            settings[key] = Setting(loader.construct_object(value_node, deep=True), where)


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


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
