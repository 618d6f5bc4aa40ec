"""A posterior that can be asked, as one value that travels through `jax.jit`."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

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

    def is_raw(self) -> bool:
        """Whether the state of its calibrator is the one that changes nothing."""
        own, plain = (jax.tree.leaves(model.state) for model in (self, self.uncalibrated()))
        return all(np.array_equal(a, b) for a, b in zip(own, plain, strict=True))
