"""How good, how honest, and compared with what: families of metrics, one file each, one line each in this table."""

from bal.metrics.base import Metric
from bal.metrics.baseline import Baseline
from bal.metrics.calibration import Calibration
from bal.metrics.detection import Detection
from bal.metrics.overlap import Overlap
from bal.metrics.thin import Thin

METRICS: dict[str, type[Metric]] = {
    "overlap": Overlap,
    "calibration": Calibration,
    "detection": Detection,
    "baseline": Baseline,
    "thin": Thin,
}


def families() -> dict[str, Metric]:
    """Every family with its default fields, in the order of its columns in curve.csv."""
    return {name: family() for name, family in METRICS.items()}
