"""Training: fits a head to labelled regions, from random weights or what an earlier fit or pre-training came to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from bal.posterior.descent import Initial, Progress, descend, descents
from bal.posterior.door import traced
from bal.posterior.heads.base import Finalizes, Head, Joins
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.posterior.patches import Crop, middles
from bal.posterior.recipe import Train
from bal.posterior.sampling import batches
from bal.system import devices
from bal.types import Array, BadInput, Batch, Key, Params

KEPT = {DictKey("encoder"), DictKey("decoder")}  # parts of a network that go on from a pre-training


@jax.jit
def shrink(begun: Params, fresh: Params, keep: Array | float, perturb: Array | float) -> Params:
    """Shrink and perturb: keep · old + perturb · random.

    Reference:
        Ash & Adams (2020), "On Warm-Starting Neural Network Training".
    """
    return jax.tree.map(lambda old, new: keep * old + perturb * new, begun, fresh)


def transplant(fresh: Params, pretrained: Params) -> Params:
    """Random parameters, but for the encoders and decoders, which are taken from those of a pre-training."""
    found = dict(jax.tree_util.tree_flatten_with_path(pretrained)[0])

    def taken(path: tuple, leaf: Array) -> Array:
        other = found.get(path)
        return other if KEPT.intersection(path) and other is not None and other.shape == leaf.shape else leaf

    return jax.tree_util.tree_map_with_path(taken, fresh)


def abstract(head: Head, net: Net, train: Train) -> Params:
    """The structure of what `fit` returns, without computing anything."""

    def made(key: Key) -> Params:
        params = head.init(net, key)
        patch = (1, train.patch, train.patch)
        batch = Batch(jnp.zeros((*patch, net.channels)), jnp.zeros(patch, jnp.int32), jnp.full((1, 2), train.patch))
        return finish(head, net, params, batch, key)

    return jax.eval_shape(made, jax.random.key(0))


def check(head: Head, net: Net, train: Train) -> Params:
    """What `fit` would return, in abstract; needs no data.

    Raises:
        BadInput: the head or the network refuses, or cannot be traced by JAX; or the head can be fitted once and no
            more, and fits are to go on from each other.
    """
    name, key = type(head).__name__, jax.random.key(0)
    like = traced(f"{name}.init", functools.partial(head.init, net), key)
    if isinstance(head, Finalizes):
        like = traced(f"{name}.finalize", functools.partial(head.finalize, net), like, _blank(net, train, 1), key)
        if train.start != "cold":
            unfinish(head, net, like)
    return like


def check_loss(head: Head, net: Net, train: Train, criterion: Criterion, repairs: bool = False) -> None:
    """Raises BadInput unless the loss of one batch is one number, found out in abstract.

    `repairs`: the network is to repair images, so that these stand in the place of labels.
    """
    one = head.solo if isinstance(head, Joins) and head.solo is not None else head  # one member is soon traced
    name, key = type(head).__name__, jax.random.key(0)
    params, batch = jax.eval_shape(functools.partial(one.init, net), key), _blank(net, train, one.members)
    batch = batch._replace(label=batch.image) if repairs else batch
    loss = traced(f"{name}.loss", lambda p, b, k: one.loss(net, p, b, k, criterion), params, batch, key)
    if not isinstance(loss, jax.ShapeDtypeStruct) or loss.shape != ():
        raise BadInput(f"{name}.loss gives {loss}, expected one number: the sum over members")


def _blank(net: Net, train: Train, rows: int) -> Any:
    """A batch of so many patches, in abstract."""
    patch, of = (rows, train.patch, train.patch), jax.ShapeDtypeStruct
    arrays: Any = of((*patch, net.channels), jnp.float32), of(patch, jnp.int32), of((rows, 2), jnp.int32)
    return Batch(*arrays)


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
    pretrained: Params | None = None,
    compiled: Callable[[], None] | None = None,
) -> Params:
    """Fits a head to labelled crops.

    Args:
        head, net, criterion, train: what is fitted, and how.
        crops: labelled regions with their surroundings.
        key: of the weights, the order of the examples and the dropout.
        watch: called every few dozen steps.
        begun: the result of an earlier fit, to go on from as `train.start` says; random weights unless given.
        pretrained: parameters whose encoders and decoders a cold start begins with, see `bal.posterior.pretraining`.
        compiled: called once the first step is under way, before which everything is compiled.

    Returns:
        The parameters, on every device of the mesh.

    Raises:
        FloatingPointError: the loss was not finite; names the step.
        BadInput: there is no crop, or training cannot go on from `begun`.
    """
    if not crops:
        raise BadInput("there is no labelled region to train on")
    train = train.of(later=begun is not None)
    begun = None if begun is None or train.start == "cold" else unfinish(head, net, begun)
    fit_key, final_key = jax.random.split(key)
    initial: list[Initial] = [lambda fresh: fresh]
    if begun is not None:
        initial = [functools.partial(_later, train, part) for part in _parts(head, begun)]
    elif pretrained is not None:
        initial = [functools.partial(transplant, pretrained=part) for part in _parts(head, pretrained)]
    examples = functools.partial(batches, crops, train)
    under_way = descents(head, net, criterion, train, examples, fit_key, initial)
    finalizes = isinstance(head, Finalizes)
    joined = descend(head, under_way, train.steps, watch, peek=not finalizes, compiled=compiled)
    if not finalizes:
        return joined()
    return devices.replicate(finish(head, net, joined(), middles(crops, train.patch), final_key))


def _later(train: Train, begun: Params, fresh: Params) -> Params:
    """What a fit begins from that goes on from an earlier one."""
    return shrink(begun, fresh, train.keep, train.perturb) if train.start == "shrink" else begun


def _parts(head: Head, params: Params) -> list[Params]:
    """Parameters as the optimisations of `start` have them: of each member, or of all."""
    return list(head.split(params)) if isinstance(head, Joins) and head.solo is not None else [params]
