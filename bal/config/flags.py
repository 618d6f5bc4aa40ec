"""The command line: tyro reads it, prints `--help` and refuses what it cannot read.

It reads it twice, because which options exist depends on which extensions are chosen: `glance` finds the files and the
names of extensions, and then `fill` knows every option.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, OmitArgPrefixes, UseAppendAction, arg

from bal.config import extensions
from bal.config.convert import describe
from bal.config.extensions import SLOTS
from bal.config.files import Setting, Settings
from bal.config.form import docs_of, hints_of, leaves, meant, shown, unknown
from bal.config.usage import ask
from bal.types import BadInput

_PROGRAM = "python -m bal.run"
_ABOUT = "Bayesian active learning for image segmentation: which regions should a person label next?"
_RUN = "What is said about this run alone, and is no part of its configuration."
_NAMES = """\
--head NAME and head:NAME are the same; NAME may be a package.module:Class of your own. The options of what is \
chosen, such as --head.rate, have a box of their own."""
_FILES = "YAML files with any of the values here; later files override earlier ones, options override files."
_OUT = "Where the results go; unless given, runs/ACQ-SOURCE-SEED."
_RESUME = "Go on with the run in --out where it stopped, with the configuration it has."
_OVERWRITE = "Delete the run in --out and start afresh."
_CLOSE = "With --resume: wait no longer for the questions that are open now; they go back to the pool, unpaid."
_LOG = "Log the rows and pictures there too: tensorboard, mlflow, or a package.module:Class of your own."
_ACCEPT = "With --resume: go on although files of images or masks have changed; data.jsonl keeps a record of it."
_QUIET = "Print nothing but warnings and errors."


UNFIT = re.compile(
    r"--(?P<key>[\w.-]+): (?:no type matching .* instantiated from \[(?P<some>.*)\]"
    r"|invalid literal for int\(\) .*?: (?P<whole>'.*')"
    r"|could not convert string to float: (?P<number>'.*')"
    r"|Exceeds the limit .*)"
)  # what tyro says of a value


@dataclass(frozen=True)
class Options:
    """What a command line says about its run alone."""

    config: Annotated[UseAppendAction[tuple[tuple[Path, ...], ...]], arg(metavar="FILE ...", help=_FILES)] = ()
    out: Annotated[Path | None, arg(metavar="DIR", help=_OUT, help_behavior_hint="")] = None
    resume: Annotated[FlagCreatePairsOff[bool], arg(help=_RESUME, help_behavior_hint="")] = False
    overwrite: Annotated[FlagCreatePairsOff[bool], arg(help=_OVERWRITE, help_behavior_hint="")] = False
    close: Annotated[FlagCreatePairsOff[bool], arg(help=_CLOSE, help_behavior_hint="")] = False
    accept_changes: Annotated[FlagCreatePairsOff[bool], arg(help=_ACCEPT, help_behavior_hint="")] = False
    log: Annotated[tuple[str, ...], arg(metavar="NAME ...", help=_LOG, help_behavior_hint="")] = ()
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help=_QUIET, help_behavior_hint="")] = False

    @property
    def files(self) -> list[Path]:
        """What `--config` named, in order."""
        return [path for group in self.config for path in group]


def words(argv: Sequence[str]) -> list[str]:
    """The command line in one spelling: `head:NAME` → `--head=NAME`."""
    return [re.sub(rf"^({'|'.join(SLOTS)}):(?=.)", r"--\1=", word) for word in argv]


def glance(words: Sequence[str]) -> tuple[Options, dict[str, Setting]]:
    """The options of the run and the names of extensions, on a command line of which nothing else is known yet.

    Raises:
        BadInput: an option lacks its value.
    """
    line, _ = _read([word for word in words if not word.startswith("--tyro-")], {}, add_help=False)
    if () in line.run.config:
        raise BadInput("--config: a file is missing")
    return line.run, {slot: Setting(name, None) for slot, name in vars(line.extension).items() if name is not None}


def fill(form: Any, words: Sequence[str], settings: Settings) -> Any:
    """The form with what the command line says; `settings`, which are in it already, tell `--help` their place.

    Raises:
        BadInput: a word on the command line is unknown, or a value is missing or has the wrong type.
        SystemExit: after `--help`.
    """
    texts = {}
    for slot, about in ((slot, docs_of(type(form).__of__)[slot]) for slot in SLOTS):
        now = shown(settings.get(slot))(extensions.name_of(slot, type(getattr(form, slot)).__of__))
        choices = [f"- {name}: {extensions.summary(slot, name)}" for name in extensions.names(slot)]
        texts[slot] = "\n".join([f"{about} {now}", *choices])
    line, rest = _read(words, texts, form, description=_ABOUT)
    if rest and rest[0].startswith("-"):
        known = [*dict(leaves(form)), *SLOTS, *(field.name for field in fields(Options))]
        raise BadInput(unknown(rest[0].lstrip("-").partition("=")[0].replace("-", "_"), None, known))
    if rest:
        raise BadInput(f"unexpected '{rest[0]}': a value goes after the name of its option, as in --seed 1")
    return line.form


def _read(words: Sequence[str], texts: dict[str, str], form: Any = None, **how: Any) -> tuple[Any, list[str]]:
    """What tyro makes of a command line, and the words that it does not know."""
    named = [
        (slot, Annotated[str | None, arg(metavar="NAME", help=texts.get(slot, ""), help_behavior_hint="")])
        for slot in SLOTS
    ]
    names = make_dataclass("Names", named)(*[None] * len(SLOTS))
    rows = [
        ("run", Annotated[OmitArgPrefixes[Options], arg(help=_RUN)]),
        ("extension", Annotated[OmitArgPrefixes[type(names)], arg(help=_NAMES)]),
    ]
    values = [Options(), names]
    if form is not None:
        rows.append(("form", Annotated[type(form), arg(name="", help="")]))
        values.append(form)
    default = make_dataclass("Line", rows)(*values)
    try:
        return ask(
            type(default),
            _PROGRAM,
            default=default,
            args=words,
            config=(AvoidSubcommands,),
            return_unknown_args=True,
            **how,
        )
    except BadInput as error:
        raise BadInput(_reworded(str(error), form)) from error.__cause__


def _reworded(message: str, form: Any) -> str:
    """What tyro says of a value that does not fit, in the words that are said of one in a file."""
    found = UNFIT.match(message)
    if not found or form is None:
        return message
    *path, name = found["key"].replace("-", "_").split(".")
    for part in path:
        form = vars(form).get(part) if is_dataclass(form) else None
    if form is None or name not in (hints := hints_of(type(form).__of__)):
        return message
    got = (found["some"] or found["whole"] or found["number"] or "a number of thousands of digits").rstrip(".")
    return f"--{found['key']}: expected {describe(hints[name])}, got {got:.100}{meant(got.strip(chr(39)), hints[name])}"
