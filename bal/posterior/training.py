"""Training: one pure step, and the Python loop that drives it.

On a CPU a training step inside `lax.scan` is 25 times slower than the same step called from Python, so the loop is a
Python loop; steps are dispatched ahead, and the loss is read back only now and then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from bal import devices
from bal.posterior.heads.base import Finalizes, Head, Joins
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.posterior.patches import Crop, middles
from bal.posterior.recipe import Train
from bal.posterior.sampling import batches
from bal.types import Array, BadInput, Batch, Key, Params

LOOK_EVERY = 50  # steps between two looks at the loss


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


@jax.jit
def shrink(begun: Params, fresh: Params, keep: Array | float, perturb: Array | float) -> Params:
    """Shrink and perturb: keep · old + perturb · random.

    Reference:
        Ash & Adams (2020), "On Warm-Starting Neural Network Training".
    """
    return jax.tree.map(lambda old, new: keep * old + perturb * new, begun, fresh)


def abstract(head: Head, net: Net, train: Train) -> Params:
    """The structure of what `fit` returns, without computing anything."""

    def made(key: Key) -> Params:
        params = head.init(net, key)
        patch = (1, train.patch, train.patch)
        batch = Batch(jnp.zeros((*patch, net.channels)), jnp.zeros(patch, jnp.int32), jnp.full((1, 2), train.patch))
        return finish(head, net, params, batch, key)

    return jax.eval_shape(made, jax.random.key(0))


def finish(head: Head, net: Net, params: Params, labelled: Batch, key: Key) -> Params:
    """The head's own last step after training, where it has one."""
    return head.finalize(net, params, labelled, key) if isinstance(head, Finalizes) else params


def unfinish(head: Head, net: Net, params: Params) -> Params:
    """Of finished parameters those that training goes on from: what `init` makes, without what `finalize` added.

    Raises:
        BadInput: they are not among them.
    """
    wanted, tree = jax.tree_util.tree_flatten_with_path(
        jax.eval_shape(functools.partial(head.init, net), jax.random.key(0))
    )
    found = dict(jax.tree_util.tree_flatten_with_path(params)[0])
    if any(path not in found or found[path].shape != leaf.shape for path, leaf in wanted):
        raise BadInput(
            f"{type(head).__name__}.finalize leaves no parameters that training can go on from: give --train.start cold"
        )
    return jax.tree.unflatten(tree, [found[path] for path, _ in wanted])


def fit(
    head: Head,
    net: Net,
    criterion: Criterion,
    train: Train,
    crops: Sequence[Crop],
    key: Key,
    watch: Callable[[Progress], None] | None = None,
    begun: Params | None = None,
) -> Params:
    """Fits a head to labelled crops.

    Args:
        head, net, criterion, train: what is fitted, and how.
        crops: labelled regions with their surroundings.
        key: of the weights, the order of the examples and the dropout.
        watch: called every few dozen steps.
        begun: the result of an earlier fit, to go on from as `train.start` says; random weights unless given.

    Returns:
        The parameters, on every device of the mesh.

    Raises:
        FloatingPointError: the loss was not finite; names the step.
        ValueError: there is no crop.
        BadInput: training cannot go on from `begun`.
    """
    if not crops:
        raise ValueError("there is no labelled region to train on")
    train = train.of(later=begun is not None)
    begun = None if begun is None or train.start == "cold" else unfinish(head, net, begun)
    fit_key, final_key = jax.random.split(key)
    descents = start(head, net, criterion, train, crops, fit_key, begun)
    since, finalizes = 0, isinstance(head, Finalizes)

    def joined() -> Params:
        apart = [devices.replicate(descent.result) for descent in descents]
        return head.join(apart) if isinstance(head, Joins) and len(apart) > 1 else apart[0]

    for i in range(train.steps):
        for descent in descents:
            descent.advance(i)
        if (i + 1) % LOOK_EVERY == 0 or i + 1 == train.steps:
            seen = sum(descent.look() for descent in descents) / head.members / (i + 1 - since)
            since = i + 1
            if not np.isfinite(seen):
                raise FloatingPointError(
                    f"the loss was {seen} by step {i + 1} of {train.steps}; try a lower train.rate"
                )
            if watch:
                watch(Progress(i + 1, train.steps, seen, None if finalizes else joined))
    if not finalizes:
        return joined()
    return devices.replicate(finish(head, net, joined(), middles(crops, train.patch), final_key))


class Descent:
    """One optimisation under way, somewhere on the devices; several take their steps in turn and run side by side."""

    def __init__(
        self,
        head: Head,
        net: Net,
        criterion: Criterion,
        train: Train,
        crops: Sequence[Crop],
        key: Key,
        place: Mesh,
        begun: Params | None = None,
    ):
        init_key, order_key, drop_key = jax.random.split(key, 3)
        self.statics = (head, net, criterion, train.decay)
        params = begun if begun is not None and train.start == "warm" else fresh(head, net, init_key)
        if begun is not None and train.start == "shrink":
            params = shrink(begun, params, train.keep, train.perturb)
        self.now = devices.replicate(begin(params, train.decay, train.average != "none"), place)
        self.rates, self.shares = train.rates(), train.averaging()
        self.key, self.place = devices.replicate(drop_key, place), place
        self.batches = batches(crops, train, devices.round_up(train.batch, place), head.members, order_key)

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


def start(
    head: Head,
    net: Net,
    criterion: Criterion,
    train: Train,
    crops: Sequence[Crop],
    key: Key,
    begun: Params | None = None,
) -> list[Descent]:
    """The optimisations that `fit` drives: one for each member that can be trained alone, else one for all."""
    solo, count, parts = head, 1, [begun]
    if isinstance(head, Joins) and head.solo is not None:
        solo, count = head.solo, head.members // head.solo.members
        parts = [None] * count if begun is None else head.split(begun)
    keys, places = jax.random.split(key, count), devices.places(count, solo.members * train.batch * train.patch**2)
    return [Descent(solo, net, criterion, train, crops, *each) for each in zip(keys, places, parts, strict=True)]
