"""Where a run is logged besides its own folder, by name."""

from bal.report.sinks.base import Sink
from bal.report.sinks.mlflow import MLflow
from bal.report.sinks.tensorboard import TensorBoard

SINKS: dict[str, type[Sink]] = {"tensorboard": TensorBoard, "mlflow": MLflow}
