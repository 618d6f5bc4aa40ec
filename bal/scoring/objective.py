"""What is asked of every pixel: an acquisition, what it learnt before this round, and how much each class counts."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from bal.posterior.moments import Moments
from bal.scoring.acquisitions.base import Acquisition, SumOverClasses
from bal.types import Array, BadInput


@functools.partial(jax.tree_util.register_dataclass, data_fields=["state", "weight"], meta_fields=["acquisition"])
@dataclass(frozen=True)
class Objective:
    """An acquisition of one round. It is asked like an acquisition, and travels through `jax.jit` as a pytree.

    score = Σ_c w_c · score_c,   where classes are weighted: exact, since the score is a sum over classes
    """

    acquisition: Acquisition
    state: Array | None = None  # what `acquisition.learn` found, where it learns
    weight: Array | None = None  # [C] of each class; None for 1

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Moments it reads."""
        return self.acquisition.needs

    @property
    def targets(self) -> Array | None:
        """[S, T, C] for `predict_moments`, where the acquisition compares pixels with targets that it learnt."""
        return self.state if "joint" in self.needs else None

    @property
    def _learnt(self) -> tuple[Array, ...]:
        return () if self.state is None else (self.state,)

    def __call__(self, moments: Moments) -> Array:
        """[..., C] moments → [...] scores."""
        if self.weight is None:
            return self.acquisition(moments, *self._learnt)
        return self.per_class(moments).sum(-1)

    def per_class(self, moments: Moments) -> Array:
        """[..., C]: what each class adds to the score.

        Of a score that is no sum over classes: the score times the probability of each class, which adds up as well.
        """
        if not isinstance(self.acquisition, SumOverClasses):
            return self.acquisition(moments, *self._learnt)[..., None] * moments.predictive
        parts = self.acquisition.per_class(moments, *self._learnt)
        return parts if self.weight is None else parts * jnp.broadcast_to(self.weight, parts.shape)


def as_objective(acquisition: Acquisition | Objective) -> Objective:
    """The objective of an acquisition as it is; an objective stays itself."""
    return acquisition if isinstance(acquisition, Objective) else Objective(acquisition)


def check_route(acquisition: Acquisition) -> None:
    """Raises BadInput for a score that cannot be weighted by class."""
    if not isinstance(acquisition, SumOverClasses):
        raise BadInput(
            f"{type(acquisition).__name__} is no sum over classes, so there is nothing to route; "
            "take bald or entropy, or --route uniform"
        )
