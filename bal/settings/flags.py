"""The command line as one more layer of settings, and `--help`.

argparse only splits the words and lays out the help: a value given by a flag is checked where a value given by a file
is checked. It runs twice, because which flags exist depends on which extensions are chosen: `glance` finds the files
and the names of extensions, and then `parse` knows every flag.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bal import extensions
from bal.extensions import SLOTS
from bal.settings.convert import metavar, several
from bal.settings.layers import Setting, Settings
from bal.settings.tree import Leaf, docs_of, leaves, unknown
from bal.types import BadInput

_COLUMN = 28  # where the help of an option begins
_USAGE = "python -m bal.run [--acq NAME] [--head NAME] [--head.FIELD VALUE] [--config FILE] ..."
_ABOUT = "Bayesian active learning for image segmentation: which regions should a person label next?"
_CHOICES = """\
--head NAME and head:NAME are the same; NAME may be a package.module:Class of your own. The fields of what is chosen
follow below. Square brackets show the value in force."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "config": {
        "nargs": "+",
        "action": "extend",
        "type": Path,
        "metavar": "FILE",
        "help": "YAML files with any of the fields below; later files override earlier ones, flags override files.",
    },
    "out": {"type": Path, "metavar": "DIR", "help": "Where the results go."},
    "resume": {"action": "store_true", "default": False, "help": "Go on with the run in --out where it stopped."},
    "overwrite": {"action": "store_true", "default": False, "help": "Delete the run in --out and start afresh."},
    "quiet": {"action": "store_true", "default": False, "help": "Print nothing but warnings and errors."},
}


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and raises BadInput where argparse would print and exit."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, add_help=False, **options)

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument (-\S+): ", r"\1: ", message)
        message = re.sub(r"expected (one|at least one) argument", "a value is missing", message)
        raise BadInput(message.replace("ignored explicit argument", "takes no value, got"))


def words(argv: Sequence[str]) -> list[str]:
    """The command line in one spelling: `head:NAME` → `--head=NAME`, `--head.keep-rate` → `--head.keep_rate`."""
    slots = "|".join(SLOTS)
    return [
        re.sub("^--[^=]+", lambda name: "--" + name[0][2:].replace("-", "_"), word)
        if word.startswith("--")
        else re.sub(rf"^({slots}):(?=.)", r"--\1=", word)
        for word in argv
    ]


def glance(argv: Sequence[str]) -> tuple[list[Path], dict[str, Setting]]:
    """The files and the names of extensions on a command line of which nothing else is known yet."""
    parser = _Parser()
    parser.add_argument("--config", **_OPTIONS["config"])
    for slot in SLOTS:
        parser.add_argument(f"--{slot}")
    found = vars(parser.parse_known_args(argv)[0])
    return found.pop("config", []), {slot: Setting(name, None) for slot, name in found.items()}


def parse(
    argv: Sequence[str], default: Any, chosen: Mapping[str, Any], settings: Settings
) -> tuple[dict[str, Setting], dict[str, Any]]:
    """All of a command line: the settings of the tree, and the options of this run alone.

    Args:
        argv: what `words` returned.
        default: the tree, an instance of a dataclass.
        chosen: from `layers.choose`.
        settings: what the files and the names said, for `--help`.

    Raises:
        BadInput: a word on the command line is unknown, or a flag lacks its value.
        SystemExit: after `--help`.
    """
    fields = list(leaves(default, chosen))
    parser = _parser(fields, type(default), chosen, settings)
    found, rest = parser.parse_known_args(argv)
    known = [*(leaf.key for leaf in fields), *SLOTS]
    for word in rest:
        if word.startswith("-"):
            raise BadInput(unknown(word.lstrip("-").partition("=")[0], None, [*known, *_OPTIONS]))
    if rest:
        raise BadInput(f"unexpected '{rest[0]}': a value goes after the name of its option, as in --seed 1")
    values = vars(found)
    return {key: Setting(values.pop(key), None) for key in known if key in values}, values


def _parser(fields: Sequence[Leaf], cls: type, chosen: Mapping[str, Any], settings: Settings) -> _Parser:
    width = max(60, min(shutil.get_terminal_size().columns, 110))

    def fill(text: str, column: int = _COLUMN, hang: int = 0) -> str:
        text = text.replace("%", "%%") if column else text  # argparse formats the help of options, and nothing else
        return textwrap.fill(text, width - column - 2, subsequent_indent=" " * hang, break_on_hyphens=False)

    parser = _Parser(
        usage=_USAGE,
        description=_ABOUT,
        formatter_class=lambda prog: argparse.RawTextHelpFormatter(prog, 2, _COLUMN, width),
    )
    run = parser.add_argument_group("this run")
    run.add_argument("-h", "--help", action="help", help="Show this text and stop.")
    for name, option in _OPTIONS.items():
        run.add_argument(f"--{name}", **{**option, "help": fill(option["help"])})
    groups = {"": parser.add_argument_group("active learning")}
    names = parser.add_argument_group("extensions", fill(_CHOICES, 0))
    for slot in SLOTS:
        entries = extensions.names(slot)
        longest = max(map(len, entries))
        now = settings[slot].value if slot in settings else extensions.name_of(slot, chosen[slot])
        lines = [fill(f"{docs_of(cls)[slot]} [{now}]")]
        lines += [fill(f"{name:{longest}}  {extensions.summary(slot, name)}", hang=longest + 2) for name in entries]
        names.add_argument(f"--{slot}", metavar="NAME", help="\n".join(lines))
    for leaf in fields:
        prefix, _, name = leaf.key.rpartition(".")
        if prefix not in groups:
            title = f"{prefix} {extensions.name_of(prefix, chosen[prefix])}" if prefix in chosen else prefix
            groups[prefix] = parser.add_argument_group(title, fill(extensions.first_line(leaf.owner), 0))
        nargs: dict[str, Any] = {"nargs": "*"} if several(leaf.hint) else {}
        if leaf.hint is bool:
            nargs = {"nargs": "?", "const": "true"}
        groups[prefix].add_argument(
            f"--{leaf.key}",
            metavar=metavar(leaf.hint),
            help=fill(f"{docs_of(leaf.owner).get(name, '')} [{_shown(leaf, settings)}]".lstrip()),
            **nargs,
        )
    return parser


def _shown(leaf: Leaf, settings: Settings) -> str:
    if leaf.key in settings:
        value, where = settings[leaf.key]
        return f"{_text(value)}, from {where}"
    return "must be given" if leaf.value is dataclasses.MISSING else _text(leaf.value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value)) or "empty"
    return {"None": "none", "True": "true", "False": "false"}.get(str(value), str(value).removesuffix(".0"))
