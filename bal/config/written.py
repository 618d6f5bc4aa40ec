"""YAML as it is written: the rules of YAML 1.2, under which `010`, `yes`, `1:30` and a date are texts.

YAML 1.1, which PyYAML reads, takes `010` for 8, `1:30` for 90, `1_000` for 1000, `no` for false and `2024-01-01` for a
date. Under these rules they fit no number and no switch, and are refused there, and stay what they are among texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bal.system.outside import breaks, read_bytes
from bal.types import BadInput

MOST = 2**20  # bytes of a file of settings
NODES = 10_000  # keys and values, those that an alias repeats counted each time
DIGITS = 30  # of a whole number
LONGEST = 200  # letters of a key
PLAIN = "tag:yaml.org,2002:"
NUMBER = r"[-+]?(?:0|[1-9][0-9]*)"
RULES = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", NUMBER, list("-+0123456789")),
    (
        "float",
        rf"(?:{NUMBER}(?:\.[0-9]*)?|[-+]?\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)


class Loader(yaml.SafeLoader):
    """Reads by the rules of YAML 1.2."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012  (of the class, as PyYAML has it; not those of YAML 1.1)


class Dumper(yaml.SafeDumper):
    """Writes what is read the same by either rules: a text is quoted that one of them would take for more."""


def _text(dumper: Dumper, text: str) -> yaml.Node:
    """Quoted so that nothing in it is folded, where it holds what breaks a line."""
    return dumper.represent_scalar(f"{PLAIN}str", text, style='"' if breaks(text) else None)


Dumper.add_representer(str, _text)
for _name, _pattern, _first in RULES:
    Loader.add_implicit_resolver(PLAIN + _name, re.compile(rf"(?:{_pattern})\Z"), _first)
    if _name in ("int", "float"):
        Dumper.add_implicit_resolver(PLAIN + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def dump(value: Any) -> str:
    """The text of a file of settings."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def pairs(path: Path) -> Iterator[tuple[list[str], Any, int]]:
    """Every value of a file: its keys from the outermost in, the value, and the line of its key.

    A mapping without keys is a value, `{}`; a mapping with keys is not one itself. An empty file has none.

    Raises:
        BadInput: the file cannot be read, is no YAML, is no mapping, or holds more than settings do.
    """
    try:
        loader = Loader(read_bytes(path, MOST).decode("utf-8-sig"))
        root = loader.get_single_node()
        if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == f"{PLAIN}null"):
            return
        if not isinstance(root, yaml.MappingNode):
            kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            raise BadInput(f"{path}: expected a mapping such as 'seed: 1', got {kind}")
        _check(loader, root, path)
        yield from _walk(loader, root, [])
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a YAML file: it is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"{path}{line}: not valid YAML: {' '.join(str(error.problem).split())}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def _check(loader: Loader, root: yaml.Node, path: Path) -> None:
    """Raises BadInput for what no settings have: tags, merged mappings, endless repetition, numbers without end."""
    left, seen = [root], 0
    while left:
        node = left.pop()
        where, seen = f"{path}:{node.start_mark.line + 1}", seen + 1
        if seen > NODES:
            raise BadInput(f"{path}: not valid YAML: with its aliases (*name) it has more than {NODES:,} values")
        if node.tag == f"{PLAIN}merge":
            raise BadInput(
                f"{where}: '<<' would merge another mapping into this one, which settings cannot do; write its lines"
                " here, or lay one file over another: --config a.yaml b.yaml"
            )
        if node.tag != _told_by_its_look(loader, node):
            tag = node.tag.replace(PLAIN, "!!")
            raise BadInput(f"{where}: not valid YAML: settings have no tags, and this is {tag!r:.60}; leave it out")
        if node.tag == f"{PLAIN}int" and len(node.value) > DIGITS:
            raise BadInput(f"{where}: a number of {len(node.value)} digits; no setting is as large")
        if isinstance(node, yaml.MappingNode):
            left += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value


def _told_by_its_look(loader: Loader, node: yaml.Node) -> str:
    """The tag of what has been given none."""
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return loader.resolve(type(node), node.value if plain else None, (plain, not plain))


def _walk(loader: Loader, node: yaml.MappingNode, above: list[str]) -> Iterator[tuple[list[str], Any, int]]:
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or len(key_node.value) > LONGEST:
            raise yaml.MarkedYAMLError(problem="a key is one short word", problem_mark=key_node.start_mark)
        keys, line = [*above, key_node.value], key_node.start_mark.line + 1
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            yield from _walk(loader, value_node, keys)
        else:
            yield keys, loader.construct_object(value_node, deep=True), line
