"""What a network learned from the pool before anybody labelled anything, computed once a pool and kept."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from bal.experiment.checkpoint import flat, unflat
from bal.experiment.setup import Setup
from bal.posterior.descent import Progress
from bal.posterior.pretraining import pretrain
from bal.sources.base import pixels
from bal.system.files import write_whole
from bal.types import Params


def cache() -> Path:
    """Where pre-trained weights are kept, for all runs of a user."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "bal" / "pretrained"


def pretrained(setup: Setup, watch: Callable[[Progress], None] | None = None) -> Params:
    """Parameters of the head, of which a cold start takes encoders and decoders.

    They follow from the images, the head, the network and the settings of pre-training; not from the run's seed, so
    that all runs on a pool share them. A file that is damaged or gone is made again, to the same bytes.

    Args:
        setup: of an experiment that is to be pre-trained.
        watch: called every few dozen steps, unless they were kept.
    """
    source, config, train = setup.source, setup.config, setup.config.train
    told = repr((config.head, config.net, train.pretraining(), setup.scale, setup.digest))
    mark = hashlib.sha256(told.encode()).hexdigest()
    net, path = setup.bind(source.channels), cache() / f"{mark[:32]}.npz"
    like = jax.eval_shape(functools.partial(config.head.init, net), jax.random.key(0))
    found = _read(path, like)
    if found is None:
        mean, std = (np.array(v, np.float32) for v in setup.scale)
        images = [(pixels(source, id) - mean) / std for id in setup.some]
        found = pretrain(config.head, net, train, images, jax.random.key(int(mark[:8], 16)), watch)
        _keep(path, found)
    return found


def _read(path: Path, like: Params) -> Params | None:
    """What is kept; None where there is nothing that could be read."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = unflat(dict(file), like)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, found, like)
    return found if all(jax.tree.leaves(fits)) else None


def _keep(path: Path, params: Params) -> None:
    """Keeps it, if there is room; a run does without."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **flat(params))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, buffer.getvalue())
    except OSError:
        return
