"""What tyro refuses on a command line, as the one line that our programs say; every program of ours reads here."""

from __future__ import annotations

import io
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar
from warnings import catch_warnings

import tyro

from bal.types import BadInput

T = TypeVar("T")
_CHOICE = re.compile(r"invalid choice '(?P<got>.*)' for argument '(?P<name>[^']*)'\. Expected one of \((?P<known>.*)\)")
_INT = re.compile(r"--(?P<name>[\w.-]+): invalid literal for int\(\) .*?: (?P<got>'.*')")
_VALUE = re.compile(r"Missing value for argument '(?P<name>[^']*)'\..*")


def read(settings: type[T], argv: Sequence[str] | None, program: str) -> T:
    """The settings of a small program from its command line.

    Args:
        settings: a dataclass, whose fields are the options.
        argv: the words; those of this process if None.
        program: what is typed to start it, as help says it.

    Raises:
        BadInput: a word is unknown, a value is missing or does not fit; the message is one line.
        SystemExit: after `--help`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    known = [f"--{field.name.replace('_', '-')}" for field in fields(settings)]  # pyright: ignore[reportArgumentType]
    for name in (word.partition("=")[0] for word in words if word.startswith("--") and word != "--"):
        if name.replace("_", "-") not in (*known, "--help") and not name.startswith("--tyro-"):
            near = get_close_matches(name, known, 1)
            advice = f"did you mean '{near[0]}'?" if near else f"see {program} --help"
            raise BadInput(f"unknown option {name}; {advice}")
    try:
        found, rest = ask(settings, program, args=words, return_unknown_args=True)
    except BadInput as error:
        if whole := _INT.match(str(error)):
            raise BadInput(f"--{whole['name']}: expected a whole number, got {whole['got']}") from error
        raise
    if rest:
        raise BadInput(f"unexpected '{rest[0]}'; {program} --help says what goes where")
    return found


def option(metavar: str | None = None, text: str | None = None) -> Any:
    """How help shows an option that may be left out: what stands for its value, and perhaps another text than its own.

    What it is when it is left out is told in words, for the value itself says nothing: None, or an empty list.
    """
    return tyro.conf.arg(metavar=metavar, help=text, help_behavior_hint="")


class _Help(io.StringIO):
    """What tyro prints as help, which it paints as it would on our stdout."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sys.__stdout__.encoding if sys.__stdout__ is not None else "utf-8"


def ask(form: type, program: str, **how: Any) -> Any:
    """What `tyro.cli` returns; what it prints in a box is raised as one line.

    Raises:
        BadInput: what the box says.
        SystemExit: after `--help`.
    """
    told, errors = _Help(), io.StringIO()
    try:
        # The warnings are about the types of somebody's extension.
        with redirect_stdout(told), redirect_stderr(errors), catch_warnings(action="ignore"):
            return tyro.cli(form, prog=program, **how)
    except SystemExit as stop:
        if stop.code == 2:
            raise BadInput(_plainly(one_line(errors.getvalue(), program))) from stop
        print(folded(told.getvalue(), shutil.get_terminal_size().columns), end="")
        raise


def folded(text: str, width: int) -> str:
    """Help whose usage and first sentences, which tyro leaves as long as they are, are no wider than the terminal."""
    lines = []
    for line in text.splitlines():
        plain = re.sub(r"\x1b\[[\d;]*m", "", line)
        indent = " " * len("usage: ") if plain.startswith("usage: ") else ""
        fits = len(plain) <= width or plain.startswith((" ", "│", "╭", "╰"))
        lines += (
            [line.rstrip()] if fits else textwrap.wrap(plain, width, subsequent_indent=indent, break_on_hyphens=False)
        )
    return "\n".join([*lines, ""])


def one_line(box: str, program: str) -> str:
    """What tyro says in a box, without the box, its title, its colours and the help it repeats."""
    text = re.sub(r"\x1b\[[\d;]*m|\[/?bold\]", "", box)
    message = " ".join(line.strip(" │") for line in text.splitlines() if re.match(r"(│|  ).*\w", line))
    message = re.split(" Argument helptext:| For full helptext,| Got errors:", message)[0]
    message = re.sub(r" {2,}", " ", message.removeprefix("Error parsing "))
    if message.startswith(missing := f"Missing from {program}:"):
        return f"missing: {message.removeprefix(missing).split()[0]}; see {program} --help"
    return message


def _plainly(message: str) -> str:
    """The commonest refusals in the words that are said of a setting in a file."""
    if found := _CHOICE.match(message):
        known = re.findall(r"'[^']*'", found["known"])
        if "'None'" in known:  # then tyro's order is not always the same
            known = sorted({*known} - {"'None'"})
        return f"{found['name']}: expected one of {', '.join(known)}, got '{found['got']}'"
    if found := _VALUE.match(message):
        name = found["name"]
        return f"{name if name.startswith('-') else name.upper()}: a value is missing"
    return message
