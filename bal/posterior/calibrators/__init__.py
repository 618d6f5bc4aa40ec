"""Maps of logits to better log-probabilities, fitted on labels kept for that purpose."""

from bal.posterior.calibrators.class_temperature import ClassTemperature
from bal.posterior.calibrators.dirichlet import Dirichlet
from bal.posterior.calibrators.identity import Identity
from bal.posterior.calibrators.isotonic import Isotonic
from bal.posterior.calibrators.local_temperature import LocalTemperature
from bal.posterior.calibrators.temperature import Temperature
from bal.posterior.calibrators.vector import Vector

CALIBRATORS = {
    "temperature": Temperature,
    "class_temperature": ClassTemperature,
    "local_temperature": LocalTemperature,
    "vector": Vector,
    "dirichlet": Dirichlet,
    "isotonic": Isotonic,
    "identity": Identity,
}

__all__ = [
    "CALIBRATORS",
    "ClassTemperature",
    "Dirichlet",
    "Identity",
    "Isotonic",
    "LocalTemperature",
    "Temperature",
    "Vector",
]
