"""A posterior that can be asked, as one value that travels through `jax.jit`."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax

from bal.posterior.calibrators.base import Calibrator
from bal.posterior.heads.base import Head
from bal.posterior.nets.base import Net
from bal.system.devices import AUTO, Execution
from bal.types import Params


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "state"],
    meta_fields=["head", "net", "calibrator", "execution"],
)
@dataclass(frozen=True)
class Model:
    """A posterior that can be asked: a head over a network with its parameters, and a calibrator with its state."""

    head: Head
    net: Net
    params: Params
    calibrator: Calibrator
    state: Any
    execution: Execution = AUTO

    def uncalibrated(self) -> Model:
        """The same posterior with the state of its calibrator that changes nothing."""
        return dataclasses.replace(self, state=self.calibrator.init(self.net.classes))
