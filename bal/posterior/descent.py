"""Descent: one pure step of the optimiser, and the Python loop that drives it.

On a CPU a training step inside `lax.scan` is 25 times slower than the same step called from Python, so the loop is a
Python loop; steps are dispatched ahead, and the loss is read back only now and then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from bal.posterior.heads.base import Head, Joins
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.posterior.recipe import Train
from bal.system import devices
from bal.types import Array, Batch, Key, Params

LOOK_EVERY = 50  # steps between two looks at the loss

Examples = Callable[[int, int, Key], Iterator[Batch]]
Initial = Callable[[Params], Params]


class Progress(NamedTuple):
    """What training tells whoever watches."""

    step: int
    steps: int
    loss: float  # mean over the steps since it was last told
    params: Callable[[], Params] | None = None  # makes those of this moment; None of a head that is finished afterwards


class Weights(NamedTuple):
    """What a step of the optimiser goes on from."""

    params: Params
    moments: Any  # of AdamW
    average: Params | None  # of the parameters; None where the last ones are wanted
    loss: Array  # summed over the steps since somebody looked


def optimiser(decay: float) -> optax.GradientTransformation:
    """AdamW of learning rate 1. Elementwise, so stacked members do not see each other."""
    return optax.flatten(optax.adamw(1.0, b2=0.99, weight_decay=decay))  # one pass, not one a leaf


@functools.partial(jax.jit, static_argnames=("head", "net", "criterion", "decay"), donate_argnames="now")
def step(
    head: Head,
    net: Net,
    criterion: Criterion,
    decay: float,
    now: Weights,
    batch: Batch,
    key: Key,
    i: Array | np.int32,
    rate: Array | np.float32,
    share: Array | np.float32,
) -> Weights:
    """One step of the optimiser.

    Args:
        head, net, criterion, decay: what is fitted, and how.
        now: before the step.
        batch, key, i: what is seen, the key of the fit's noise, and the number of the step, which that depends on.
        rate: learning rate.
        share: by which the new parameters replace their average.
    """
    step_key = jax.random.fold_in(key, i)
    loss, grads = jax.value_and_grad(lambda p: head.loss(net, p, batch, step_key, criterion))(now.params)
    updates, moments = optimiser(decay).update(grads, now.moments, now.params)
    params = jax.tree.map(lambda p, u: p + rate * u, now.params, updates)
    average = None
    if now.average is not None:
        average = jax.tree.map(lambda a, p: a + share * (p - a), now.average, params)
    return Weights(params, moments, average, now.loss + loss)


@functools.partial(jax.jit, static_argnames=("head", "net"))
def fresh(head: Head, net: Net, key: Key) -> Params:
    """Random parameters."""
    strong = functools.partial(jax.tree.map, lambda p: jax.lax.convert_element_type(p, p.dtype))
    return strong(head.init(net, key))  # a weak type, as of `jnp.full`, would compile `step` a second time


@functools.partial(jax.jit, static_argnames=("decay", "average"))
def begin(params: Params, decay: float, average: bool) -> Weights:
    """Before the first step; copies, since a step gives away what it goes on from."""
    copy = functools.partial(jax.tree.map, jnp.copy)
    return Weights(copy(params), optimiser(decay).init(params), copy(params) if average else None, jnp.zeros(()))


class Descent:
    """One optimisation under way, somewhere on the devices; several take their steps in turn and run side by side."""

    def __init__(
        self,
        head: Head,
        net: Net,
        criterion: Criterion,
        train: Train,
        examples: Examples,
        key: Key,
        place: Mesh,
        initial: Initial,
    ):
        init_key, order_key, drop_key = jax.random.split(key, 3)
        self.statics = (head, net, criterion, train.decay)
        params = initial(fresh(head, net, init_key))
        self.now = devices.replicate(begin(params, train.decay, train.average != "none"), place)
        self.rates, self.shares = train.rates(), train.averaging()
        self.key, self.place = devices.replicate(drop_key, place), place
        self.batches = examples(devices.round_up(train.batch, place), head.members, order_key)

    def advance(self, i: int) -> None:
        """Takes step `i`; returns once it is under way."""
        batch = devices.spread(next(self.batches), self.place)
        self.now = step(*self.statics, self.now, batch, self.key, np.int32(i), self.rates[i], self.shares[i])

    def look(self) -> float:
        """The loss, summed over the steps since the last look; waits for them."""
        seen = float(self.now.loss)
        self.now = self.now._replace(loss=devices.replicate(jnp.zeros(()), self.place))
        return seen

    @property
    def result(self) -> Params:
        """The parameters, or their average where that is wanted."""
        return self.now.params if self.now.average is None else self.now.average


def descents(
    head: Head,
    net: Net,
    criterion: Criterion,
    train: Train,
    examples: Examples,
    key: Key,
    initial: Sequence[Initial] = (lambda fresh: fresh,),
) -> list[Descent]:
    """The optimisations of a fit: one for each member that can be trained alone, else one for all.

    Args:
        head, net, criterion, train: what is fitted, and how.
        examples: (rows, members, key) → an endless stream of batches.
        key: of the weights, the examples and the dropout.
        initial: what each begins from, given random parameters; one for all of them, or one for each.
    """
    solo, count = head, 1
    if isinstance(head, Joins) and head.solo is not None:
        solo, count = head.solo, head.members // head.solo.members
    initial = list(initial) * count if len(initial) == 1 else initial
    keys, places = jax.random.split(key, count), devices.places(count, solo.members * train.batch * train.patch**2)
    each = zip(keys, places, initial, strict=True)
    return [Descent(solo, net, criterion, train, examples, *own) for own in each]


def descend(
    head: Head,
    descents: Sequence[Descent],
    steps: int,
    watch: Callable[[Progress], None] | None = None,
    peek: bool = False,
    compiled: Callable[[], None] | None = None,
) -> Callable[[], Params]:
    """Takes all steps of some optimisations, in turn.

    Args:
        head: whose members they are.
        descents: under way.
        steps: to take.
        watch: called every few dozen steps; `peek`, also with a way to see the parameters of that moment.
        compiled: called once the first step is under way, before which everything is compiled.

    Returns:
        What makes the head's parameters of where they stand, on every device of the mesh.
    """

    def joined() -> Params:
        apart = [devices.replicate(descent.result) for descent in descents]
        return head.join(apart) if isinstance(head, Joins) and len(apart) > 1 else apart[0]

    since = 0
    for i in range(steps):
        for descent in descents:
            descent.advance(i)
        if compiled and i == 0:
            compiled()
        if (i + 1) % LOOK_EVERY == 0 or i + 1 == steps:
            seen = sum(descent.look() for descent in descents) / head.members / (i + 1 - since)
            since = i + 1
            if not np.isfinite(seen):
                raise FloatingPointError(f"the loss was {seen} by step {i + 1} of {steps}; try a lower train.rate")
            if watch:
                watch(Progress(i + 1, steps, seen, joined if peek else None))
    return joined
