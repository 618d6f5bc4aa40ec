"""The parts of the loop for a notebook: score any pool with any model, select from any scores."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, get_args, overload

import jax
import numpy as np

from bal.config import extensions
from bal.config.conformance import missing
from bal.config.extensions import SLOTS
from bal.pool.regions import Regions, lay_out
from bal.pool.units.base import Unit
from bal.pool.units.tile import Tile
from bal.posterior import door
from bal.posterior.calibrators import Identity
from bal.posterior.calibrators.base import Calibrator
from bal.posterior.heads.base import Head
from bal.posterior.model import Model
from bal.posterior.nets.base import Net, NetSettings
from bal.scoring import descriptors
from bal.scoring.acquisitions.base import Acquisition, Learns
from bal.scoring.objective import Objective
from bal.scoring.score import score_regions, stride, survey
from bal.selection.selectors.base import NOTHING, Offer, Query, Selector
from bal.sources.base import Source, SourceSettings, pixels
from bal.sources.batches import ImagesDone, first_shape
from bal.types import BadInput, Key, Params

LARGEST = float(np.finfo(np.float32).max)


class Bare(NamedTuple):
    """What scoring asks of a network whose forward pass is somewhere else."""

    channels: int
    classes: int
    stride: int = 1


def _entry(choice: Any, slot: str) -> Any:
    """An extension by name, with its default fields; an instance as it is. Raises BadInput for what is none."""
    if isinstance(choice, str):
        return extensions.find(slot, choice)()
    noun, protocol = SLOTS[slot].noun, SLOTS[slot].protocol
    _check_is(noun, choice, get_args(protocol) or (protocol,))
    return choice


def _check_is(noun: str, thing: Any, protocols: Sequence[type], but: Sequence[str] = ()) -> None:
    """Raises BadInput for what has not all that one of some protocols asks for, `but` for some of it."""
    if isinstance(thing, type):
        raise BadInput(f"{noun} {thing.__name__} is a class; give an instance, {thing.__name__}()")
    lacking = [[name for name in missing(thing, protocol) if name not in but] for protocol in protocols]
    if all(lacking):
        raise BadInput(f"{noun} {thing!r:.80} is no {noun}: it has no {', '.join(lacking[0])}")


@overload
def score_pool(
    head: Head,
    net: Net | None,
    params: Params,
    source: Source,
    *,
    acquisition: str | Acquisition = ...,
    ids: Sequence[str] | None = ...,
    unit: Unit | None = ...,
    calibrator: Calibrator | None = ...,
    state: Any = ...,
    key: Key | None = ...,
    watch: ImagesDone | None = ...,
    about: None = ...,
) -> tuple[Regions, np.ndarray]: ...


@overload
def score_pool(
    head: Head,
    net: Net | None,
    params: Params,
    source: Source,
    *,
    acquisition: str | Acquisition = ...,
    ids: Sequence[str] | None = ...,
    unit: Unit | None = ...,
    calibrator: Calibrator | None = ...,
    state: Any = ...,
    key: Key | None = ...,
    watch: ImagesDone | None = ...,
    about: Sequence[str],
) -> tuple[Regions, np.ndarray, dict[str, np.ndarray]]: ...


def score_pool(
    head: Head,
    net: Net | None,
    params: Params,
    source: Source,
    *,
    acquisition: str | Acquisition = "bald",
    ids: Sequence[str] | None = None,
    unit: Unit | None = None,
    calibrator: Calibrator | None = None,
    state: Any = None,
    key: Key | None = None,
    watch: ImagesDone | None = None,
    about: Sequence[str] | None = None,
) -> tuple[Regions, np.ndarray] | tuple[Regions, np.ndarray, dict[str, np.ndarray]]:
    """Scores every region of a pool with a trained model, streamed.

    Args:
        head: the posterior; `bal.FunctionHead(fn, samples)` for a network of your own, `(params, x, s) → logits`.
        net: the network bound to its channels and classes, as in `UNet().bind(1, 3)`; None for a FunctionHead.
        params: of the head.
        source: images by id; masks are never read.
        acquisition: the score, by name or as an instance. One that learns does so from the pool; it sees no audit.
        ids: which images; the source's pool unless given.
        unit: what a region is; tiles of 16 pixels unless given.
        calibrator, state: of the predictive probabilities; none unless given.
        key: of the random numbers of the acquisition `random`, and of what others learn.
        watch: called with the images done and in all.
        about: what else is read of every region in the same pass, such as a selector's `needs`; of these, `labelled` is
            not the model's to say, and left out.

    Returns:
        The M regions, and their scores [M] float32; and, where `about` is given, what `select` takes under that name:
        [M, …] by name.

    Raises:
        BadInput: there is no such acquisition or descriptor; the model does not give logits of these classes at the
            resolution of the images; or a pixel, a logit or a score is no number, which names the image and the sample.
    """
    asked: Acquisition = _entry(acquisition, "acq")
    cut: Unit = Tile() if unit is None else _entry(unit, "unit")
    if isinstance(source, SourceSettings):
        raise BadInput(f"source: {source!r:.80} is not opened: give source.open()")
    if isinstance(net, NetSettings):
        raise BadInput(f"net: {net!r:.80} is not bound: give net.bind({source.channels}, {len(source.classes)})")
    _check_is("head", head, (Head,))
    _check_is("source", source, (Source,), but=("mask", "test", *(("pool",) if ids is not None else ())))
    bound: Any = Bare(source.channels, len(source.classes)) if net is None else net
    honest: Calibrator = Identity() if calibrator is None else _entry(calibrator, "calibrator")
    state = honest.init(bound.classes) if state is None else state
    ids = list(source.pool if ids is None else ids)
    if twice := [id for id, times in Counter(ids).items() if times > 1]:
        raise BadInput(f"ids: {twice[0]!r:.80} is there twice, and would be bought twice")
    names = tuple(name for name in about or () if name != "labelled")
    descriptors.check(names, bound)
    model = Model(head, bound, params, honest, state)
    shape = first_shape(source, ids, math.lcm(stride(model), cut.multiple))
    if shape is not None and (asked.needs or names):
        door.check_samples(model, shape)
    regions = lay_out(cut, ids, [source.shape(id) for id in ids], functools.partial(pixels, source))
    key = jax.random.key(0) if key is None else key
    learnt = asked.learn(key, model, source, tuple(ids), ()) if isinstance(asked, Learns) else None
    objective = Objective(asked, learnt)
    if not names:
        scores = score_regions(model, source, regions, objective, key, watch)
        return (regions, scores) if about is None else (regions, scores, {})
    table = survey(model, source, regions, objective, names, watch)
    scores = table.pop("score")
    return regions, scores if asked.needs else score_regions(model, source, regions, objective, key), table


def _numbers(given: Any, name: str) -> np.ndarray:
    """[M] float32. Raises BadInput for what is no array of real numbers."""
    try:
        found = np.asarray(given)
    except ValueError as error:
        raise BadInput(f"{name}: expected [M] numbers, got rows of different lengths") from error
    if found.dtype.kind not in "fiub":
        raise BadInput(f"{name}: expected [M] real numbers, got {found.dtype}")
    with np.errstate(over="ignore"):
        cast = found.astype(np.float32)
    if (lost := found[np.isfinite(found) & ~np.isfinite(cast)]).size:
        raise BadInput(f"{name}: {lost.flat[0]:g} is more than a float32 can hold; scale them down")
    return np.ma.filled(np.ma.array(cast, mask=np.ma.getmask(given)), np.nan) if np.ma.isMaskedArray(given) else cast


def _check_offer(offer: Mapping[str, Any], regions: int) -> None:
    """Raises BadInput for what is none of the further fields of an offer, or not of M regions."""
    known = Offer._fields[3:]
    if odd := [name for name in offer if name not in known]:
        raise BadInput(f"unknown argument {odd[0]!r}{extensions.nearest(odd[0], known)} expected {', '.join(known)}")
    image, cap = offer.get("image"), offer.get("cap")
    if image is not None:
        image = np.asarray(image)
        if image.shape != (regions,) or image.dtype.kind not in "iu" or (image.size and image.min() < 0):
            raise BadInput(f"image: expected [M] indices from 0, one of each of {regions} regions, got {image!r:.80}")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, Integral) or cap < 1):
        raise BadInput(f"cap: expected a whole number from 1, got {cap!r:.80}")
    if cap is not None and image is None:
        raise BadInput("cap: the most regions of one image needs `image`, which one each is of")


def select(
    scores: np.ndarray,
    costs: np.ndarray,
    budget: float,
    *,
    eligible: np.ndarray | None = None,
    selector: str | Selector = "top_k",
    about: Mapping[str, np.ndarray] = NOTHING,
    key: Key | None = None,
    **offer: Any,
) -> Query:
    """Turns scores into a purchase that the budget can pay. Pure.

    Args:
        scores, costs: [M]; a score that is NaN, masked or infinite is never bought, nor at an infinite price.
        budget: in the unit of `costs`.
        eligible: [M] bool, what may be bought: False for what is labelled already; all unless given.
        selector: by name or as an instance.
        about: [M, ...] of each name in the selector's `needs`, as `score_pool(about=…)` gives it; `labelled` is what is
            not eligible, unless it is given.
        key: for selectors that draw.
        offer: more fields of `bal.Offer`: `image` [M] and `cap`, `id` [M], `progress`.

    Returns:
        Query(index, score, cost, valid), padded at the end to the most that could have been bought.

    Raises:
        BadInput: there is no such selector, the arrays differ in length or are of other types, a price is not above 0,
            the budget is no number, or the selector needs what `about` does not hold, or not for every region.
    """
    scores, costs = _numbers(scores, "scores"), _numbers(costs, "costs")
    eligible = np.ones(scores.shape, bool) if eligible is None else np.ma.filled(eligible, False)
    eligible = np.asarray(eligible)
    if eligible.dtype != bool:
        raise BadInput(f"eligible: expected [M] bool, one of each region, got {eligible.dtype}")
    if not scores.shape == costs.shape == eligible.shape or scores.ndim != 1:
        raise BadInput(f"expected [M] scores, costs and eligible, got {scores.shape}, {costs.shape}, {eligible.shape}")
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 <= budget <= LARGEST:
        raise BadInput(f"budget: expected a number from 0 to {LARGEST:.2g}, got {budget!r}")
    if (odd := np.flatnonzero(~(costs > 0))).size:
        raise BadInput(f"costs: expected prices above 0, got {costs[odd[0]]} of region {odd[0]}")
    key = jax.random.key(0) if key is None else key
    chooser: Selector = _entry(selector, "selector")
    _check_offer(offer, scores.size)
    if not isinstance(about, Mapping):
        raise BadInput(f"about: expected [M, …] by name, got {about!r:.80}")
    if "image" in offer and offer["image"] is not None:
        offer["image"] = np.asarray(offer["image"])
    about = {"labelled": ~eligible, **about}
    if absent := [name for name in chooser.needs if name not in about]:
        raise BadInput(f"the selector reads {', '.join(absent)}, which `about` does not hold")
    if uneven := [name for name in chooser.needs if len(about[name]) != scores.size]:
        raise BadInput(f"about: expected {scores.size} rows of {', '.join(uneven)}, as many as there are scores")
    return chooser(key, scores, Offer(costs, eligible, budget, **offer), about)
