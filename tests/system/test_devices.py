"""What lies where, and that nothing is touched before it is needed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from helpers import in_subprocess

from bal.system import devices


def test_the_mesh_holds_all_devices():
    assert devices.mesh().size == len(jax.local_devices()) == 2
    assert dict(devices.mesh().shape) == {"data": 2, "members": 1}
    assert dict(devices.mesh(2).shape) == {"data": 1, "members": 2}


def test_a_batch_is_spread_and_parameters_are_replicated():
    tree = {"a": np.arange(8.0).reshape(4, 2), "b": np.arange(4), "none": None}
    spread = devices.spread(tree)
    assert spread["none"] is None
    assert [s.data.shape for s in spread["a"].addressable_shards] == [(2, 2), (2, 2)]
    assert [s.data.tolist() for s in spread["b"].addressable_shards] == [[0, 1], [2, 3]]
    everywhere = devices.replicate({"a": jnp.arange(3)})
    assert [s.data.tolist() for s in everywhere["a"].addressable_shards] == [[0, 1, 2]] * 2
    np.testing.assert_array_equal(devices.fetch(spread["a"]), tree["a"])
    assert isinstance(devices.fetch(spread["a"]), np.ndarray)


def test_batches_are_rounded_up_to_the_devices():
    assert [devices.round_up(n) for n in (1, 2, 3, 16)] == [2, 2, 4, 16]


def test_rows_are_padded_with_zeros():
    x = np.arange(6, dtype=np.int16).reshape(3, 2)
    padded = devices.pad_rows(x, 5)
    assert padded.shape == (5, 2)
    assert padded.dtype == np.int16
    np.testing.assert_array_equal(padded[:3], x)
    assert not padded[3:].any()
    assert devices.pad_rows(x, 3) is x
    assert devices.pad_rows(x, 2) is x


def test_no_device_is_touched_until_the_command_line_takes_one_for_every_core(tmp_path):
    """In one process: importing and reading a command line change no setting; then the platform is set up."""
    told = in_subprocess(
        f"""
        import os, pathlib
        before = dict(jax.config.values)
        import bal, bal.config.resolve, bal.run, bal.report.terminal
        bal.config.resolve.parse(["--seed", "1"])
        from jax._src import xla_bridge
        print(xla_bridge.backends_are_initialized(), before == dict(jax.config.values))
        from bal.system import devices
        devices.set_up_platform(pathlib.Path({str(tmp_path)!r}))
        print(devices.mesh().size, len(os.sched_getaffinity(0)), jax.config.jax_compilation_cache_dir)
        """
    )
    touched, unchanged, size, cores, cache = told.split()
    assert (touched, unchanged) == ("False", "True")
    assert size == cores
    assert cache == str(tmp_path)


def test_programs_are_not_kept_where_nothing_can_be():
    """A cache that cannot be written costs seconds, and no warnings."""
    told = in_subprocess(
        """
        import os, sys
        os.environ.update(XDG_CACHE_HOME="/proc/none", MPLCONFIGDIR="")
        sys.stderr = sys.stdout
        from bal.system.exit_status import exit_status
        def program():
            import jax, matplotlib
            from bal.system import devices
            devices.set_up_platform()
            matplotlib.get_configdir()
            print(jax.jit(lambda x: x + 1)(1), jax.config.jax_compilation_cache_dir)
        exit_status(program)
        """
    )
    assert told.split() == ["2", "None"]
