"""From defaults, then files, then flags to one checked Config."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bal.config import extensions, files, flags, form
from bal.config.files import Setting, Settings
from bal.config.schema import Config
from bal.types import BadInput

MORE = ("rounds", "budget", "stop")  # what may be changed when a run is resumed


class Command(NamedTuple):
    """What a command line asked for."""

    config: Config
    out: Path
    resume: bool
    overwrite: bool
    close: bool
    quiet: bool
    log: tuple[str, ...] = ()
    accept_changes: bool = False


def parse(argv: Sequence[str] | None = None, default: Config | None = None) -> Command:
    """Reads a command line and the files it names: flags over later files over earlier files over `default`.

    With `--resume`, the configuration of the run in `--out` lies above `default` and below everything else.

    Raises:
        BadInput: anything in it cannot be used.
        SystemExit: after `--help`.
    """
    words = flags.words(sys.argv[1:] if argv is None else argv)
    options, names = flags.glance(words)
    if options.resume and options.overwrite:
        raise BadInput("--resume goes on with a run and --overwrite deletes it: give one of the two")
    if options.close and not options.resume:
        raise BadInput("--close lets open questions of a run go: give --resume with it")
    if options.accept_changes and not options.resume:
        raise BadInput("--accept-changes goes on with data that have changed: give --resume with it")
    default = Config() if default is None else default
    out = options.out
    stored = []
    if options.resume:
        out = out or default_out(_resolve(default, options.files, names, words))
        stored = [path for path in (out / "config.yaml",) if path.exists()]
        if (options.close or options.accept_changes) and not stored:
            raise BadInput(f"{out} holds no run that could go on; name it with --out")
        if not stored and (out / "checkpoints").exists():
            raise BadInput(
                f"{out} has lost its config.yaml, and a run cannot go on without: put it back, or begin anew with "
                "another --out and take along what people have said: python -m bal.answer OUT RUN"
            )
    config = _resolve(default, [*stored, *options.files], names, words)
    if options.resume and not stored and not (options.files or names) and _but_for_more(config, default) == default:
        raise BadInput(f"{out} holds no run that could go on: name it with --out, or give the settings of a new one")
    return Command(
        config,
        out or default_out(config),
        options.resume,
        options.overwrite,
        options.close,
        options.quiet,
        options.log,
        options.accept_changes,
    )


def load(*paths: str | Path, default: Config | None = None) -> Config:
    """The Config of YAML files, later over earlier over `default`.

    Raises:
        BadInput: a file or anything in it cannot be used.
    """
    return _resolve(Config() if default is None else default, paths, {}, [])


def default_out(config: Config) -> Path:
    """Where a run leaves its results unless it is told: `runs/bald-well_log-0`."""
    acq, source = (extensions.name_of(slot, getattr(config, slot)).rpartition(":")[2] for slot in ("acq", "source"))
    return Path("runs") / f"{acq}-{source}-{config.seed}"


def _but_for_more(config: Config, default: Config) -> Config:
    """The same without what a run may be given more of: what is left are the settings of a new one."""
    return dataclasses.replace(config, **{name: getattr(default, name) for name in MORE})


def _resolve(default: Config, paths: Sequence[str | Path], names: Settings, words: Sequence[str]) -> Config:
    settings = files.merge([*(files.read(Path(path)) for path in paths), names], default)
    blank = form.form(default, settings, files.choose(settings, default))
    filled = flags.fill(blank, words, settings) if words else blank
    before = dict(form.leaves(blank))
    given = {key: Setting(value, None) for key, value in form.leaves(filled) if value is not before[key]}
    return form.build(filled, {**settings, **given})
