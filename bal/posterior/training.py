"""Training: one pure step, and the Python loop that drives it.

On a CPU a training step inside `lax.scan` is 25 times slower than the same step called from Python, so the loop is a
Python loop; steps are dispatched ahead, and the loss is read back only now and then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from bal.posterior.patches import Crop, cut, middles
from bal.types import Array, BadInput, Batch, Key, Params

LOOK_EVERY = 50  # steps between two looks at the loss


@dataclass(frozen=True)
class Train:
    """How a network is fitted to the labelled regions; every round starts afresh from random weights."""

    steps: int = 1400
    """Gradient steps of every fit, whatever the number of labels: arms stay comparable."""
    batch: int = 8
    """Patches a step, for each member of an ensemble."""
    patch: int = 32
    """Side of a training patch in pixels; a patch shows a labelled region with its surroundings."""
    rate: float = 6e-3
    """Peak learning rate of AdamW; a linear warm-up over a twentieth of the steps, then a cosine to zero."""
    decay: float = 1e-4
    """Weight decay of AdamW."""
    flip: bool = True
    """Mirror patches left–right and top–bottom at random."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.patch < 8 or self.rate <= 0:
            raise BadInput(
                "training needs steps ≥ 1, batch ≥ 1, patch ≥ 8 and rate > 0, "
                f"got {self.steps}, {self.batch}, {self.patch} and {self.rate}"
            )

    def optimiser(self) -> optax.GradientTransformation:
        """AdamW under a warm-up and cosine schedule. Elementwise, so stacked members do not see each other."""
        warm = max(1, self.steps // 20)
        schedule = optax.warmup_cosine_decay_schedule(0.0, self.rate, warm, max(self.steps, warm + 1))
        return optax.flatten(optax.adamw(schedule, b2=0.99, weight_decay=self.decay))  # one pass, not one a leaf


class Progress(NamedTuple):
    """What training tells whoever watches."""

    step: int
    steps: int
    loss: float


def batches(crops: Sequence[Crop], train: Train, rows: int, members: int, key: Key) -> Iterator[Batch]:
    """Endless batches of `rows` patches for each member, who sees the crops in its own shuffled order, on rows e::E.

    The stream depends on the arguments alone: numpy draws it, seeded from the key, because cutting patches is the
    host's work.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    small = any(min(crop.label.shape) < train.patch for crop in crops)

    def shuffled() -> Iterator[int]:
        while True:
            yield from rng.permutation(len(crops))

    streams = [shuffled() for _ in range(members)]
    while True:
        order = [next(streams[row % members]) for row in range(rows * members)]
        cuts = [cut(crops[c], train.patch, rng.random(4), train.flip) for c in order]
        image, label, size = (np.stack(parts) for parts in zip(*cuts, strict=True))
        yield Batch._make(
            (image, label, size if small else None)
        )  # still numpy's: devices get it when it is their turn


@functools.partial(jax.jit, static_argnames=("head", "net", "criterion", "train"), donate_argnames=("params", "state"))
def step(
    head: Head,
    net: Net,
    criterion: Criterion,
    train: Train,
    params: Params,
    state: Any,
    batch: Batch,
    key: Key,
    i: Array,
) -> tuple[Params, Any, Array]:
    """One step of the optimiser: parameters, its state and the loss."""
    step_key = jax.random.fold_in(key, i)
    loss, grads = jax.value_and_grad(lambda p: head.loss(net, p, batch, step_key, criterion))(params)
    updates, state = train.optimiser().update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss


@functools.partial(jax.jit, static_argnames=("head", "net", "train"))
def begin(head: Head, net: Net, train: Train, key: Key) -> tuple[Params, Any]:
    """Fresh parameters and the optimiser's state for them."""
    strong = functools.partial(jax.tree.map, lambda p: jax.lax.convert_element_type(p, p.dtype))
    params = strong(head.init(net, key))  # a weak type, as of `jnp.full`, would compile `step` a second time
    return params, train.optimiser().init(params)


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


def fit(
    head: Head,
    net: Net,
    criterion: Criterion,
    train: Train,
    crops: Sequence[Crop],
    key: Key,
    watch: Callable[[Progress], None] | None = None,
) -> Params:
    """Fits a head to labelled crops from random weights.

    Args:
        head, net, criterion, train: what is fitted, and how.
        crops: labelled regions with their surroundings.
        key: of the weights, the order of the examples and the dropout.
        watch: called every few dozen steps.

    Returns:
        The parameters, on every device of the mesh.

    Raises:
        FloatingPointError: the loss was not finite; names the step.
        ValueError: there is no crop.
    """
    if not crops:
        raise ValueError("there is no labelled region to train on")
    fit_key, final_key = jax.random.split(key)
    descents = start(head, net, criterion, train, crops, fit_key)
    for i in range(train.steps):
        for descent in descents:
            descent.advance(i)
        if (i + 1) % LOOK_EVERY == 0 or i + 1 == train.steps:
            seen = sum(float(descent.loss) for descent in descents) / head.members
            if not np.isfinite(seen):
                raise FloatingPointError(
                    f"the loss was {seen} by step {i + 1} of {train.steps}; try a lower train.rate"
                )
            if watch:
                watch(Progress(i + 1, train.steps, seen))
    apart = [devices.replicate(descent.params) for descent in descents]
    params = head.join(apart) if isinstance(head, Joins) and len(apart) > 1 else apart[0]
    if not isinstance(head, Finalizes):
        return params
    return devices.replicate(finish(head, net, params, middles(crops, train.patch), final_key))


class Descent:
    """One optimisation under way, somewhere on the devices; several take their steps in turn and run side by side."""

    def __init__(
        self, head: Head, net: Net, criterion: Criterion, train: Train, crops: Sequence[Crop], key: Key, place: Mesh
    ):
        init_key, order_key, drop_key = jax.random.split(key, 3)
        self.statics = (head, net, criterion, train)
        self.params, self.state = devices.replicate(begin(head, net, train, init_key), place)
        self.key, self.place, self.loss = devices.replicate(drop_key, place), place, jnp.nan
        self.batches = batches(crops, train, devices.round_up(train.batch, place), head.members, order_key)

    def advance(self, i: int) -> None:
        """Takes step `i`; returns once it is under way."""
        batch = devices.spread(next(self.batches), self.place)
        self.params, self.state, self.loss = step(*self.statics, self.params, self.state, batch, self.key, jnp.int32(i))


def start(head: Head, net: Net, criterion: Criterion, train: Train, crops: Sequence[Crop], key: Key) -> list[Descent]:
    """The optimisations that `fit` drives: one for each member that can be trained alone, else one for all."""
    solo = (head.solo if isinstance(head, Joins) else None) or head
    count = head.members // solo.members
    keys, places = jax.random.split(key, count), devices.places(count, solo.members * train.batch * train.patch**2)
    return [Descent(solo, net, criterion, train, crops, k, place) for k, place in zip(keys, places, strict=True)]
