"""The ground floor: the letters of every shape, and what travels between the parts.

Letters, used in every docstring and at the end of every line that reshapes:

    S  posterior samples      H W  pixels            R  regions of one image
    E  members trained        C    classes           M  regions of the whole pool
    B  batch                  F    features          K  queries
    N  pool images            Cin  image channels

An extension is a frozen dataclass: its fields are its hyper-parameters (and its flags on the command line), its
methods are pure. Frozen also means hashable, so an extension can be a static argument of `jax.jit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

Array = jax.Array
Key = jax.Array
Params = Any
BACKGROUND = 0  # its class id
IGNORE = 255  # the label of a pixel that nobody has labelled; no loss and no metric may count it
TINY = np.finfo(np.float32).tiny  # stands for a probability of 0 in a logarithm


class RegionPrediction(NamedTuple):
    """The P labelled pixels of one region, as a model saw them (`bal.scoring.held_out`)."""

    label: np.ndarray  # [P] true class
    predictive: np.ndarray  # [P, C] calibrated probabilities, which the prediction is made of
    believed: np.ndarray  # [P, C] the probabilities that the acquisition reads, averaged over samples
    promised: np.ndarray  # [P] how often the samples expect to be right
    score: np.ndarray  # [P] the acquisition's score; 0 where it never looks

    @property
    def predicted(self) -> np.ndarray:
        """[P] most likely class."""
        return self.predictive.argmax(-1)

    @property
    def nll(self) -> float:
        """Sum of −log p of the true class, nats."""
        p = self.predictive[np.arange(len(self.label)), self.label]
        return float(-np.log(np.maximum(p, TINY), dtype=np.float64).sum())

    @property
    def confusion(self) -> np.ndarray:
        """[C, C] pixels by true class, then predicted class."""
        return confusion(self.label, self.predicted, self.predictive.shape[-1])


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """[C, C] pixels by true class, then predicted class, of two arrays of one shape; classes are 0 … C−1."""
    pairs = label.astype(np.int64, copy=False) * classes + predicted
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def jaccard(table: np.ndarray) -> np.ndarray:
    """[..., C, C] pixels by one labelling, then another → [..., C] intersection over union; NaN of what neither has."""
    hit = np.diagonal(table, axis1=-2, axis2=-1)
    union = np.asarray(table.sum(-1) + table.sum(-2) - hit, np.float64)
    return hit / np.where(union > 0, union, np.nan)


class BadInput(ValueError):
    """Something a person gave us cannot be used. The message is one clear line: what, where, what to do."""


class Waiting(Exception):
    """A round cannot close: questions are open. Nothing is lost, and the run goes on from its folder."""

    def __init__(
        self,
        purchase: int,
        asked: int,
        answered: int,
        folder: Path | None,
        hint: str | None = None,
        row: Mapping[str, Any] | None = None,
    ):
        super().__init__(purchase, asked, answered, folder, hint, row)
        self.purchase = purchase
        self.asked = asked
        self.answered = answered
        self.folder = folder
        self.hint = hint  # how the questions are answered
        self.row = row  # of the model that asks, as far as it is known by now; None for the start set

    def __str__(self) -> str:
        what = "the start set" if self.purchase == 0 else f"purchase {self.purchase}"
        go_on = f"python -m bal.run --resume --out {self.folder}"
        how = f"go on with: {go_on}" if self.folder else "without `out` a run cannot go on later"
        open_ = f"{self.asked - self.answered} of {self.asked} regions of {what} wait for"
        return f"{open_} people: {self.hint}\n     then {how}" if self.hint else f"{open_} answers; {how}"


class Batch(NamedTuple):
    """What a network is trained on."""

    image: Array  # [B, H, W, Cin] float32
    label: Array  # [B, H, W] int32, IGNORE where unlabelled
    size: Array | None = None  # [B, 2] valid height and width; None when every pixel is valid


class Region(NamedTuple):
    """One region of one image, as a person would be asked about it."""

    image: str
    region: int
    box: tuple[int, int, int, int]  # top, left, height, width in pixels
    mask: np.ndarray | None = None  # [height, width] bool, which pixels of the box; None for all of them


MOVED = {
    "Acquisition": "bal.scoring.acquisitions.base",
    "Annotator": "bal.annotation.annotators.base:AnswersAtOnce",
    "AUTO": "bal.system.devices",
    "Calibrator": "bal.posterior.calibrators.base",
    "Criterion": "bal.posterior.losses",
    "Drop": "bal.posterior.nets.base",
    "Execution": "bal.system.devices",
    "Head": "bal.posterior.heads.base",
    "Model": "bal.posterior.model",
    "Moments": "bal.posterior.moments",
    "Net": "bal.posterior.nets.base",
    "NetSettings": "bal.posterior.nets.base",
    "NOTHING": "bal.selection.selectors.base",
    "Offer": "bal.selection.selectors.base",
    "Query": "bal.selection.selectors.base",
    "Selector": "bal.selection.selectors.base",
    "Source": "bal.sources.base",
    "SourceSettings": "bal.sources.base",
}  # what an extension could import from here, and where it lies now, after a colon under what name

if not TYPE_CHECKING:  # which would take any misspelt name for one of these

    def __getattr__(name: str) -> Any:
        """Names that lived here until the contracts moved beside what they are contracts of.

        Extensions outside this repository were written against this module, whose paths were the public ones; they go
        on working. What is new imports from `bal`.
        """
        if name not in MOVED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, renamed = MOVED[name].partition(":")
        return getattr(import_module(module), renamed or name)
