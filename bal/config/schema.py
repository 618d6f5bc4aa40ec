"""The whole configuration of a run: one tree of frozen dataclasses."""

# ruff: noqa: RUF009  (the defaults are frozen, so one instance can be shared by every Config)

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal, get_args

from bal.annotation.annotators import Oracle
from bal.annotation.annotators.base import Annotator
from bal.config import extensions
from bal.config.extensions import SLOTS
from bal.pool.cost import Currency, Effort
from bal.pool.units.base import Unit
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import ClassTemperature
from bal.posterior.calibrators.base import Calibrator
from bal.posterior.heads import DeepEnsemble
from bal.posterior.heads.base import Head
from bal.posterior.losses import Loss
from bal.posterior.nets import UNet
from bal.posterior.nets.base import NetSettings
from bal.posterior.recipe import Train
from bal.scoring.acquisitions import BALD
from bal.scoring.acquisitions.base import Acquisition
from bal.scoring.class_weights import Route, Routing
from bal.scoring.objective import check_route
from bal.selection.budget import Plan
from bal.selection.selectors import Power
from bal.selection.selectors.base import Selector
from bal.selection.stops import Never
from bal.selection.stops.base import Stop
from bal.sources import WellLog
from bal.sources.base import SourceSettings
from bal.system.devices import AUTO, Execution
from bal.types import BadInput

MOST = 100_000  # rounds
StartBy = Literal["random", "contrast", "coverage"]
NUMBERS = {"seed": Integral, "rounds": Integral, "start": Real, "budget": Real, "audit": Real}


@dataclass(frozen=True)
class Config:
    """What a run does. Two runs with equal Configs on the same machine buy the same labels.

    Raises:
        BadInput: a value is out of range, or an extension is not one.
    """

    acq: Acquisition = BALD()
    """What makes a pixel worth asking about."""
    head: Head = DeepEnsemble()
    """The posterior over networks."""
    source: SourceSettings = WellLog()
    """Where images and masks come from."""
    net: NetSettings = UNet()
    """The network."""
    unit: Unit = Tile()
    """What one query asks about."""
    selector: Selector = Power()
    """How scores, costs and a budget become a purchase."""
    calibrator: Calibrator = ClassTemperature()
    """What makes the probabilities honest, fitted on the audited labels."""
    annotator: Annotator = Oracle()
    """Who answers a query."""
    stop: Stop = Never()
    """When a run ends before its budget is spent; may be another when it is resumed."""
    loss: Loss = Loss()
    """What training minimises."""
    train: Train = Train()
    """How a network is trained."""
    execution: Execution = AUTO
    """How posterior samples are executed; a matter of speed."""
    seed: int = 0
    """Everything random follows from it."""
    rounds: int = 5
    """Purchases after the start set."""
    start: float = 24.0
    """Labels bought at random before the first round, in units of cost."""
    start_by: StartBy = "random"
    """How the start set is drawn: uniformly; most of it from the quarter of the regions with most contrast; or evenly
    from strata of regions that look alike (`coverage`). Its audit is uniform."""
    budget: float = 144.0
    """All labels bought, start set and audits included, in units of cost."""
    history: tuple[tuple[int, float], ...] = field(default=(), metadata={"hidden": True})
    """Of a run that was given more rounds or budget when it was resumed: the rounds decided by then, and the budget of
    these. Written by the run; later rounds share what is left."""
    steer: float | Literal["auto"] = 1.0
    """Share of each purchase, after the audit, that follows the score; the rest is spread at random. `auto`: as much as
    the score has earned on the audit."""
    hand_over: bool = True
    """Whether purchases follow the predicted foreground, at random, until some label shows each class and the score has
    been judged on audited foreground; for half of the rounds at most."""
    audit: float = 0.1
    """Share of each purchase, drawn at random, kept for calibration and honest estimates and never trained on."""
    audit_by: Literal["uniform", "foreground"] = "uniform"
    """How audits are drawn once there is a model: uniformly, or four of five by √(predicted foreground), each weighted
    by what it stands for (Horvitz and Thompson 1952). For rare classes and few audits, where each region costs 1."""
    calibrate: Literal["always", "proven"] = "always"
    """Whether the calibrator is used always, or only where the audit shows that it helps: where the labels of one half
    of the audited regions grow more likely by a calibrator that is fitted to the other."""
    look: int | None = None
    """Images of the pool, drawn at random, that each purchase is chosen from; None for all of them."""
    cost: Currency = "regions"
    """What a label costs, and what budget, start and curve are counted in: one for each region, or one for each pixel,
    or the annotator's seconds (`effort`)."""
    effort: Effort = Effort()
    """What the annotator's seconds are made of."""
    route: Route = "uniform"
    """Which classes the score is for: all alike; those furthest behind their ceiling on the audit (`gap`); those
    predicted least often (`rarity`); or by `routing.weights`."""
    routing: Routing = Routing()
    """Numbers by class that a route needs."""
    cap: int | None = None
    """The most regions of one image in the steered part of a purchase; None for any number."""

    @property
    def plan(self) -> Plan:
        """How much is bought in which round."""
        return Plan(self.start, (*self.history, (self.rounds, self.budget)))

    def __post_init__(self) -> None:
        for name, kind in NUMBERS.items():
            if isinstance(value := getattr(self, name), bool) or not isinstance(value, kind):
                raise BadInput(f"{name}: expected a number, got {value!r:.40}")
        for slot in SLOTS:
            extensions.check(slot, f"Config.{slot}", type(getattr(self, slot)))
            extensions.check_hashable(f"Config.{slot}", getattr(self, slot))
        ranges = {
            "seed": (0 <= self.seed < 2**32, "0 ≤ seed < 2³²"),
            "rounds": (0 <= self.rounds <= MOST, f"0 ≤ rounds ≤ {MOST}"),
            "budget": (0 < self.budget < float("inf"), "0 < budget < infinity"),
            "start": (0 < self.start <= self.budget, f"0 < start ≤ budget (which is {self.budget:g})"),
            "steer": (self.steer == "auto" or 0 <= self.steer <= 1, "0 ≤ steer ≤ 1 or 'auto'"),
            "audit": (0 <= self.audit < 1, "0 ≤ audit < 1"),
            "cost": (self.cost in get_args(Currency), f"one of {', '.join(get_args(Currency))}"),
            "route": (self.route in get_args(Route), f"one of {', '.join(get_args(Route))}"),
            "start_by": (self.start_by in get_args(StartBy), " or ".join(get_args(StartBy))),
            "audit_by": (self.audit_by in ("uniform", "foreground"), "uniform or foreground"),
            "look": (self.look is None or self.look >= 1, "1 ≤ look"),
            "cap": (self.cap is None or self.cap >= 1, "1 ≤ cap"),
        }
        stages = ((0, self.start), *self.history, (self.rounds, self.budget))
        grows = all(n <= m and spent <= more for (n, spent), (m, more) in itertools.pairwise(stages))
        if self.history:
            rounds, spent = self.history[-1]
            ranges["budget"] = (self.budget >= spent, f"at least the {spent:g} that the run has decided on")
            if self.rounds < rounds:
                ranges["rounds"] = (False, f"at least the {rounds} that the run has decided on")
        ranges["history"] = (grows, "rounds and budgets that never fall, from start to rounds and budget")
        for name, (good, expected) in ranges.items():
            if not good:
                raise BadInput(f"{name}: expected {expected}, got {getattr(self, name)!r}")
        if self.route != "uniform":
            check_route(self.acq)
        if self.route == "gap" and not self.audit:
            raise BadInput("route: 'gap' reads IoUs on the audited regions, and audit is 0: give --audit 0.1")
        if self.audit_by == "foreground" and self.cost != "regions":
            raise BadInput("audit_by: 'foreground' needs equal prices, to know its probabilities: give --cost regions")
        if self.steer == "auto" and not self.audit:
            raise BadInput("steer: 'auto' judges the score on the audited regions, and audit is 0: give --audit 0.1")
