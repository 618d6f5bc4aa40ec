"""What a program holds at its worst, from its trace: which arrays are alive after each operation.

That is seven to nine tenths of what XLA plans for, which also pads and packs. Nothing is compiled and no array is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

NOTHING = (  # operations that XLA never writes down
    *("broadcast_in_dim", "iota", "reshape", "squeeze", "expand_dims", "convert_element_type", "stop_gradient", "copy"),
)


def peak(program: Any) -> int:
    """Bytes of the results of a traced program's operations that are alive at once, at most; its arguments excluded."""
    last: dict[Any, int] = {}
    for i, operation in enumerate(program.eqns):
        last.update(dict.fromkeys(_variables(operation.invars), i))
    last.update(dict.fromkeys(_variables(program.outvars), len(program.eqns)))
    alive: dict[Any, int] = {}
    now = most = 0
    for i, operation in enumerate(program.eqns):
        written = operation.primitive.name not in NOTHING
        made = {variable: bytes_of(variable.aval) * written for variable in _variables(operation.outvars)}
        inside = max(map(peak, _programs(operation)), default=0)
        most = max(most, now + max(sum(made.values()), inside))
        alive |= made
        now += sum(made.values())
        for variable in {*_variables(operation.invars), *made}:
            if last.get(variable, i) <= i:
                now -= alive.pop(variable, 0)
    return most


def _variables(some: Sequence[Any]) -> Iterator[Any]:
    return (variable for variable in some if not isinstance(variable, Literal))


def _programs(operation: Any) -> Iterator[Any]:
    """The programs within an operation: of a loop, a branch, a function."""
    for value in operation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item


def bytes_of(array: Any) -> int:
    """Of an array, or of what stands for one; 0 of what is none, such as the token of an effect."""
    if not isinstance(array, ShapedArray | jax.ShapeDtypeStruct | jax.Array | np.ndarray):
        return 0
    return math.prod(array.shape) * array.dtype.itemsize
