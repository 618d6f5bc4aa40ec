"""What every test runs under, and what is made once for all of them."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# Tests compile far longer than they compute. The emitters of fused loops take three times as long as those before them,
# and cutting a small program into parts takes an eighth longer than leaving it whole. Two workers on two cores leave
# none for the threads of BLAS, which would wait for each other. Every process that a test starts inherits all this.
# From jaxlib 0.11 on there may be no other emitters: 0.12 ends a process that asks for them.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false" * (version("jaxlib").startswith("0.10."))
)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="bal-tests-")  # nothing of a person's is read or written

import jax
import pytest
from hypothesis import settings

atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)

settings.register_profile("local", deadline=None, database=None)
settings.register_profile("ci", deadline=None, database=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

from forks import Forks  # noqa: E402
from helpers import CLASSES, HEADS_SMALL, Pictures, ask  # noqa: E402  (after the settings above)
from runs import drawn, quick_publish, run, tiny  # noqa: E402

from bal import loop  # noqa: E402
from bal.experiment import checkpoint  # noqa: E402
from bal.posterior.nets import UNet  # noqa: E402
from bal.sources import WellLog  # noqa: E402

SLOW = Path(__file__).with_name("slow.txt")  # tests, and files of them, that take half a second or more
RUNS = {"usual", "asked"}  # fixtures that are whole runs
MAPS = 40_000  # of the 65,530 memory maps that Linux gives a process; a compiled program takes several, and none left
# means a segmentation fault in the compiler


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(items):
    """Marks as slow what takes half a second or more, or needs a run, besides what says so itself."""
    slow = set(SLOW.read_text().split())
    for item in items:
        names = {item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]}
        if slow & names or RUNS & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def room_for_programs():
    """Forgets what has been compiled, once there is much of it."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def nobody_hears_a_closed_loop():
    """TensorStore may tell orbax's loop of a failure after it has been closed: the next test would be blamed for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", checkpoint.Unheard(sys.unraisablehook))
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_reports():
    """The report of a run is a line: it takes longer than all the rest of a tiny run. `drawn` has it drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "publish", quick_publish)
        yield


@pytest.fixture(scope="session")
def logs():
    """A small source of rendered well logs."""
    return WellLog(pool=6, test=2, height=64, width=64).open()


@pytest.fixture(scope="session")
def net():
    """A small network for one channel."""
    return UNet(width=8, depth=1).bind(1, CLASSES)


@pytest.fixture(scope="session")
def params(net):
    """Its initial parameters."""
    return jax.jit(net.init)(jax.random.key(0))


@pytest.fixture(scope="session")
def pictures():
    """Seven noise images of four sizes, multiples of nothing."""
    return Pictures([(20, 30), (33, 17), (20, 30), (16, 16), (5, 41), (33, 17), (20, 30)])


@pytest.fixture(scope="session")
def model(net):
    """A model of one head, with its initial parameters."""
    return ask(HEADS_SMALL["mc_dropout"], net)


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """A process that has imported everything, and whose forks run things; for tests that kill them."""
    with Forks(tmp_path_factory.mktemp("forks")) as found:
        yield found


@pytest.fixture(scope="session")
def usual(tmp_path_factory):
    """The tiny run, complete and undisturbed: its records and its folder, with a report."""
    out = tmp_path_factory.mktemp("usual") / "run"
    with drawn():
        return run(tiny(), out), out


@pytest.fixture(scope="session")
def whole(usual):
    """The folder of the tiny run, not to be changed."""
    return usual[1]


@pytest.fixture(autouse=True)
def wide():
    """Lines are printed whole: a test of how they are broken says a width of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        yield
