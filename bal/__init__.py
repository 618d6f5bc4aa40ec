"""Bayesian active learning for image segmentation: which regions should a person label next, and how far to trust it.

Whatever the command line does is a function call away, with the same names and no global state:

- `run_loop(Config(…))` yields a record a round;
- `score_pool(head, net, params, source, acquisition="bald")` scores any pool with any trained network;
- `select(scores, costs, budget)` turns scores into a purchase.
"""

from bal.config.resolve import load
from bal.config.schema import Config
from bal.experiment.api import score_pool, select
from bal.experiment.events import Record
from bal.loop import run_loop
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.selection.selectors.base import Query
from bal.types import IGNORE, BadInput, Batch

__all__ = [
    "IGNORE",
    "BadInput",
    "Batch",
    "Config",
    "FunctionHead",
    "Model",
    "Moments",
    "Query",
    "Record",
    "load",
    "run_loop",
    "score_pool",
    "select",
]
