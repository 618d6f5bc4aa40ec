"""The ground floor: the letters of every shape, what travels between the parts, and what an extension must satisfy.

Letters, used in every docstring and at the end of every line that reshapes:

    S  posterior samples      H W  pixels            R  regions of one image
    E  members trained        C    classes           M  regions of the whole pool
    B  batch                  F    features          K  queries
    N  pool images            Cin  image channels

An extension is a frozen dataclass: its fields are its hyper-parameters (and its flags on the command line), its
methods are pure. Frozen also means hashable, so an extension can be a static argument of `jax.jit`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from bal.devices import AUTO, Execution
from bal.offer import NOTHING, Offer, Query

Array = jax.Array
Key = jax.Array
Params = Any
IGNORE = 255  # the label of a pixel that nobody has labelled; no loss and no metric may count it
# What a head does to the activations at a named site of a network. It may also have `scale(site, x)`: factors [F] where
# all it does to x [B, h, w, F] is to multiply channels, alike in all examples, else None; a network may put them into
# its weights.
Drop = Callable[[str, Array], Array]


class BadInput(ValueError):
    """Something a person gave us cannot be used. The message is one clear line: what, where, what to do."""


class Batch(NamedTuple):
    """What a network is trained on."""

    image: Array  # [B, H, W, Cin] float32
    label: Array  # [B, H, W] int32, IGNORE where unlabelled
    size: Array | None = None  # [B, 2] valid height and width; None when every pixel is valid


class Moments(NamedTuple):
    """What posterior samples fold into; None where nobody asked for it. `p_s` is the softmax of one sample."""

    predictive: Array  # [..., C] calibrated predictive probabilities, from the pooled mean
    mean_p: Array  # [..., C] mean_s p_s
    mean_plogp: Array | None = None  # [..., C] mean_s p_s log p_s
    var_p: Array | None = None  # [..., C] variance over s of p_s
    votes: Array | None = None  # [..., C] share of the samples whose most likely class is c
    mean_qlogq: Array | None = None  # [..., C] mean_s (1 − p_s) log(1 − p_s)
    joint: Array | None = None  # [..., C T C] mean_s p_s(y) q_s(t, y*), with what the samples say of T target pixels


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


class Region(NamedTuple):
    """One region of one image, as a person would be asked about it."""

    image: str
    region: int
    box: tuple[int, int, int, int]  # top, left, height, width in pixels
    mask: np.ndarray | None = None  # [height, width] bool, which pixels of the box; None for all of them


class Source(Protocol):
    """Images and masks by id, opened from a `SourceSettings`. Sizes may differ between images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; class 0 is the background."""
        ...

    @property
    def channels(self) -> int:
        """Cin."""
        ...

    @property
    def pool(self) -> tuple[str, ...]:
        """Ids whose regions may be bought."""
        ...

    @property
    def test(self) -> tuple[str, ...]:
        """Ids kept for evaluation, never bought."""
        ...

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width of an image, without decoding it where that can be avoided."""
        ...

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, Cin] in [0, 1]."""
        ...

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W] of class ids, IGNORE where unlabelled."""
        ...


class SourceSettings(Protocol):
    """Where images come from; an entry of `bal.sources.SOURCES`."""

    def open(self) -> Source:
        """Checks the settings and the data they point at. Raises BadInput."""
        ...


class Net(Protocol):
    """A segmentation network in three parts, bound to its input channels and classes. Pure: parameters go in.

    `params` is a mapping with the keys `encoder`, `decoder` and `readout`. `drop(site, x)` is called at every named
    site, so that a head can put dropout, noise or anything else there without the network knowing.
    """

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def stride(self) -> int:
        """Heights and widths that are multiples of this need no padding inside the network."""
        ...

    def init(self, key: Key) -> Params: ...

    def encode(self, params: Params, x: Array, size: Array | None, drop: Drop) -> Any:
        """[B, H, W, Cin] → a pytree of features, coarse and fine."""
        ...

    def bridge(self, params: Params, code: Any) -> Any:
        """What `decode` does before its first site: the encoder's pytree → another that `decode` takes as well."""
        ...

    def decode(self, params: Params, code: Any, drop: Drop) -> Any:
        """The encoder's pytree, bridged or not → a pytree of full-context features."""
        ...

    def readout(self, params: Params, features: Any, drop: Drop) -> Array:
        """→ logits [B, H, W, C] at the resolution of the image."""
        ...


class NetSettings(Protocol):
    """A family of networks; an entry of `bal.nets.NETS`."""

    def bind(
        self, channels: int, classes: int, mean: tuple[float, ...] = (0.0,), std: tuple[float, ...] = (1.0,)
    ) -> Net:
        """The network for images of `channels` channels with this mean and standard deviation, and `classes`."""
        ...


class Criterion(Protocol):
    def __call__(self, logits: Array, label: Array) -> Array:
        """[B, H, W, C], [B, H, W] → scalar; pixels labelled IGNORE count for nothing."""
        ...


class Head(Protocol):
    """A posterior over a network; an entry of `bal.heads.HEADS`.

    The s-th sample is the same function for every image, batch size, sharding and device. A head may also have

    - `finalize(net, params, labelled: Batch, key) -> params`, called once after training (post-hoc posteriors);
    - `solo`, the head that trains one of its members alone, with `join(params of each) -> params`.
    """

    @property
    def samples(self) -> int:
        """S, how many posterior samples are folded into the moments."""
        ...

    @property
    def members(self) -> int:
        """E, how many interleaved sets of examples a training batch holds: member e is trained on rows e::E."""
        ...

    def init(self, net: Net, key: Key) -> Params: ...

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        """Scalar training loss of one batch; the sum over members, so that members do not slow each other."""
        ...

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None) -> Any:
        """Everything that does not depend on the sample, computed once per batch."""
        ...

    def logits(self, net: Net, params: Params, cache: Any, s: Array | int) -> Array:
        """[B, H, W, C] of the s-th posterior sample; `s` may be traced.

        What it does to the result of `net.readout` it does pixel by pixel: scoring may ask with a network whose pixels
        are in another order (`net.cells`, where a network has it).
        """
        ...


class Calibrator(Protocol):
    """A map of logits to better log-probabilities; an entry of `bal.calibrators.CALIBRATORS`.

    `on` says what is calibrated: each posterior sample ("members") or their pooled mean ("pooled").
    """

    @property
    def on(self) -> str: ...

    def init(self, classes: int) -> Any:
        """The state that changes nothing; also what `fit` returns when there is nothing to learn from."""
        ...

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> Any:
        """[P, C], or on members [P, S, C]; [P]; [P] → state. IGNORE counts for nothing. Never diverges."""
        ...

    def log_probs(self, state: Any, logits: Array) -> Array:
        """[..., C] → normalised [..., C]."""
        ...

    def summary(self, state: Any) -> Mapping[str, float]:
        """What goes to the curve, by column name."""
        ...


class Acquisition(Protocol):
    """A pointwise score, higher = query; an entry of `bal.acquisitions.ACQUISITIONS`.

    It may also have

    - `per_class(moments) -> [..., C]`, where the score is a sum over classes: then classes can be routed to;
    - `learn(key, model, source, ids, seen) -> state`, asked once before images are scored, with the ids of the pool and
      what the model saw of the audited regions (`bal.trust.Seen`); an array, and the last argument of the other two.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Moments it reads. Empty means that it never looks at the pool at all."""
        ...

    def __call__(self, moments: Moments) -> Array:
        """[..., C] moments → [...] scores, in nats where the score is an information."""
        ...


class Selector(Protocol):
    """Scores and an offer → a Query; set-aware methods live here. An entry of `bal.selectors.SELECTORS`.

    One that reads the masks of what nobody has labelled yet says so with `reads_truth = True`: an upper baseline.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """What it reads in `about`: of `bal.readings`, or `labelled` [M], or `truth` [M, C] (shares from the masks)."""
        ...

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        """[M] scores, what is offered, and [M, ...] of each name in `needs` → Query.

        The purchase is unique, eligible, never NaN and never over budget, whatever the scores; random draws follow
        `offer.id` and not the order of candidates.
        """
        ...


class Annotator(Protocol):
    """Who answers a query; an entry of `bal.annotators.ANNOTATORS`.

    May also have `check(source)`, called before a run begins, which raises BadInput if it could not answer.
    """

    def annotate(self, source: Source, regions: Sequence[Region]) -> list[np.ndarray]:
        """One int32 [height, width] array of class ids a region, IGNORE where the annotator declined."""
        ...
