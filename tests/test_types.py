"""Extensions written before the contracts moved go on working, as do properties where literals are attributes now."""

from __future__ import annotations

import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bal.types
from bal.config import extensions
from bal.config.schema import Config
from bal.posterior.calibrators import Identity
from bal.posterior.model import Model
from bal.posterior.moments import predict_moments
from bal.posterior.training import finish
from bal.scoring.objective import Objective
from bal.types import MOVED

OLD = """
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bal.types import (
    AUTO, IGNORE, NOTHING, Acquisition, Annotator, Array, BadInput, Batch, Calibrator, Criterion, Drop, Execution, Head,
    Key, Model, Moments, Net, NetSettings, Offer, Params, Query, Region, Selector, Source, SourceSettings,
)


@dataclass(frozen=True)
class Shifts:
    "A head that needs no network: sample s is the image and an offset."

    count: int = 3
    "S."

    @property
    def samples(self) -> int:
        return self.count

    @property
    def members(self) -> int:
        return 1

    def init(self, net: Net, key: Key) -> Params:
        return jnp.zeros(())

    def loss(self, net: Net, params: Params, batch: Batch, key: Key, criterion: Criterion) -> Array:
        return criterion(self.logits(net, params, batch.image, 0), batch.label)

    def prepare(self, net: Net, params: Params, x: Array, size: Array | None):
        return x

    def logits(self, net: Net, params: Params, cache, s) -> Array:
        return jnp.concatenate([cache, params + s - cache], -1)

    def finalize(self, net: Net, params: Params, labelled: Batch, key: Key) -> Params:
        return params + 1.0


@dataclass(frozen=True)
class Unsure:
    "An acquisition that is a sum over classes."

    @property
    def needs(self) -> tuple[str, ...]:
        return ("mean_p",)

    def __call__(self, moments: Moments) -> Array:
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        return moments.mean_p * (1 - moments.mean_p)


@dataclass(frozen=True)
class First:
    "A selector that buys the first that is to be had."

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about=NOTHING) -> Query:
        index = np.flatnonzero(offer.eligible)[:1]
        return Query(index, scores[index], offer.cost[index], np.ones(1, bool))


@dataclass(frozen=True)
class Blank(Annotator):
    "An annotator that sees background everywhere."

    def annotate(self, source: Source, regions):
        return [np.zeros(region.box[2:], np.int32) for region in regions]
"""


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A module of extensions as they were written before."""
    (tmp_path / "written_before.py").write_text(OLD)
    monkeypatch.syspath_prepend(tmp_path)
    yield "written_before"
    sys.modules.pop("written_before", None)


def test_extensions_written_before_go_on_working(old):
    head = extensions.find("head", f"{old}:Shifts")()
    acquisition = extensions.find("acq", f"{old}:Unsure")()
    selector = extensions.find("selector", f"{old}:First")()
    annotator = extensions.find("annotator", f"{old}:Blank")()
    Config(head=head, acq=acquisition, selector=selector, annotator=annotator, route="rarity")
    x = jnp.linspace(0, 1, 4).reshape(1, 2, 2, 1)
    params = finish(head, None, head.init(None, None), None, None)
    assert params == 1
    model = Model(head, None, params, Identity(), Identity().init(2))
    objective = Objective(acquisition, weight=jnp.array([0.0, 2.0]))
    moments = predict_moments(model, x, needs=objective.needs)
    p = np.mean([jax.nn.softmax(head.logits(None, params, x, s)) for s in range(3)], 0)
    np.testing.assert_allclose(objective(moments), 2 * (p * (1 - p))[..., 1], rtol=1e-5)
    assert bal.select(np.ones(3), np.ones(3), 2, selector=selector).index.tolist() == [0]


def test_what_moved_is_what_it_was():
    for name in MOVED:
        module, _, renamed = MOVED[name].partition(":")
        assert getattr(bal.types, name) is vars(importlib.import_module(module))[renamed or name]
        assert name not in vars(bal.types), f"{name} is here: leave it out of the table"


def test_a_misspelt_name_is_still_an_error():
    with pytest.raises(ImportError, match=r"cannot import name 'Haed' from 'bal\.types'"):
        exec("from bal.types import Haed")
