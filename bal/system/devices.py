"""Where things run: platform settings of the command line, the mesh of devices, and what lies where on it.

On a CPU one device is in effect one core for a convolution, so a batch is spread over as many CPU devices as there
are cores; on GPU and TPU over all local accelerators. Nothing else in the project knows how many devices there are.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bal.types import BadInput

Array = jax.Array

DATA, MEMBERS = "data", "members"  # the axes of the mesh
LARGE = 2**16  # pixels of a training step from which splitting it over devices pays
AT_ONCE = 8  # samples computed together by `vmap`, at most: a guess, not measured on a GPU or TPU


def set_up_platform(cache: Path | None = None) -> None:
    """Settings for a command-line run: one CPU device a core, float32, and compiled programs kept between runs.

    Must run before the first device is touched; a library import never calls it.

    Raises:
        BadInput: there is no device of the platform that was asked for.
    """
    jax.config.update("jax_num_cpu_devices", len(cores()))
    jax.config.update("jax_enable_x64", False)  # whatever JAX_ENABLE_X64 says
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if cache or not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = cache or home / "bal" / "xla"
        with suppress(OSError):  # without a place for them, programs are compiled in every run
            folder.mkdir(parents=True, exist_ok=True)
        usable = folder.is_dir() and os.access(folder, os.W_OK)
        jax.config.update("jax_compilation_cache_dir", str(folder) if usable else None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # the latter of a platform that has no device
        why = str(error).partition("\n")[0] or "no device of the platform that was asked for"
        raise BadInput(f"JAX cannot begin: {why}; look at JAX_PLATFORMS, and at what is installed") from error


def cores() -> list[int]:
    """The numbers of the cores that this process may use, as far as the operating system can say."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))


class Plan(NamedTuple):
    """How the samples of one head are executed: an `Execution` with every choice made."""

    loop: Callable[..., Any]  # (logits(i), add(i, running, sample), running) → running
    shards: int  # devices that share the samples; 1 when every device computes all of them, for its own images


@dataclass(frozen=True)
class Execution:
    """How posterior samples are executed. No choice changes a score by more than rounding."""

    samples: Literal["auto", "map", "unroll", "vmap", "shard"] = "auto"
    """map: one after the other in a compiled loop; unroll: the same written out, slow to compile; vmap: up to eight at
    once; shard: every device a share of them, for all images; auto: map on a CPU, vmap elsewhere."""
    compute: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network. The moments are folded in float32 always."""

    def of(self, samples: int) -> Plan:
        """The plan for so many samples on the devices there are."""
        auto = "map" if jax.default_backend() == "cpu" else "vmap"
        how = auto if self.samples == "auto" else self.samples
        shards = math.gcd(samples, len(jax.local_devices())) if how == "shard" else 1
        loop = {"unroll": _unrolled, "vmap": _at_once}.get(how, _one_by_one)
        return Plan(functools.partial(loop, samples // shards), shards)

    def cast(self, tree: Any) -> Any:
        """Floating arrays in the precision of the network."""
        kind = jnp.dtype(self.compute)
        return jax.tree.map(lambda x: x.astype(kind) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


AUTO = Execution()


def _one_by_one(count: int, sample: Callable, add: Callable, running: Any) -> Any:
    return jax.lax.fori_loop(0, count, lambda i, running: add(i, running, sample(i)), running)


def _unrolled(count: int, sample: Callable, add: Callable, running: Any) -> Any:
    for i in range(count):
        running = add(i, running, sample(i))
    return running


def _at_once(count: int, sample: Callable, add: Callable, running: Any) -> Any:
    group = max(n for n in range(1, AT_ONCE + 1) if count % n == 0)

    def several(g: Array, running: Any) -> Any:
        together = jax.vmap(sample)(g * group + jnp.arange(group))
        return jax.lax.fori_loop(0, group, lambda i, running: add(g * group + i, running, together[i]), running)

    return jax.lax.fori_loop(0, count // group, several, running)


@functools.cache
def mesh(members: int = 1) -> Mesh:
    """All local devices: images are split over the axis `data`, the samples of a posterior over `members`."""
    return Mesh(np.array(jax.local_devices()).reshape(-1, members), (DATA, MEMBERS))


def places(count: int, pixels: int) -> list[Mesh]:
    """Where `count` trainings that know nothing of each other run best, their steps of so many pixels each.

    One device each, in turn, where that keeps every device busy or where a step is small: split over two CPU devices, a
    step of 8 patches of 32 × 32 takes longer than on one, and one of 16 patches of 64 × 64 a little less. Else each on
    all devices, its batch split.
    """
    local = jax.local_devices()
    if count < len(local) and pixels >= LARGE:
        return [mesh()] * count
    return [Mesh(np.array([[local[i % len(local)]]]), (DATA, MEMBERS)) for i in range(count)]


def spread(tree, place: Mesh | None = None):
    """Puts a pytree of arrays [B, …] on the devices of a mesh, the batch split over them; all devices unless given."""
    return jax.device_put(tree, NamedSharding(place or mesh(), PartitionSpec(DATA)))


def replicate(tree, place: Mesh | None = None):
    """Puts a pytree of arrays on every device of a mesh; all devices unless given."""
    return jax.device_put(tree, NamedSharding(place or mesh(), PartitionSpec()))


def round_up(batch: int, place: Mesh | None = None) -> int:
    """The smallest batch that is at least this large and splits evenly over the devices of a mesh."""
    devices = (place or mesh()).size
    return -(-batch // devices) * devices


def rowwise(f: Callable[..., Any], shared: Any, *rows: Any, members: int = 1) -> Any:
    """`f(shared, *rows)` of a function that treats every row of its batch [B, …] alike, each device on its own rows.

    For use inside `jax.jit`. A batch that does not split evenly is computed whole by every device.

    Args:
        f: `(shared, *rows) → pytree of [B, …]`.
        shared: what every device has.
        rows: pytrees of [B, …]; None is an empty one.
        members: how many devices see the same rows, and share what `f` does to them along the axis `members`.
    """
    where = mesh(members)
    if where.size == 1:
        return f(shared, *rows)
    even = jax.tree.leaves(rows)[0].shape[0] % where.shape[DATA] == 0
    spec = PartitionSpec(DATA) if even else PartitionSpec()
    split = jax.shard_map(
        f, mesh=where, in_specs=(PartitionSpec(), *[spec] * len(rows)), out_specs=spec, check_vma=False
    )
    return split(shared, *rows)


def pad_rows(x: np.ndarray, rows: int) -> np.ndarray:
    """[b, …] → [rows, …] with rows of zeros at the end."""
    return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)]) if len(x) < rows else x


def fetch(x: Array) -> np.ndarray:
    """An array of the device, on the host."""
    return np.asarray(jax.device_get(x))


@functools.cache
def memory() -> int:
    """Bytes that this process can hold at most: the machine's memory, or less where a limit of its own is lower."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with suppress(ImportError, OSError, ValueError):
        import resource

        limits += [n for n in resource.getrlimit(resource.RLIMIT_AS)[:1] if n != resource.RLIM_INFINITY]
    for path in _control_groups():
        with suppress(OSError, ValueError):  # "max" where there is no limit
            limits.append(int(path.read_text()))
    return min(limit for limit in limits if limit > 0)


def _control_groups() -> list[Path]:
    """Files that may hold the memory limit of a control group that this process is in, of either version."""
    root, found = Path("/sys/fs/cgroup"), []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, place = line.split(":", 2)
            top, name = (root, "memory.max") if not kinds else (root / "memory", "memory.limit_in_bytes")
            if not kinds or "memory" in kinds.split(","):
                group = top / place.lstrip("/")
                found += [folder / name for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return found
