"""BALD over a pool with Baal 2.1 as its documentation shows it: wrap, predict, hand the predictions to a heuristic.

Baal scores whole images; a callable as `reduction` gives one score a tile. What one has to know besides:

- Outputs are logits in float32. With `half=True`, or with probabilities whose sums are slightly off, `to_prob` takes
  them for logits and applies a second softmax.
- `DataLoader` workers are started anew by every prediction, so there are none.
- An ensemble loads the weights of every member again for every batch, and has no replication.
- `MCCachingModule` keeps the outputs of convolutions whose input did not change; it needs `replicate_in_memory=False`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import structlog
import torch
from baal import ModelWrapper
from baal.active.heuristics import BALD
from baal.bayesian.caching_utils import MCCachingModule
from baal.bayesian.dropout import MCDropoutModule
from baal.ensemble import EnsembleModelWrapper
from baal.modelwrapper import TrainingArgs
from torch import Tensor, nn
from torch.utils.data import TensorDataset

Mode = Literal["whole pool", "generator", "generator, one by one", "generator, cached"]
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def tile_means(tile: int) -> Callable[[np.ndarray], np.ndarray]:
    """[B, H, W] → [B, rows, columns], as a `reduction` of a heuristic."""

    def reduce(score: np.ndarray) -> np.ndarray:
        b, h, w = score.shape
        return score.reshape(b, h // tile, tile, w // tile, tile).mean((2, 4))

    return reduce


def dropout(model: nn.Module, images: Tensor, samples: int, batch: int, mode: Mode, tile: int = 16) -> Callable:
    """A call that scores `images` [N, Cin, H, W] by MC dropout at the model's `nn.Dropout2d`s, → [N, rows, columns]."""
    bayesian = MCDropoutModule(model)
    bayesian = MCCachingModule(bayesian) if mode == "generator, cached" else bayesian
    args = TrainingArgs(batch_size=batch, workers=0, replicate_in_memory=mode in ("whole pool", "generator"))
    return _scorer(ModelWrapper(bayesian, args), images, samples, mode, tile)


def ensemble(models: Sequence[nn.Module], images: Tensor, batch: int, mode: Mode, tile: int = 16) -> Callable:
    """The same by an ensemble of networks of one architecture."""
    wrapper = EnsembleModelWrapper(models[0], TrainingArgs(batch_size=batch, workers=0))
    for model in models:
        wrapper.load_state_dict(model.state_dict())
        wrapper.add_checkpoint()
    return _scorer(wrapper, images, len(models), mode, tile)


def _scorer(wrapper: ModelWrapper, images: Tensor, samples: int, mode: Mode, tile: int) -> Callable[[], np.ndarray]:
    dataset = TensorDataset(images, torch.zeros(len(images)))
    heuristic = BALD(reduction=tile_means(tile))

    def score() -> np.ndarray:
        if mode == "whole pool":
            return heuristic.get_uncertainties(wrapper.predict_on_dataset(dataset, samples, verbose=False))
        predictions = wrapper.predict_on_dataset_generator(dataset, samples, verbose=False)
        return heuristic.get_uncertainties_generator(predictions)

    return score
