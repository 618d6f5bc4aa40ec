# What `bal` exports, for type checkers and for `bal/__init__.py`, which imports each when it is first asked for.

from bal.annotation.annotators import ANNOTATORS as ANNOTATORS
from bal.annotation.annotators.base import (
    Annotator as Annotator,
    AnswersAtOnce as AnswersAtOnce,
    AnswersLater as AnswersLater,
    ChecksSource as ChecksSource,
    Closes as Closes,
    Corrects as Corrects,
    Hints as Hints,
    Question as Question,
    Request as Request,
)
from bal.annotation.entries import Answer as Answer
from bal.config.resolve import load as load
from bal.config.schema import Config as Config
from bal.experiment.api import score_pool as score_pool, select as select
from bal.experiment.events import Event as Event, Record as Record
from bal.loop import run_loop as run_loop
from bal.metrics import METRICS as METRICS
from bal.metrics.base import (
    Cell as Cell,
    Chunk as Chunk,
    Headline as Headline,
    LabelledImage as LabelledImage,
    Metric as Metric,
    OfChunk as OfChunk,
    OfImage as OfImage,
    Tabled as Tabled,
)
from bal.pool.regions import Regions as Regions
from bal.pool.units import UNITS as UNITS
from bal.pool.units.base import Unit as Unit
from bal.posterior.calibrators import CALIBRATORS as CALIBRATORS
from bal.posterior.calibrators.base import Calibrator as Calibrator
from bal.posterior.heads import HEADS as HEADS
from bal.posterior.heads.base import Finalizes as Finalizes, Head as Head, Joins as Joins
from bal.posterior.heads.function import FunctionHead as FunctionHead
from bal.posterior.losses import Criterion as Criterion
from bal.posterior.model import Model as Model
from bal.posterior.moments import Moments as Moments
from bal.posterior.nets import NETS as NETS
from bal.posterior.nets.base import (
    Drop as Drop,
    HasCells as HasCells,
    HasFeatures as HasFeatures,
    Net as Net,
    NetSettings as NetSettings,
    Scales as Scales,
)
from bal.posterior.nets.whole import WholeNet as WholeNet
from bal.posterior.recipe import Train as Train
from bal.report.logs import Logs as Logs
from bal.report.sinks import SINKS as SINKS
from bal.report.sinks.base import Sink as Sink
from bal.scoring.acquisitions import ACQUISITIONS as ACQUISITIONS
from bal.scoring.acquisitions.base import Acquisition as Acquisition, Learns as Learns, SumOverClasses as SumOverClasses
from bal.selection.selectors import SELECTORS as SELECTORS
from bal.selection.selectors.base import Offer as Offer, Query as Query, Selector as Selector
from bal.selection.stops import STOPS as STOPS
from bal.selection.stops.base import Stop as Stop
from bal.sources import SOURCES as SOURCES
from bal.sources.base import (
    HasStyles as HasStyles,
    PartlyLabelled as PartlyLabelled,
    Source as Source,
    SourceSettings as SourceSettings,
)
from bal.types import (
    IGNORE as IGNORE,
    Array as Array,
    BadInput as BadInput,
    Batch as Batch,
    Key as Key,
    Params as Params,
    Region as Region,
    RegionPrediction as RegionPrediction,
    Waiting as Waiting,
)
