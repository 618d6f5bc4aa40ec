"""What is asked of a head and a network before anything is trained, found out by tracing them in abstract.

Whatever they do that scoring could not use is said here, in one line, instead of somewhere in a compiler an hour later.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from bal.posterior.heads._plain import keep
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.nets.base import Net
from bal.posterior.samples import prepare
from bal.types import Array, BadInput

NUMPY = (jax.errors.TracerArrayConversionError, jax.errors.TracerIntegerConversionError)
BRANCHES = (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError)


def traced(what: str, f: Callable[..., Any], *args: Any) -> Any:
    """The abstract result of `f(*args)`.

    Raises:
        BadInput: it cannot be traced, or it refuses its arguments; the message begins with `what`.
    """
    return _guarded(what, jax.eval_shape, f, *args)


def check_logits(model: Model, shape: tuple[int, int, int]) -> None:
    """Raises BadInput unless the samples of a model are logits [B, H, W, C] of floating numbers; costs nothing twice.

    Args:
        model: parameters may be abstract.
        shape: [B, H, W] of the images.
    """
    abstract = _guarded("params", jax.eval_shape, lambda model: model, model)
    leaves, tree = jax.tree.flatten(abstract)
    _check(tree, tuple(leaves), shape)


def check_samples(model: Model, shape: tuple[int, int, int]) -> None:
    """As `check_logits`, and that samples can differ at all: a head must find in the network what it makes random."""
    abstract = _guarded("params", jax.eval_shape, lambda model: model, model)
    leaves, tree = jax.tree.flatten(abstract)
    if _check(tree, tuple(leaves), shape) or model.head.samples == 1:
        return
    if isinstance(model.head, FunctionHead):
        why = "it does nothing with its third argument, the number of the sample; use it, or give samples=1"
    else:
        why = (
            "it finds nothing in the network that it could make random; take --head deep_ensemble, or call "
            "`drop(site, x)` in the network"
        )
    raise BadInput(f"{_what(model)}: its {model.head.samples} samples are all the same, for {why}")


def check_finite(name: str, net: Net, x: Array, size: Array) -> None:
    """Raises BadInput unless a network gives numbers before it is trained. The one check here that computes.

    Args:
        name: of the network.
        net: bound.
        x: [B, H, W, Cin] images that it is to be trained on.
        size: [B, 2] valid height and width.
    """
    what = f"the network {name}"
    logits = np.asarray(_guarded(what, _untrained, net, x, size))
    rows, columns = (np.arange(n) < np.asarray(size)[:, k, None] for k, n in enumerate(x.shape[1:3]))  # [B, H], [B, W]
    inside = rows[:, :, None] & columns[:, None, :]
    odd = no_numbers(logits) & inside
    if odd.any():
        kind = "NaN" if np.isnan(logits[odd]).any() else "infinite"
        raise BadInput(
            f"{what} gives {kind} logits at {odd.sum()} of {inside.sum()} pixels of the first images before it is "
            "trained, though these hold numbers only: look at its first weights, and for a division or a log of 0 in it"
        )


def no_numbers(logits: np.ndarray) -> np.ndarray:
    """[...] whether the logits [..., C] of a pixel make no probabilities: one is NaN or +inf, or all are −inf."""
    return ~(logits < np.inf).all(-1) | (logits == -np.inf).all(-1)


@functools.partial(jax.jit, static_argnames="net")
def _untrained(net: Net, x: Array, size: Array) -> Array:
    """[B, H, W, C] logits with random parameters."""
    params = net.init(jax.random.key(0))
    code = net.bridge(params, net.encode(params, x, size, keep))
    return net.readout(params, net.decode(params, code, keep), keep)


@functools.lru_cache(maxsize=64)
def _check(tree: Any, leaves: tuple[Any, ...], shape: tuple[int, int, int]) -> bool:
    """Whether samples can differ; raises BadInput as `check_logits` does."""
    model: Model = jax.tree.unflatten(tree, leaves)
    what = _what(model)
    program, out = _guarded(what, jax.make_jaxpr(_sample, return_shape=True), model, *_images(model, shape))
    wanted, images = (*shape, model.net.classes), (*shape, model.net.channels)
    if not isinstance(out, jax.ShapeDtypeStruct):
        raise BadInput(f"{what} gives {type(out).__name__}, expected one array of logits {wanted}")
    if out.shape != wanted:
        given = f"{what} gives logits {out.shape} for images {images}, expected {wanted}"
        raise BadInput(f"{given}: {_hint(out.shape, wanted)}")
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise BadInput(f"{what} gives {out.dtype}, expected logits, which are floating numbers; classes are not enough")
    return _depends(program.jaxpr)


def _what(model: Model) -> str:
    if isinstance(model.head, FunctionHead):
        return f"the function {_name(model.head.fn)}"
    return f"{type(model.head).__name__} on {_name(model.net)}"


def _hint(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What may have happened to logits of another shape."""
    b, h, w, c = wanted
    if len(got) != 4:
        return "there must be four axes, [B, H, W, C]"
    if got == (b, c, h, w):
        return "that is NCHW; put the classes last, jnp.moveaxis(logits, 1, -1)"
    if got[0] == b and got[3] == c:
        times = h // max(got[1], 1)
        scale = f"1/{times} of the resolution" if (times * got[1], times * got[2]) == (h, w) else "another resolution"
        return f"they are at {scale}; enlarge them, jax.image.resize(logits, (B, H, W, {c}), 'linear')"
    if got[:3] == (b, h, w):
        of_one = "; one logit z is two classes, jnp.concatenate([jnp.zeros_like(z), z], -1)"
        return f"there are {c} classes, background included, not {got[3]}{of_one if (got[3], c) == (1, 2) else ''}"
    return "the batch, the resolution and the classes must be those of the images"


def _sample(model: Model, x: Array, size: Array, s: Array) -> Array:
    return prepare(model, x, size).logits(s)


def _images(model: Model, shape: tuple[int, int, int]) -> tuple[Any, ...]:
    """Images, their sizes and the number of a sample, in abstract."""
    of = jax.ShapeDtypeStruct
    return of((*shape, model.net.channels), jnp.float32), of((shape[0], 2), jnp.int32), of((), jnp.int32)


def _depends(jaxpr: Any) -> bool:
    """Whether what a program gives depends on its last argument, as far as can be seen without looking into calls."""
    on = {jaxpr.invars[-1]}
    for step in jaxpr.eqns:
        if any(not isinstance(v, Literal) and v in on for v in step.invars):
            on.update(step.outvars)
    return any(not isinstance(v, Literal) and v in on for v in jaxpr.outvars)


def _guarded(what: str, f: Callable[..., Any], *args: Any) -> Any:
    try:
        return f(*args)
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from error
    except NUMPY as error:
        raise BadInput(
            f"JAX cannot trace {what}, use jax.numpy there: NumPy and Python's numbers need values, and there are none "
            f"yet ({_line(error)})"
        ) from error
    except BRANCHES as error:
        raise BadInput(
            f"JAX cannot trace {what}, use jax.numpy there: a branch or a shape depends on values, and there are none "
            f"yet; jnp.where and jax.lax.switch choose between values ({_line(error)})"
        ) from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"{what}: {_line(error)}") from error
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever somebody else's function raises
        raise BadInput(f"{what} raises {type(error).__name__}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _name(thing: Any) -> str:
    function = inspect.unwrap(thing) if callable(thing) else thing  # what is within jax.jit
    return function.__qualname__ if isinstance(function, FunctionType | MethodType | type) else type(thing).__name__
