"""YAML files as settings that know their line."""

from __future__ import annotations

from pathlib import Path

import yaml

from bal.extensions import SLOTS
from bal.settings.layers import Setting
from bal.types import BadInput


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
