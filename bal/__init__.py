"""Bayesian active learning for image segmentation: which regions should a person label next, and how far to trust it.

Whatever the command line does is a function call away, with the same names and no global state:

- `run_loop(Config(…))` yields a record a round;
- `score_pool(head, net, params, source, acquisition="bald")` scores any pool with any trained network;
- `select(scores, costs, budget)` turns scores into a purchase.

What an extension must satisfy, and what travels between the parts, is here too; paths below `bal` are private.
"""

from bal.annotation.annotators import ANNOTATORS
from bal.annotation.annotators.base import (
    Annotator,
    Answer,
    AnswersAtOnce,
    AnswersLater,
    ChecksSource,
    Closes,
    Corrects,
    Hints,
    Question,
    Request,
)
from bal.config.resolve import load
from bal.config.schema import Config
from bal.experiment.api import score_pool, select
from bal.experiment.events import Event, Record, Waiting
from bal.loop import run_loop
from bal.metrics import METRICS
from bal.metrics.base import Cell, Chunk, Headline, LabelledImage, Metric, OfChunk, OfImage, Tabled
from bal.pool.regions import Regions
from bal.pool.units import UNITS
from bal.pool.units.base import Unit
from bal.posterior.calibrators import CALIBRATORS
from bal.posterior.calibrators.base import Calibrator
from bal.posterior.heads import HEADS
from bal.posterior.heads.base import Finalizes, Head, Joins
from bal.posterior.heads.function import FunctionHead
from bal.posterior.losses import Criterion
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.posterior.nets import NETS
from bal.posterior.nets.base import Drop, HasCells, HasFeatures, Net, NetSettings, Scales
from bal.posterior.nets.whole import WholeNet
from bal.posterior.recipe import Train
from bal.report.logs import Logs
from bal.report.sinks import SINKS
from bal.report.sinks.base import Sink
from bal.scoring.acquisitions import ACQUISITIONS
from bal.scoring.acquisitions.base import Acquisition, Learns, SumOverClasses
from bal.selection.selectors import SELECTORS
from bal.selection.selectors.base import Offer, Query, Selector
from bal.sources import SOURCES
from bal.sources.base import PartlyLabelled, Source, SourceSettings
from bal.types import IGNORE, Array, BadInput, Batch, Key, Params, Region, RegionPrediction

__all__ = [
    "ACQUISITIONS",
    "ANNOTATORS",
    "CALIBRATORS",
    "HEADS",
    "IGNORE",
    "METRICS",
    "NETS",
    "SELECTORS",
    "SINKS",
    "SOURCES",
    "UNITS",
    "Acquisition",
    "Annotator",
    "Answer",
    "AnswersAtOnce",
    "AnswersLater",
    "Array",
    "BadInput",
    "Batch",
    "Calibrator",
    "Cell",
    "ChecksSource",
    "Chunk",
    "Closes",
    "Config",
    "Corrects",
    "Criterion",
    "Drop",
    "Event",
    "Finalizes",
    "FunctionHead",
    "HasCells",
    "HasFeatures",
    "Head",
    "Headline",
    "Hints",
    "Joins",
    "Key",
    "LabelledImage",
    "Learns",
    "Logs",
    "Metric",
    "Model",
    "Moments",
    "Net",
    "NetSettings",
    "OfChunk",
    "OfImage",
    "Offer",
    "Params",
    "PartlyLabelled",
    "Query",
    "Question",
    "Record",
    "Region",
    "RegionPrediction",
    "Regions",
    "Request",
    "Scales",
    "Selector",
    "Sink",
    "Source",
    "SourceSettings",
    "SumOverClasses",
    "Tabled",
    "Train",
    "Unit",
    "Waiting",
    "WholeNet",
    "load",
    "run_loop",
    "score_pool",
    "select",
]
