"""Where things run: platform settings of the command line, the mesh of devices, and what lies where on it.

On a CPU one device is in effect one core for a convolution, so a batch is spread over as many CPU devices as there
are cores; on GPU and TPU over all local accelerators. Nothing else in the project knows how many devices there are.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bal.types import Array


def set_up_platform(cache: Path | None = None) -> None:
    """Settings for a command-line run: one CPU device a core, and compiled programs kept between runs.

    Must run before the first device is touched; a library import never calls it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", cores)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_compilation_cache_dir", str(cache or home / "bal" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@functools.cache
def mesh() -> Mesh:
    """All local devices on one axis, `data`."""
    return Mesh(np.array(jax.local_devices()), ("data",))


def places(count: int) -> list[Mesh]:
    """Where `count` computations that know nothing of each other run best.

    One device each, in turn, where that keeps every device busy; else each on all devices, its batch split. Two small
    training steps side by side on two CPU devices take little more than half the time of the same two split in halves.
    """
    local = jax.local_devices()
    if count < len(local):
        return [mesh()] * count
    return [Mesh(np.array([local[i % len(local)]]), ("data",)) for i in range(count)]


def spread(tree, place: Mesh | None = None):
    """Puts a pytree of arrays [B, …] on the devices of a mesh, the batch split over them; all devices unless given."""
    return jax.device_put(tree, NamedSharding(place or mesh(), PartitionSpec("data")))


def replicate(tree, place: Mesh | None = None):
    """Puts a pytree of arrays on every device of a mesh; all devices unless given."""
    return jax.device_put(tree, NamedSharding(place or mesh(), PartitionSpec()))


def round_up(batch: int, place: Mesh | None = None) -> int:
    """The smallest batch that is at least this large and splits evenly over the devices of a mesh."""
    devices = (place or mesh()).size
    return -(-batch // devices) * devices


def pad_rows(x: np.ndarray, rows: int) -> np.ndarray:
    """[b, …] → [rows, …] with rows of zeros at the end."""
    return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)]) if len(x) < rows else x


def fetch(x: Array) -> np.ndarray:
    """An array of the device, on the host."""
    return np.asarray(jax.device_get(x))
