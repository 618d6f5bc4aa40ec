"""An ability is had whole or not at all, which is found out where an extension is resolved."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import pytest

from bal.annotation.annotators import People
from bal.config import extensions
from bal.config.extensions import SLOTS
from bal.config.schema import Config
from bal.posterior.heads import DeepEnsemble, LastLayerLaplace, MCDropout
from bal.posterior.heads.base import Finalizes, Joins
from bal.posterior.heads.mc_dropout import Masks
from bal.posterior.nets import UNet
from bal.posterior.nets.base import HasCells, HasFeatures, Scales
from bal.scoring.acquisitions import BALD, EPIG, Margin
from bal.scoring.acquisitions.base import Learns, SumOverClasses
from bal.sources.base import PartlyLabelled, unlabelled
from bal.types import BadInput


def refusal(slot: str, base: type, **members: Any) -> str:
    """What is said of an extension that has these members besides those of `base`."""
    cls = dataclasses.make_dataclass("Mine", [], bases=(base,), frozen=True, namespace=members)
    with pytest.raises(BadInput) as refused:
        extensions.check(slot, f"{SLOTS[slot].noun} 'm:Mine'", cls)
    return str(refused.value)


@pytest.mark.parametrize("slot", ["acq", "head", "annotator"])
def test_every_ability_is_in_the_table(slot):
    """One that is missing there is found out in the middle of a run."""
    kinds = get_args(SLOTS[slot].protocol) or (SLOTS[slot].protocol,)
    defined = {kind for kind in vars(sys.modules[kinds[0].__module__]).values() if is_protocol(kind)}
    assert {kind for kind in defined if kind.__module__ == kinds[0].__module__} == {*kinds, *SLOTS[slot].abilities}


def is_protocol(thing: Any) -> bool:
    """Whether it is a protocol that `isinstance` can be asked about."""
    return isinstance(thing, type) and getattr(thing, "_is_protocol", False) and thing is not Protocol


@dataclass(frozen=True)
class Listed(MCDropout):
    """A head that cannot be hashed."""

    rates: Any = dataclasses.field(default_factory=lambda: [0.1, 0.2])


def test_what_cannot_be_hashed_is_refused_before_anything_is_bought():
    with pytest.raises(BadInput, match=r"Config\.head cannot be hashed: its field rates is a list; give a tuple"):
        Config(head=Listed())
    Config(head=Listed(rates=(0.1, 0.2)))


@pytest.mark.parametrize(
    ("slot", "base", "members", "message"),
    [
        (
            "head",
            MCDropout,
            {"solo": None},
            "head 'm:Mine' has solo without join, split; Joins is solo and join(params) and split(params)",
        ),
        (
            "head",
            MCDropout,
            {"join": lambda self, params: params},
            "head 'm:Mine' has join without solo, split; Joins is solo and join(params) and split(params)",
        ),
        (
            "head",
            MCDropout,
            {"solo": lambda self: self, "join": lambda self, params: params, "split": lambda self, params: params},
            "head 'm:Mine' has solo(); Joins is solo and join(params) and split(params)",
        ),
        (
            "head",
            DeepEnsemble,
            {"join": lambda self, first, second: first},
            "head 'm:Mine' has join(first, second); Joins is solo and join(params) and split(params)",
        ),
        (
            "head",
            MCDropout,
            {"finalize": lambda self, params, labelled: params},
            "head 'm:Mine' has finalize(params, labelled); Finalizes is finalize(net, params, labelled, key)",
        ),
        (
            "acq",
            BALD,
            {"learn": lambda self, model: None},
            "acquisition 'm:Mine' has learn(model); Learns is learn(key, model, source, ids, seen)",
        ),
        (
            "acq",
            Margin,
            {"per_class": lambda self: None},
            "acquisition 'm:Mine' has per_class(); SumOverClasses is per_class(moments, *state)",
        ),
        (
            "annotator",
            People,
            {"close": lambda self, request: None},
            "annotator 'm:Mine' has close(request); Closes is close(request, check) and closed(request)",
        ),
    ],
)
def test_an_ability_by_half_is_refused(slot, base, members, message):
    assert refusal(slot, base, **members) == message


@pytest.mark.parametrize(
    ("slot", "base", "members"),
    [
        (
            "head",
            MCDropout,
            {"solo": None, "join": lambda self, params: params, "split": lambda self, params: [params]},
        ),
        ("head", MCDropout, {"finalize": lambda self, n, p, batch, k, more=None: p}),
        ("head", MCDropout, {"finalize": lambda self, *everything: everything}),
        ("head", LastLayerLaplace, {"finalize": None}),
        ("acq", Margin, {"per_class": lambda self, moments: None}),
        ("acq", Margin, {"per_class": lambda self, moments, state: None}),
        ("acq", Margin, {"learn": staticmethod(lambda key, model, source, ids, seen: None)}),
    ],
)
def test_an_ability_may_be_written_in_many_ways(slot, base, members):
    cls = dataclasses.make_dataclass("Mine", [], bases=(base,), frozen=True, namespace=members)
    extensions.check(slot, "mine", cls)


@dataclass(frozen=True)
class Folded:
    """A network that can leave its logits in cells, and never put them back."""

    cells: Any = None


def test_a_network_is_checked_once_it_is_bound():
    with pytest.raises(BadInput, match=r"^the network Folded has cells without unfold; HasCells is cells and unfold\("):
        extensions.check_made("net", Folded())  # pyright: ignore[reportArgumentType]
    extensions.check_made("net", UNet().bind(1, 2))
    extensions.check_made("net", None)  # pyright: ignore[reportArgumentType]  (a FunctionHead has none)


@pytest.mark.parametrize("slot", SLOTS)
def test_every_entry_has_its_abilities_whole(slot):
    for name, cls in SLOTS[slot].table.items():
        extensions.check(slot, name, cls)


def test_who_can_do_what():
    for head, can in ((DeepEnsemble(), {Joins}), (LastLayerLaplace(), {Finalizes}), (MCDropout(), set())):
        assert {ability for ability in SLOTS["head"].abilities if isinstance(head, ability)} == can
    for acquisition, can in ((BALD(), {SumOverClasses}), (EPIG(), {Learns}), (Margin(), set())):
        assert {ability for ability in SLOTS["acq"].abilities if isinstance(acquisition, ability)} == can
    assert isinstance(UNet().bind(1, 2), HasCells)
    assert isinstance(UNet().bind(1, 2), HasFeatures)
    assert isinstance(Masks(MCDropout(), None, 1), Scales)  # pyright: ignore[reportArgumentType]
    assert not isinstance(lambda site, x: x, Scales)


def test_a_source_may_say_which_masks_it_lacks(pictures):
    assert not isinstance(pictures, PartlyLabelled)
    assert unlabelled(pictures) == ()
